import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance, InjectOptions } from 'fastify';
import t from 'tap';
import { createPublishing } from '../../helpers/publishing.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { consoleRoutes } from '../../../src/api/console-routes.ts';
import { ErrorSchema, HealthSchema, StreamSchema } from '../../../src/api/openapi/answers.ts';
import { hlsRoutes } from '../../../src/api/hls/hls-routes.ts';
import { whepRoutes } from '../../../src/api/whep/whep-routes.ts';
import { whipRoutes } from '../../../src/api/whip/whip-routes.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { ClientSessions } from '../../../src/sessions/client-sessions.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import { FakeTransponders } from '../../helpers/fake-transponders.ts';
import { createHttpApp } from '../../helpers/http-app.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { TransponderSchema } from '../../../src/views/push-view.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Record<string, { readonly description: string }>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, { readonly required?: string[]; properties: object }> };
}

const DOCS = join(import.meta.dirname, '../../../docs');

/** Routes as fastify registers them, of every instance that is created while this is open. */
function watchRoutes(): { readonly routes: Set<string>; close(): void } {
  const routes = new Set<string>();
  const watch = (message: unknown): void => {
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) routes.add(`${one.toLowerCase()} ${url.replace(/:(\w+)/g, '{$1}')}`);
    });
  };
  subscribe('fastify.initialization', watch);
  return { routes, close: () => unsubscribe('fastify.initialization', watch) };
}

const settings = SettingsSchema.parse({});
const authorizer = createAuthorizer(settings, silentLogger);
const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
const logger = silentLogger;
const { publications, players } = createPublishing({
  pool: {} as never,
  registry,
  pushes: new FakeTransponders(),
});
const watching = watchRoutes();
const { app, http, ...parts } = await createHttpApp(
  {},
  {
    rooms: localRooms(),
    routes: [
      consoleRoutes({
        wsPort: 1,
        restBase: '/rest-api',
        version: '1',
        resumeWindowMs: 15_000,
        isAllowed: async () => undefined,
      }),
      whipRoutes({ settings, authorizer, publications, sessions: new ClientSessions(), logger }),
      whepRoutes({ settings, authorizer, players, sessions: new ClientSessions(), logger }),
      hlsRoutes({ authorizer, packagers: {} as never, allowOrigin: () => true, shape: 'own' }),
    ],
  },
);
watching.close();
t.teardown(() => app.close());
const answer = await http.inject('/openapi.json');
const document = answer.json<Document>();
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
);

t.test('it documents the registered routes, and no others', async (t) => {
  t.match(answer.headers['content-type'], /^application\/json/);
  const isPage = (path: string): boolean =>
    path === '/' || /^\/(?:console|docs|examples)(?:\/|$)/.test(path) || /^\/client\/.*\.js$/.test(path);
  const real: string[] = [];
  for (const route of watching.routes) {
    const [method, path] = route.split(' ') as [string, string];
    if (method === 'head' || method === 'options' || path === '*' || isPage(path)) continue;
    const { statusCode } = await http.inject({
      method: method.toUpperCase() as NonNullable<InjectOptions['method']>,
      // A valid request for events has no end.
      url: path.replace(/\{\w+\}/g, 'x').replace('*', 'x') + (path.endsWith('/events') ? '?only=x' : ''),
    });
    // Routes that only refuse: wrong methods of WHIP, and what WCS has and this gateway does not.
    if (statusCode !== 405 && statusCode !== 501) real.push(route);
  }
  // Managers of a cluster have those, and a test of their own.
  const own = operations.filter(({ operation }) => !operation.tags.includes('Cluster'));
  t.strictSame(own.map(({ method, path }) => `${method} ${path}`).sort(), real.sort());
});

t.test('docs/openapi.json is the served document', async (t) => {
  const file = join(DOCS, 'openapi.json');
  // UPDATE_OPENAPI=1 node scripts/test.mjs test/unit/api/openapi.test.ts
  if (process.env['UPDATE_OPENAPI']) writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  t.strictSame(JSON.parse(readFileSync(file, 'utf8')), document);
});

t.test('/docs has the document and a viewer that loads nothing from elsewhere', async (t) => {
  t.strictSame((await http.inject('/docs/openapi.json')).json(), document);
  t.strictSame(
    (await http.inject('/docs/json')).json(),
    { ...document, servers: [{ url: '..' }] },
    'what the viewer shows',
  );
  const page = await http.inject('/docs');
  t.equal(page.statusCode, 200);
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/);
  const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!);
  t.ok(files.length >= 4);
  for (const file of files) {
    const { pathname, host } = new URL(file, 'http://gateway/docs');
    t.equal(host, 'gateway', file);
    t.equal((await http.inject(pathname)).statusCode, 200, file);
  }
  for (const path of ['/docs/static/../../../package.json', '/docs/static/%2e%2e/package.json', '/docs/x'])
    t.match((await http.inject(path)).json(), { status: 404, exception: 'ROUTE_NOT_FOUND' }, path);
});

t.test('it is complete and consistent', async (t) => {
  t.equal(document.openapi, '3.1.0');
  t.match(document.components.schemas['StartRequest']?.required, ['streamName']);
  const ids = operations.map(({ operation }) => operation.operationId);
  t.equal(new Set(ids).size, ids.length, 'operationIds are unique');
  for (const { method, path, operation } of operations) {
    t.match(operation.operationId, /^[a-z]\w+$/, `${method} ${path}`);
    t.ok(operation.summary);
    t.ok(Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)));
    for (const { description } of Object.values(operation.responses)) t.ok(description);
    const inPath = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => `{${name}}`);
    t.strictSame(path.match(/\{\w+\}/g) ?? [], inPath, 'path parameters are declared');
  }
  const references = [...answer.body.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  t.ok(references.length > 0);
  for (const name of references) t.ok(document.components.schemas[name], name);
});

t.test('answers are as documented', async (t) => {
  const { control } = parts;
  const check = (schema: typeof TransponderSchema | typeof StreamSchema, value: object): void => {
    t.doesNotThrow(() => schema.parse(value));
    t.strictSame(
      Object.keys(value).filter((name) => !(name in schema.shape)),
      [],
      'no undocumented field',
    );
  };
  const started = await http.inject({
    method: 'POST',
    url: '/rest-api/push/startup',
    payload: { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live', options: { action: 'mute' } },
  });
  check(TransponderSchema, started.json());
  control.endedViews = [{ ...started.json(), status: 'ended', endedAt: new Date().toISOString() }];
  check(TransponderSchema, (await http.inject('/api/v1/transponders?ended=true')).json()[0]);
  const stream = parts.registry.publish('cam', { id: 'p', close() {} });
  check(StreamSchema, (await http.inject('/api/v1/streams')).json()[0]);
  stream.lose(1000);
  check(StreamSchema, (await http.inject('/api/v1/streams')).json()[0]);
  t.strictSame(HealthSchema.strict().safeParse((await http.inject('/health')).json()).error, undefined);
  t.strictSame(ErrorSchema.strict().safeParse((await http.inject('/nothing')).json()).error, undefined);
});

t.test('docs/rest.md names every route below /rest-api and /api', async (t) => {
  const text = readFileSync(join(DOCS, 'rest.md'), 'utf8');
  for (const path of Object.keys(document.paths))
    if (/^\/(rest-api|api)\//.test(path)) t.match(text, path.replace('/rest-api', ''), path);
});
