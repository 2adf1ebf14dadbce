import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import t from 'tap';
import type { GatewayError } from '../../src/errors.ts';
import { createAuthorizer } from '../../src/access/create-authorizer.ts';
import { requireAction } from '../../src/api/authorize.ts';
import { SettingsSchema } from '../../src/config/schema.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { consoleRoutes, type ConsoleRoutesOptions } from '../../src/api/console-routes.ts';

const OPTIONS: ConsoleRoutesOptions = {
  wsPort: 8080,
  restBase: '/rest-api',
  version: '1.2.3',
  resumeWindowMs: 15_000,
  isAllowed: requireAction(createAuthorizer(SettingsSchema.parse({}), silentLogger), 'console', 'play'),
};

async function createApp(options: ConsoleRoutesOptions = OPTIONS): Promise<FastifyInstance> {
  const app = fastify();
  app.setErrorHandler<GatewayError>((error, _request, reply) =>
    reply.code(error.httpStatus).send({ exception: error.code }),
  );
  await app.register(consoleRoutes(options));
  return app;
}

/** Loads the page and, recursively, the files that it refers to, all by relative URLs. */
async function loadAll(app: FastifyInstance, pages: readonly string[] = ['/']): Promise<Map<string, string>> {
  const loaded = new Map<string, string>();
  const load = async (path: string): Promise<void> => {
    if (loaded.has(path)) return;
    const answer = await app.inject(path);
    if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode}`);
    loaded.set(path, String(answer.headers['content-type']));
    const named = /mpegts|packages/.test(path)
      ? []
      : [...answer.body.matchAll(/(?:href|src)="([^"$]+)"|from '(\.[^']+)'|":"(\.[^"]+)"/g)];
    for (const [, linked, imported, mapped] of named) {
      const relative = linked ?? imported ?? mapped!;
      t.notMatch(relative, /^\/|:/, `${path} refers to ${relative} by a relative URL`);
      // The viewer of the REST document is not one of the page's files: test/unit/api/openapi.test.ts.
      if (!relative.endsWith('/docs')) await load(new URL(relative, `http://x${path}`).pathname);
    }
  };
  for (const page of pages) await load(page);
  return loaded;
}

t.test('the pages and all files that they load are served', async (t) => {
  const app = await createApp({ ...OPTIONS, isManager: true, hasRooms: true, hasCalls: true });
  const loaded = await loadAll(app, [
    ...['/', '/console/nodes.html', '/console/rooms.html', '/console/calls.html', '/examples/', '/examples/clock.js'],
  ]);
  t.match((await app.inject('/console/config.json')).json(), { cluster: true, rooms: true, calls: true });
  const alone = await createApp();
  await loadAll(alone);
  t.equal((await alone.inject('/console/nodes.html')).statusCode, 404, 'only a manager has nodes');
  t.equal((await alone.inject('/console/rooms.html')).statusCode, 404);
  t.equal((await alone.inject('/console/calls.html')).statusCode, 404);
  const files = (folder: string): string[] =>
    readdirSync(new URL(`../../src/web/${folder}`, import.meta.url))
      .filter((name) => /\.(js|css|svg)$/.test(name))
      .map((name) => `/${folder}/${name}`);
  const served = [...['console', 'console/app', 'client', 'examples'].flatMap(files), '/console/mpegts.js'];
  for (const path of served) t.ok(loaded.has(path), path);
  for (const name of ['preact', 'preact-hooks', 'htm', 'htm-preact', 'signals', 'signals-core', 'uplot'])
    t.match(loaded.get(`/console/packages/${name}.js`), 'text/javascript', `${name} comes from its package`);
  t.match(loaded.get('/'), 'text/html');
  t.match(loaded.get('/console/main.js'), 'text/javascript');
  t.match(loaded.get('/console/console.css'), 'text/css');
  t.equal(loaded.get('/console/icon.svg'), 'image/svg+xml');
});

t.test('headers', async (t) => {
  const app = await createApp({ ...OPTIONS, wssPort: 8443 });
  const page = await app.inject('/');
  const policy = String(page.headers['content-security-policy']);
  t.match(policy, "default-src 'none'");
  t.match(policy, "connect-src 'self' ws://*:8080 wss://*:8443;");
  t.notMatch(policy, 'unsafe');
  const [, map] = /<script type="importmap">(.*)<\/script>/.exec(page.body)!;
  const hash = createHash('sha256').update(map!).digest('base64');
  t.match(policy, `script-src 'self' 'sha256-${hash}';`, 'the only inline script is the import map');
  t.equal(page.body.match(/<script(?![^>]* src=)/g)!.length, 1);
  t.equal(page.headers['x-content-type-options'], 'nosniff');
  const again = await app.inject({ url: '/', headers: { 'if-none-match': String(page.headers.etag) } });
  t.equal(again.statusCode, 304);
  t.equal(again.body, '');
  t.equal(
    (await app.inject('/client/index.js')).headers['access-control-allow-origin'],
    '*',
    'other origins may import the library',
  );
  t.equal((await app.inject('/console/main.js')).headers['access-control-allow-origin'], undefined);
});

