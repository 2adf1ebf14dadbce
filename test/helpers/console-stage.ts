import { fastify } from 'fastify';
import { EventStream } from '../../src/api/live/event-stream.ts';
import { PUSH_NUMBERS, STREAM_NUMBERS } from '../../src/api/live/live-items.ts';
import { consoleRoutes } from '../../src/api/console-routes.ts';

/** The console's pages over a gateway that exists only as its answers, with as many streams as a test wants. */

export interface ConsoleItem {
  readonly kind: 'stream' | 'push';
  readonly key: string;
  readonly fields?: object;
  readonly numbers: readonly number[];
}

export interface ConsoleStage {
  readonly url: string;
  /** Connections of pages at present. */
  readonly connections: () => number;
  /** Adds or changes items, and tells the pages. */
  put(...items: ConsoleItem[]): void;
  /** Removes all items of a kind that fit. */
  remove(fits: (item: ConsoleItem) => boolean): void;
  happen(event: {
    readonly type: string;
    readonly level: string;
    readonly text: string;
    readonly stream?: string;
  }): void;
  /** Ends the connections of all pages; new ones are refused until {@link resume}. */
  interrupt(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** An item that stands for a stream with an ordinary publisher. */
export const streamItem = (name: string, bitrate = 1500, fields: object = {}): ConsoleItem => ({
  kind: 'stream',
  key: name,
  fields: {
    ...{ name, status: 'live', startedAt: '2026-01-01T10:00:00.000Z', protocol: 'WebRTC', audioCodec: 'opus' },
    ...{ videoCodec: 'h264', width: 1280, height: 720, viewers: 0, recording: false, standby: false, ...fields },
  },
  numbers: [bitrate, bitrate * 1000, 0, 0, 12],
});

export interface ConsoleStageOptions {
  /** Of further paths of REST, by `METHOD path`. */
  readonly answers?: Readonly<Record<string, unknown>>;
  readonly actions?: readonly string[];
  /** Required for REST. */
  readonly key?: string;
}

const ALL_ACTIONS = ['publish', 'play', 'push', 'call', 'control', 'read', 'admin', 'join'];

export async function startConsoleStage(options: ConsoleStageOptions = {}): Promise<ConsoleStage> {
  const { answers = {}, actions = ALL_ACTIONS, key } = options;
  const app = fastify({ forceCloseConnections: true });
  await app.register(
    consoleRoutes({
      ...{ wsPort: 1, restBase: '/rest-api', version: '1.2.3', resumeWindowMs: 1000, hasRooms: true, hasCalls: true },
      isAllowed: async () => undefined,
    }),
  );
  app.addHook('onRequest', async ({ url, headers }, reply) => {
    if (key === undefined || !url.startsWith('/api/') || headers.authorization === `Bearer ${key}`) return;
    await reply.code(401).send({ exception: 'UNAUTHORIZED', message: 'A key is required.' });
  });
  const items = new Map<string, ConsoleItem>();
  const timeline: object[] = [];
  const open = new Set<EventStream>();
  let isInterrupted = false;
  const tell = (event: string, data: object): void => {
    for (const stream of open) stream.send(event, JSON.stringify(data), `stage-${timeline.length}`);
  };
  app.get('/api/v1/me', async () => ({ id: 'anyone', actions }));
  app.get('/api/v1/events', { exposeHeadRoute: false }, (_, reply) => {
    if (isInterrupted) return void reply.code(503).send({ exception: 'SHUTTING_DOWN', message: 'The gateway stops.' });
    const stream = new EventStream(reply, () => open.delete(stream));
    open.add(stream);
    const names = { stream: STREAM_NUMBERS, push: PUSH_NUMBERS };
    stream.send(
      'snapshot',
      JSON.stringify({ epoch: 'stage', resumed: false, names, items: [...items.values()], timeline }),
    );
  });
  // Another colour for each stream.
  app.get('/api/v1/streams/:name/snapshot.jpg', (request, reply) => {
    const { name } = request.params as { readonly name: string };
    const hue = [...name].reduce((sum, letter) => sum + 37 * letter.charCodeAt(0), 0) % 360;
    reply.type('image/svg+xml')
      .send(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9" width="320" height="180">
      <linearGradient id="g" x2="1" y2="1"><stop stop-color="hsl(${hue} 45% 55%)"/><stop offset="1" stop-color="hsl(${hue + 60} 50% 22%)"/></linearGradient>
      <rect width="16" height="9" fill="url(#g)"/><circle cx="8" cy="3.6" r="1.6" fill="#fff8"/><path d="M4.5 9a3.5 3.5 0 0 1 7 0" fill="#fff8"/></svg>`);
  });
  for (const [route, answer] of Object.entries(answers)) {
    const [method, url] = route.split(' ') as [string, string];
    app.route({ method: method as 'GET', url, handler: async () => answer });
  }
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url,
    connections: () => open.size,
    put(...changed) {
      for (const item of changed) {
        const id = `${item.kind} ${item.key}`;
        items.set(id, { ...items.get(id), ...item });
      }
      tell('change', { items: changed, gone: [] });
    },
    remove(fits) {
      const gone = [...items].filter(([, item]) => fits(item));
      for (const [id] of gone) items.delete(id);
      tell('change', { items: [], gone: gone.map(([, { kind, key }]) => ({ kind, key })) });
    },
    happen(event) {
      const added = { id: timeline.length + 1, at: new Date().toISOString(), ...event };
      timeline.push(added);
      tell('event', added);
    },
    interrupt() {
      isInterrupted = true;
      for (const stream of open) stream.end();
    },
    resume: () => void (isInterrupted = false),
    async stop() {
      for (const stream of open) stream.end();
      await app.close();
    },
  };
}
