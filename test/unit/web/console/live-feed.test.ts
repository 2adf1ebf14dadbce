import t, { type Test } from 'tap';
import { LiveFeed } from '../../../../src/web/console/app/live-feed.js';
import { readEvents } from '../../../../src/web/console/app/read-events.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';
import { waitFor } from '../../../helpers/wait.ts';

/** What a page of the console knows after the messages of a gateway, or of a manager with its nodes. */

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

t.test('events that arrive in any pieces', async (t) => {
  const text = ': alive\n\nid: a-1\nevent: change\ndata: {"text":"höchst"}\n\nevent: gone\ndata: {}\n\nevent: cut';
  const whole = bytes(text);
  for (const size of [1, 3, 7, whole.length]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < whole.length; at += size) controller.enqueue(whole.slice(at, at + size));
        controller.close();
      },
    });
    const events: object[] = [];
    for await (const each of readEvents(body)) events.push(each);
    t.strictSame(
      events,
      [
        { event: '', data: '', id: '' },
        { event: 'change', data: '{"text":"höchst"}', id: 'a-1' },
        { event: 'gone', data: '{}', id: '' },
      ],
      `in pieces of ${size} bytes`,
    );
  }
});

const NAMES = { stream: ['bitrate', 'packetsLost'], push: ['bitrate'] };
const stream = (key: string, numbers: number[], fields?: object) => ({
  ...{ kind: 'stream', key, numbers },
  ...(fields && { fields }),
});
const event = (id: number, at: string, text: string) => ({
  id,
  at: `2026-01-01T10:00:${at}.000Z`,
  text,
  level: 'info',
});

/** A feed, and what writes messages of the gateway. */
async function follow(t: Test) {
  let connection: ReadableStreamDefaultController<Uint8Array>;
  const asked: (string | undefined)[] = [];
  replaceGlobals(t, {
    fetch: async (_: string, { headers, signal }: { headers: Record<string, string>; signal: AbortSignal }) => {
      asked.push(headers['last-event-id']);
      const body = new ReadableStream<Uint8Array>({ start: (controller) => void (connection = controller) });
      signal.addEventListener('abort', () => connection.error(new Error('aborted')));
      return new Response(body);
    },
  });
  const feed = new LiveFeed({
    headers: {},
    showRights: async () => undefined,
    connected: () => undefined,
    failed: () => false,
  } as never);
  const following = feed.follow();
  await waitFor('the request', () => asked.length === 1);
  t.teardown(async () => {
    feed.close();
    await following;
  });
  return {
    feed,
    asked,
    lose: () => connection.close(),
    send: async (name: string, data: object, id = '') => {
      connection.enqueue(bytes(`${id && `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
      await new Promise((resolve) => setImmediate(resolve));
    },
    keys: () => [...feed.items.value.values()].map(({ entry: { value } }) => `${value.node ?? ''} ${value.key}`),
  };
}

t.test('a snapshot, changes, and what follows a lost connection', async (t) => {
  const { feed, asked, send, lose, keys } = await follow(t);
  await send('snapshot', {
    names: NAMES,
    items: [stream('a', [1000, 0], { status: 'live' }), stream('b', [500, 0], { status: 'live' })],
    timeline: [event(1, '01', 'first')],
  });
  t.equal(feed.state.value, 'open');
  const [a] = feed.items.value.values();
  const before = feed.items.value;
  await send('change', { items: [stream('a', [2000, 3])], gone: [] });
  t.strictSame(a!.entry.value.numbers, { bitrate: 2000, packetsLost: 3 });
  t.strictSame(a!.entry.value.fields, { status: 'live' }, 'fields that are not sent stay');
  t.equal(feed.items.value, before, 'the list is another one only when something comes or goes');
  await send('change', { items: [stream('c', [1, 0], {})], gone: [{ kind: 'stream', key: 'b' }] });
  t.strictSame(keys(), [' a', ' c']);
  await send('event', event(2, '02', 'second'), 'epoch-2');
  lose();
  await waitFor('the next connection', () => asked.length === 2);
  t.equal(feed.state.value, 'lost');
  t.strictSame(keys(), [' a', ' c'], 'what was there stays in sight');
  t.equal(asked[1], 'epoch-2');
  await send('snapshot', {
    ...{ names: NAMES, items: [stream('a', [100, 3], {})], resumed: true, timeline: [event(3, '03', 'third')] },
  });
  t.strictSame(keys(), [' a']);
  t.equal(feed.items.value.values().next().value, a, 'its history goes on');
  t.strictSame(
    feed.timeline.value.map(({ text }) => text),
    ['first', 'second', 'third'],
  );
  await send('snapshot', { names: NAMES, items: [], resumed: false, timeline: [event(1, '09', 'started again')] });
  t.strictSame(
    feed.timeline.value.map(({ text }) => text),
    ['started again'],
  );
});

t.test('the nodes of a cluster', async (t) => {
  const { feed, send, keys } = await follow(t);
  await send('snapshot', {
    node: 'n1',
    names: NAMES,
    items: [stream('a', [1, 0], {})],
    timeline: [event(1, '02', 'n1')],
  });
  await send('snapshot', {
    node: 'n2',
    names: NAMES,
    items: [stream('b', [1, 0], {})],
    timeline: [event(1, '01', 'n2')],
  });
  t.strictSame(keys(), ['n1 a', 'n2 b']);
  t.strictSame(
    feed.timeline.value.map(({ text }) => text),
    ['n2', 'n1'],
    'by time',
  );
  await send('change', { node: 'n2', items: [stream('a', [1, 0], {})], gone: [] });
  t.strictSame(keys(), ['n1 a', 'n2 b', 'n2 a'], 'the same name at two nodes is two streams');
  await send('snapshot', { node: 'n1', names: NAMES, items: [], resumed: false, timeline: [] });
  t.strictSame(keys(), ['n2 b', 'n2 a'], 'a node begins anew');
  await send('gone', { node: 'n2' });
  t.strictSame(keys(), []);
});