t.test('no other file is served', async (t) => {
  const app = await createApp();
  for (const path of [
    '/client/tsconfig.json',
    '/console/../http/app.ts',
    '/client/..%2fconfig.ts',
    '/client/%2e%2e/config.ts',
    '/console/',
    '/console/live/x.flv',
  ])
    t.equal((await app.inject(path)).statusCode, 404, path);
});

t.test('config.json', async (t) => {
  const app = await createApp({ ...OPTIONS, embedded: { rtmpUrl: 'rtmp://127.0.0.1:1935/live', httpFlvPort: 8000 } });
  const answer = await app.inject('/console/config.json');
  t.equal(answer.headers['cache-control'], 'no-store');
  t.same(answer.json(), {
    version: '1.2.3',
    wsPort: 8080,
    wssPort: null,
    restBase: '/rest-api',
    resumeWindowMs: 15_000,
    embedded: { rtmpUrl: 'rtmp://127.0.0.1:1935/live', playbackBase: '/console/live' },
  });
  t.equal((await (await createApp()).inject('/console/config.json')).json().embedded, null);
});

t.test('streams of the embedded server are passed on', async (t) => {
  let asked = '';
  const upstream = createServer((request, response) => {
    asked = request.url ?? '';
    response.write('FLV');
  }).listen(0, '127.0.0.1');
  t.teardown(() => upstream.close());
  await once(upstream, 'listening');
  const httpFlvPort = (upstream.address() as AddressInfo).port;
  const app = await createApp({ ...OPTIONS, embedded: { rtmpUrl: 'rtmp://127.0.0.1:1935/live', httpFlvPort } });
  const base = await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.close());

  const viewer = new AbortController();
  const response = await fetch(`${base}/console/live/rtmp_stream-1.flv`, { signal: viewer.signal });
  t.equal(response.headers.get('content-type'), 'video/x-flv');
  t.equal(Buffer.from((await response.body!.getReader().read()).value!).toString(), 'FLV');
  t.equal(asked, '/live/rtmp_stream-1.flv');
  const connections = (): Promise<number> =>
    new Promise((resolve) => upstream.getConnections((_error, count) => resolve(count)));
  t.equal(await connections(), 1);
  viewer.abort();
  while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass('a viewer that disconnects leaves no connection behind');

  for (const [name, path] of [
    ['a.b', 'a.b'],
    ['a%20b', 'a%20b'],
    ['..%2fadmin', '..%2Fadmin'],
    ['a%3fb', 'a%3Fb'],
  ]) {
    const { body } = await fetch(`${base}/console/live/${name}.flv`);
    await body!.cancel();
    t.equal(asked, `/live/${path}.flv`, 'any name, as one path segment');
  }
  const remote = await app.inject({ url: '/console/live/x.flv', remoteAddress: '203.0.113.5' });
  t.equal(remote.statusCode, 404, 'loopback only');
  const rebound = await app.inject({ url: '/console/live/x.flv', headers: { host: 'rebound.example' } });
  t.same([rebound.statusCode, rebound.json().exception], [403, 'HOST_NOT_ALLOWED'], 'with a host name of another site');

  const guarded = await createApp({
    ...OPTIONS,
    embedded: { rtmpUrl: 'rtmp://127.0.0.1:1935/live', httpFlvPort },
    isAllowed: requireAction(
      createAuthorizer(SettingsSchema.parse({ rest_api_key: 'KEY' }), silentLogger),
      'console',
      'play',
    ),
  });
  const guardedBase = await guarded.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => guarded.close());
  t.equal((await guarded.inject('/console/live/x.flv')).statusCode, 401, 'the key is required');
  const withKey = await fetch(`${guardedBase}/console/live/x.flv`, { headers: { authorization: 'Bearer KEY' } });
  t.equal(withKey.status, 200);
  await withKey.body!.cancel();
  upstream.close();
  await once(upstream, 'close');
  const dead = await app.inject('/console/live/x.flv');
  t.equal(dead.statusCode, 502);
  t.equal(dead.json().exception, 'DESTINATION_UNREACHABLE');
});
