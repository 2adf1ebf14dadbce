import { readFile } from 'node:fs/promises';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { SignJWT } from 'jose';
import t, { type Test } from 'tap';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { requireAction } from '../../../src/api/authorize.ts';
import { consoleRoutes } from '../../../src/api/console-routes.ts';
import { hlsRoutes } from '../../../src/api/hls/hls-routes.ts';
import { HlsServer } from '../../../src/api/hls/hls-server.ts';
import { ManagerApp } from '../../../src/api/manager/manager-app.ts';
import { NodeClient } from '../../../src/api/manager/node-client.ts';
import { whepRoutes } from '../../../src/api/whep/whep-routes.ts';
import { whipRoutes } from '../../../src/api/whip/whip-routes.ts';
import { routesOf } from '../../../src/api/route-table.ts';
import { NodeRegistry } from '../../../src/cluster/node-registry.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { ForwardedClients } from '../../../src/net/forwarded-client.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Metrics } from '../../../src/observe/metrics.ts';
import type { Packagers } from '../../../src/outputs/hls/packagers.ts';
import { ViewerSessions } from '../../../src/outputs/hls/viewer-sessions.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { createHttpApp } from '../../helpers/http-app.ts';

/** Walks over every route of every HTTP server. */

type Settings = Record<string, string>;

const packagers = { sessions: new ViewerSessions({ total: 1, perClient: 1 }) } as unknown as Packagers;

const CONSOLE = {
  wsPort: 8080,
  restBase: '/rest-api',
  version: 'test',
  resumeWindowMs: 0,
  embedded: { rtmpUrl: 'rtmp://127.0.0.1/live', httpFlvPort: 1 },
};

const SERVERS: Readonly<Record<string, (t: Test, settings: Settings) => Promise<FastifyInstance>>> = {
  gateway: async (t, settings) => {
    const parsed = SettingsSchema.parse(settings);
    const authorizer = createAuthorizer(parsed, silentLogger);
    const whip = { settings: parsed, authorizer, logger: silentLogger } as unknown as Parameters<typeof whipRoutes>[0] &
      Parameters<typeof whepRoutes>[0];
    const { app, http } = await createHttpApp(settings, {
      authorizer,
      rooms: localRooms(),
      routes: [
        consoleRoutes({
          ...CONSOLE,
          hasRooms: true,
          hasCalls: true,
          isAllowed: requireAction(authorizer, 'console', 'play'),
        }),
        whipRoutes(whip),
        whepRoutes(whip),
        hlsRoutes({ authorizer, packagers, allowOrigin: () => true, shape: 'own' }),
      ],
    });
    t.teardown(() => app.close());
    return http;
  },
  manager: async (t, settings) => {
    const parsed = SettingsSchema.parse({ role: 'manager', ...settings });
    const registry = new NodeRegistry({
      store: new ModelStore(new RedisModel(() => Date.now())),
      managerId: 'm',
      logger: silentLogger,
    });
    const client = new NodeClient(registry, new ForwardedClients(Buffer.alloc(32, 3).toString('base64')));
    const authorizer = createAuthorizer(parsed, silentLogger);
    const app = await ManagerApp.create({
      settings: parsed,
      registry,
      client,
      authorizer,
      metrics: new Metrics(),
      logger: silentLogger,
      isClosing: () => false,
      routes: [
        consoleRoutes({
          ...CONSOLE,
          hasRooms: true,
          isManager: true,
          isAllowed: requireAction(authorizer, 'console', 'play'),
        }),
      ],
    });
    t.teardown(async () => {
      await app.close();
      client.close();
      registry.close();
    });
    return app.http;
  },
  hls: async (t, settings) => {
    const parsed = SettingsSchema.parse({ 'hls.port': '0', ...settings });
    const server = await HlsServer.create({
      settings: parsed,
      key: 'hls.port',
      authorizer: createAuthorizer(parsed, silentLogger),
      packagers,
      allowOrigin: () => true,
      logger: silentLogger,
    });
    t.teardown(() => server.close());
    return server.http;
  },
};

t.test('the servers below have every route of the gateway and of a manager', async (t) => {
  const routesIn = async (file: string): Promise<string[]> => {
    const text = await readFile(new URL(`../../../src/${file}`, import.meta.url), 'utf8');
    return [...new Set([...text.matchAll(/\b\w+Routes(?=\()/g)].map(([name]) => name))].toSorted();
  };
  // A new one belongs into SERVERS first.
  t.same(await routesIn('gateway.ts'), ['gatewayRoutes']);
  const doors = 'api/gateway-routes.ts';
  t.same(await routesIn(doors), ['consoleRoutes', 'hlsRoutes', 'whepRoutes', 'whipRoutes']);
  t.same(await routesIn('manager.ts'), ['consoleRoutes']);
  const servers = { 'gateway.ts': ['HttpApp'], [doors]: ['HlsServer'], 'manager.ts': ['ManagerApp'] };
  for (const [file, expected] of Object.entries(servers)) {
    const text = await readFile(new URL(`../../../src/${file}`, import.meta.url), 'utf8');
    const found = [...text.matchAll(/\b(\w*(?:Hls|Http|Manager)(?:App|Server))\.create\(/g)].map(([, name]) => name!);
    t.same([...new Set(found)].toSorted(), expected, file);
  }
});

const SAFE = ['GET', 'HEAD', 'OPTIONS'];
/** By design: monitoring, files of the console, of the library and of its examples, the document, resources with a random id, preflights. */
const OPEN = /\/(?:health|metrics|docs|openapi|console\/(?!live)|client\/(?!records)|examples)|OPTIONS|resource| \/$/;
/** A valid request for events has no end. */
const pathOf = (url: string): string =>
  url.replace(/:\w+/g, 'x').replaceAll('*', 'x') + (url.endsWith('/events') ? '?only=x' : '');

/** Calls each route once. */
async function walk(
  http: FastifyInstance,
  options: InjectOptions,
  visit: (route: string, method: string, answer: Awaited<ReturnType<typeof http.inject>>) => void,
): Promise<number> {
  const routes = routesOf(http);
  for (const { method, url } of routes)
    visit(
      `${method} ${url}`,
      method,
      await http.inject({ ...options, method: method as 'GET', url: pathOf(url) + ((options.url as string) ?? '') }),
    );
  return routes.length;
}

for (const [name, create] of Object.entries(SERVERS)) {
  const MANY = { max_http_requests_per_second: '100000' };
  t.test(`${name}: without access control, foreign pages change nothing`, async (t) => {
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'http://127.0.0.1.evil.example' },
    ];
    for (const settings of [{}, { allow_anonymous: 'true' }] as Settings[]) {
      const http = await create(t, { ...MANY, ...settings });
      for (const headers of foreign) {
        const count = await walk(http, { headers: { host: '127.0.0.1:8081', ...headers } }, (route, method, answer) => {
          if (SAFE.includes(method)) return;
          t.equal(answer.statusCode, 403, route);
          t.match(answer.body, /cors_origins.*rest_api_key/, route);
        });
        t.ok(count > 2, `${count} routes`);
      }
      const own: Record<string, string>[] = [
        {},
        { origin: 'http://127.0.0.1:8081', 'sec-fetch-site': 'same-origin' },
        { origin: 'http://localhost:3000', 'sec-fetch-site': 'cross-site' },
      ];
      for (const headers of own)
        await walk(http, { headers: { host: '127.0.0.1:8081', ...headers } }, (route, _, { body }) =>
          t.notMatch(body, /Pages of other origins may not change/, route),
        );
    }
    const listed = await create(t, { ...MANY, cors_origins: 'https://page.example' });
    await walk(listed, { headers: { host: 'localhost', origin: 'https://page.example' } }, (route, _, { body }) =>
      t.notMatch(body, /Pages of other origins may not change/, route),
    );
  });

  t.test(`${name}: every answer has the headers that keep other pages from it`, async (t) => {
    const http = await create(t, MANY);
    await walk(http, { headers: { host: 'localhost' } }, (route, _, { headers }) => {
      t.equal(headers['x-content-type-options'], 'nosniff', route);
      const isForPages = / \/(?:hls|client)\/|\/poster\.jpg|\/file$|\/snapshot\./.test(route) || name === 'hls';
      const expected = name === 'manager' || !isForPages ? /^(?:same-origin|cross-origin)$/ : /^cross-origin$/;
      t.match(headers['cross-origin-resource-policy'], expected, route);
      if (/push\/|connection\/|data\/|rooms|server/.test(route))
        t.equal(headers['cross-origin-resource-policy'], 'same-origin', route);
    });
  });

  t.test(`${name}: with keys, no route works without one`, async (t) => {
    const http = await create(t, { ...MANY, rest_api_key: 'k'.repeat(20) });
    const open = OPEN;
    await walk(http, { headers: { host: 'localhost' } }, (route, _, { statusCode }) => {
      if (!open.test(route)) t.ok(statusCode >= 400, `${route}: ${statusCode}`);
    });
  });

  t.test(`${name}: a client without any right may do nothing`, async (t) => {
    const http = await create(t, { ...MANY, jwt_secret: 's'.repeat(32) });
    const token = await new SignJWT({ sub: 'nobody', act: [] })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(Buffer.from('s'.repeat(32)));
    let refused = 0;
    const routes = await walk(
      http,
      { headers: { host: 'localhost', authorization: `Bearer ${token}` } },
      (route, _, { statusCode }) => {
        if (statusCode === 403) refused++;
        if (!OPEN.test(route) && !/\/me$/.test(route))
          t.ok(statusCode >= 400 && statusCode !== 500, `${route}: ${statusCode}`);
      },
    );
    t.comment(`${refused} of ${routes} are refused for want of the right`);
    t.ok(refused > 0);
  });

  t.test(`${name}: a body that is too large`, async (t) => {
    const http = await create(t, MANY);
    const payload = Buffer.alloc(1024 * 1024 + 1, 0x20);
    const headers = { host: 'localhost', 'content-type': 'application/json' };
    await walk(http, { headers, payload }, (route, method, { statusCode }) => {
      if (!SAFE.includes(method))
        t.ok((statusCode >= 400 && statusCode < 500) || statusCode === 501, `${route}: ${statusCode}`);
    });
  });

  t.test(`${name}: too many requests, and too many wrong keys`, async (t) => {
    const http = await create(t, { max_http_requests_per_second: '1' });
    for (let requests = 0; requests < 10; requests++) await http.inject('/some/path/x');
    const exempt = /\/(?:health|metrics)/;
    await walk(http, { headers: { host: 'localhost' } }, (route, _, { statusCode }) => {
      if (!exempt.test(route)) t.equal(statusCode, 429, route);
    });
    const other = await http.inject({ url: '/some/path/x', remoteAddress: '192.0.2.9' });
    t.not(other.statusCode, 429, 'another client');

    const guarded = await create(t, { ...MANY, rest_api_key: 'k'.repeat(20), max_failed_logins_per_minute: '5' });
    const url = { gateway: '/api/v1/me', manager: '/api/v1/nodes', hls: '/x/x.m3u8' }[name]!;
    const statuses: number[] = [];
    for (let guess = 0; guess < 8; guess++)
      statuses.push((await guarded.inject({ url, headers: { 'x-api-key': `guess-${guess}` } })).statusCode);
    t.strictSame(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
  });
}
