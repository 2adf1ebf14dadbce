import { EventEmitter } from 'node:events';
import { request } from 'node:https';
import { fastify } from 'fastify';
import { SignJWT } from 'jose';
import t from 'tap';
import { ALL_ACTIONS, type Action, type Authorizer, type Principal } from '../../../src/access/authorizer.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { guardRoutes } from '../../../src/api/authorize.ts';
import { PrincipalSchema } from '../../../src/api/openapi/answers.ts';
import { Certificate } from '../../../src/net/certificate.ts';
import { createLogger, silentLogger } from '../../../src/observe/logger.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import { viewOf } from '../../helpers/fake-transponders.ts';
import { createHttpApp } from '../../helpers/http-app.ts';
import { localRooms } from '../../helpers/local-rooms.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';

const find = { method: 'GET', url: '/rest-api/push/find_all' } as const;
const guarded = [
  find.url,
  '/api/v1/transponders',
  '/api/v1/streams',
  '/api/v1/recordings',
  '/api/v1/recordings/x/file',
  '/api/v1/rooms',
  '/api/v1/rooms/x',
  '/client/records/x.mp4',
  '/rest-api/nothing',
  '/rest-api//push/find_all',
  '/api/v1/nothing',
];

t.test('with rest_api_key, every path below /rest-api and /api needs the key', async (t) => {
  const { app, http, control } = await createHttpApp({ rest_api_key: 'correct-horse' });
  t.teardown(() => app.close());
  for (const url of guarded) {
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      { authorization: 'Basic correct-horse' },
      { authorization: 'Bearer' },
      { 'x-api-key': 'correct-hors' },
      { 'x-api-key': '' },
    ]) {
      const answer = await http.inject({ method: 'GET', url, headers: { ...headers } });
      t.equal(answer.statusCode, 401, `${url} ${JSON.stringify(headers)}`);
      t.match(answer.json(), { status: 401, error: 'Unauthorized', exception: 'UNAUTHORIZED', path: url });
      t.equal(answer.headers['www-authenticate'], 'Bearer');
      t.notMatch(answer.body, 'correct');
    }
  }
  t.equal(
    (
      await http.inject({
        method: 'POST',
        url: '/rest-api/push/terminate',
        payload: 'not json',
        headers: { 'content-type': 'application/json' },
      })
    ).statusCode,
    401,
    'the key is checked before the body',
  );
  t.strictSame(control.calls, []);
  for (const headers of [
    { authorization: 'Bearer correct-horse' },
    { authorization: 'bearer correct-horse' },
    { 'x-api-key': 'correct-horse' },
    { 'x-api-key': 'correct-horse', host: 'gateway.example.com' },
  ])
    t.equal((await http.inject({ ...find, headers: { ...headers } })).json().exception, 'TRANSPONDER_NOT_FOUND');
  for (const url of ['/health', '/health/live', '/health/ready', '/metrics'])
    t.equal((await http.inject(url)).statusCode, 200, `${url} is open`);
});

t.test('without a key, requests must name this machine', async (t) => {
  const { app, http } = await createHttpApp();
  t.teardown(() => app.close());
  for (const host of ['localhost:8081', '127.0.0.1:8081', '127.0.0.1', '[::1]:8081', 'LOCALHOST', 'app.localhost:1'])
    t.equal((await http.inject({ ...find, headers: { host } })).statusCode, 404, host);
  for (const host of [
    'evil.example:8081',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1:8081',
    '127.1',
    '2130706433',
  ]) {
    const answer = await http.inject({ ...find, headers: { host } });
    t.equal(answer.statusCode, 403, host);
    t.equal(answer.json().exception, 'HOST_NOT_ALLOWED');
  }
});

t.test('each route needs its action', async (t) => {
  const may = (...actions: Action[]): Authorizer =>
    new ProviderChain([{ identify: async () => ({ id: 'test', actions: new Set(actions) }) }]);
  const routes = [
    ['POST', '/rest-api/push/startup', 'push'],
    ['POST', '/rest-api/push/check', 'push'],
    ['GET', '/api/v1/platforms', 'read'],
    ['POST', '/rest-api/push/find', 'read'],
    ['GET', '/rest-api/push/find_all', 'read'],
    ['POST', '/rest-api/push/find_all', 'read'],
    ['POST', '/rest-api/push/terminate', 'control'],
    ['POST', '/rest-api/push/mute', 'control'],
    ['POST', '/rest-api/push/unmute', 'control'],
    ['POST', '/rest-api/push/sound_on', 'control'],
    ['POST', '/rest-api/push/sound_off', 'control'],
    ['POST', '/rest-api/push/standby', 'control'],
    ['GET', '/api/v1/transponders', 'read'],
    ['GET', '/api/v1/streams', 'read'],
    ['GET', '/api/v1/rooms', 'read'],
    ['GET', '/api/v1/rooms/x', 'read'],
    ['PATCH', '/api/v1/rooms/x', 'control'],
    ['POST', '/api/v1/rooms/x/messages', 'control'],
    ['DELETE', '/api/v1/rooms/x/members/y', 'control'],
    ['POST', '/api/v1/rooms/x/objects/y/acquire', 'control'],
    ['POST', '/api/v1/rooms/x/objects/y/release', 'control'],
    ['DELETE', '/api/v1/rooms/x/objects/y', 'control'],
    ['POST', '/api/v1/server/drain', 'admin'],
    ['GET', '/health', 'read'],
    ['GET', '/health/ready', 'read'],
    ['GET', '/health/live', 'read'],
    ['GET', '/metrics', 'read'],
  ] as const;
  for (const action of ['push', 'read', 'control', 'admin'] as const) {
    const allowed = await createHttpApp({}, { authorizer: may(action), rooms: localRooms() });
    const others = await createHttpApp(
      {},
      { authorizer: may(...[...ALL_ACTIONS].filter((other) => other !== action)) },
    );
    for (const [method, url] of routes.filter(([, , needed]) => needed === action)) {
      const refused = await others.http.inject({ method, url });
      t.equal(refused.statusCode, 403, `${method} ${url}`);
      t.match(refused.json(), { exception: 'FORBIDDEN', message: new RegExp(`"${action}"`) });
      t.not((await allowed.http.inject({ method, url })).statusCode, 403, `${method} ${url}`);
    }
    t.strictSame(others.control.calls, []);
    await allowed.app.close();
    await others.app.close();
  }
});

t.test('the stream and the destination of a request count, wherever they are', async (t) => {
  const principal: Principal = {
    id: 'limited',
    actions: new Set(['push', 'read', 'control']),
    streams: ['cam1'],
    destinations: ['a.example', 'a.rtmps.youtube.com'],
  };
  const { app, http, control, registry } = await createHttpApp(
    {},
    { authorizer: new ProviderChain([{ identify: async () => principal }]) },
  );
  t.teardown(() => app.close());
  const post = (method: string, payload: object) =>
    http.inject({ method: 'POST', url: `/rest-api/push/${method}`, payload });
  for (const [payload, missing] of [
    [{ streamName: 'cam2', rtmpUrl: 'rtmp://a.example/live' }, /the stream "cam2"/],
    [{ streamName: 'cam1', rtmpUrl: 'rtmp://b.example/live/geheim' }, /the destination b\.example/],
    [{ streamName: 'cam1', rtmpUrl: 'rtmp://a.example@b.example/live' }, /the destination b\.example/],
    [
      { streamName: 'cam1', rtmpUrl: 'rtmp://a.example/live', backupUrl: 'rtmp://b.example/live/geheim' },
      /the destination b\.example/,
    ],
    [{ streamName: 'cam1', platform: 'twitch', streamKey: 'geheim' }, /the destination live\.twitch\.tv/],
    [
      { streamName: 'cam1', platform: 'youtube', streamKey: 'geheim', backup: true },
      /the destination b\.rtmps\.youtube\.com/,
    ],
  ] as const) {
    for (const method of ['startup', 'check']) {
      const refused = await post(method, payload);
      t.equal(refused.statusCode, 403);
      t.match(refused.json(), { exception: 'FORBIDDEN', message: /"push"/ });
      t.match(refused.json().message, missing);
      t.notMatch(refused.body, 'geheim');
    }
  }
  t.strictSame(control.calls, [], 'nothing was started or checked');
  t.equal((await post('startup', { streamName: 'cam1', rtmpUrl: 'rtmp://A.example/live' })).statusCode, 200);

  const request = { streamName: 'cam2', rtmpUrl: 'rtmp://a.example/live' };
  control.change(viewOf(request, { mediaSessionId: 'other' }));
  control.endedViews = [viewOf(request, { status: 'ended' })];
  for (const name of ['cam1', 'cam2'])
    registry.publish(name, Object.assign(new EventEmitter(), { id: name, close: () => undefined }));
  const names = async (url: string): Promise<string[]> =>
    (await http.inject(url))
      .json()
      .map((one: { sourceStreamName?: string; name?: string }) => one.sourceStreamName ?? one.name);
  t.strictSame(await names('/rest-api/push/find_all'), ['cam1']);
  t.strictSame(await names('/api/v1/transponders'), ['cam1']);
  t.strictSame(await names('/api/v1/transponders?ended=true'), []);
  t.strictSame(await names('/api/v1/streams'), ['cam1']);
  t.equal((await post('find', { streamName: 'cam2' })).json().exception, 'TRANSPONDER_NOT_FOUND');
  for (const method of ['terminate', 'mute', 'unmute', 'sound_on', 'sound_off', 'standby']) {
    const refused = await post(method, { mediaSessionId: 'other', soundFile: 'a.wav' });
    t.match(refused.json(), { status: 403, exception: 'FORBIDDEN', message: /"control".*"cam2"/ }, method);
  }
  t.ok(control.views.has('other'));
  t.equal((await post('terminate', { mediaSessionId: 'id-1' })).statusCode, 200);
});

t.test('the read key shows pushes without their stream keys, and does nothing else', async (t) => {
  const { app, http, control } = await createHttpApp({ rest_api_key: 'all', rest_api_read_key: 'look' });
  t.teardown(() => app.close());
  control.change(viewOf({ streamName: 'cam', rtmpUrl: 'rtmp://example.com/live/geheim' }));
  const get = async (url: string, key: string) => (await http.inject({ url, headers: { 'x-api-key': key } })).body;
  t.match(await get('/rest-api/push/find_all', 'all'), 'geheim');
  t.match(await get('/rest-api/push/find_all', 'look'), '"rtmpUrl":"rtmp://example.com/live"');
  t.notMatch(await get('/rest-api/push/find_all', 'look'), 'geheim');
  const headers = { 'x-api-key': 'look' };
  for (const method of ['startup', 'terminate', 'mute', 'unmute', 'sound_on', 'sound_off', 'standby'])
    t.match((await http.inject({ method: 'POST', url: `/rest-api/push/${method}`, headers, payload: {} })).json(), {
      status: 403,
      exception: 'FORBIDDEN',
      message: /only read/,
    });
});

t.test('/api/v1/me says what the caller may do', async (t) => {
  const { app, http } = await createHttpApp({ rest_api_key: 'all', rest_api_read_key: 'look', jwt_secret: SECRET });
  t.teardown(() => app.close());
  const me = async (token: string): Promise<unknown> => {
    const answer = await http.inject({ url: '/api/v1/me', headers: { authorization: `Bearer ${token}` } });
    if (answer.statusCode === 200) PrincipalSchema.parse(answer.json());
    return answer.json();
  };
  t.match(await me('all'), { id: 'rest_api_key', actions: [...ALL_ACTIONS] });
  t.strictSame(await me('look'), { id: 'rest_api_read_key', actions: ['read'] });
  const exp = Math.floor(Date.now() / 1000) + 60;
  const sign = (claims: object) =>
    new SignJWT({ sub: 'alice', exp, ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));
  t.strictSame(await me(await sign({ act: [], streams: ['cam1'], destinations: ['*.tv'], maxDuration: 60 })), {
    id: 'jwt:alice',
    actions: [],
    streams: ['cam1'],
    destinations: ['*.tv'],
    maxDuration: 60,
    expiresAt: new Date(exp * 1000).toISOString(),
  });
  t.match(await me(await sign({ exp: exp - 120 })), { status: 401, exception: 'TOKEN_EXPIRED' });
  t.match(await me('wrong'), { status: 401, exception: 'UNAUTHORIZED' });
});

t.test('a guarded route without an action is a programming error', async (t) => {
  const app = fastify();
  guardRoutes(app, new ProviderChain([]), 'rest');
  t.throws(() => app.get('/x', () => ''), /\/x names no action/);
});

t.test('allow_anonymous lets every client in', async (t) => {
  const { app, http } = await createHttpApp({ allow_anonymous: 'true', listen_ip: '0.0.0.0' });
  t.teardown(() => app.close());
  t.equal((await http.inject({ ...find, headers: { host: 'gateway.example.com' } })).statusCode, 404);
});

t.test('only pages of the named origins may call', async (t) => {
  const { app, http } = await createHttpApp({
    cors_origins: 'https://Studio.Example, http://localhost:3000',
    rest_api_key: 'k',
  });
  t.teardown(() => app.close());
  const preflight = (origin: string) =>
    http.inject({
      method: 'OPTIONS',
      url: '/rest-api/push/startup',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,authorization',
      },
    });
  for (const origin of ['https://studio.example', 'http://localhost:3000']) {
    const { statusCode, headers, body } = await preflight(origin);
    t.equal(statusCode, 204, 'without a key: browsers send none in a preflight');
    t.equal(body, '');
    t.equal(headers['access-control-allow-origin'], origin);
    t.match(headers['access-control-allow-methods'], /POST/);
    t.equal(headers['access-control-allow-headers'], 'content-type,authorization');
    t.match(headers.vary, /Origin/);
  }
  for (const origin of ['https://studio.example.evil', 'http://studio.example', 'null'])
    t.equal((await preflight(origin)).headers['access-control-allow-origin'], undefined, origin);
  const refused = await http.inject({ ...find, headers: { origin: 'https://studio.example' } });
  t.equal(refused.statusCode, 401);
  t.equal(
    refused.headers['access-control-allow-origin'],
    'https://studio.example',
    'so that the page can read the error',
  );
  const statistics = await http.inject({ url: '/?action=stat', headers: { origin: 'https://studio.example' } });
  t.equal(statistics.statusCode, 401);
  t.equal(statistics.headers['access-control-allow-origin'], 'https://studio.example');
  t.equal(
    (await http.inject({ method: 'OPTIONS', url: '/rest-api/push/startup' })).statusCode,
    204,
    'OPTIONS without an origin',
  );
});

t.test('no origin may call by default, every origin with *', async (t) => {
  for (const [setting, expected] of [
    ['', undefined],
    ['*', '*'],
  ] as const) {
    const { app, http } = await createHttpApp({ cors_origins: setting });
    t.equal(
      (await http.inject({ ...find, headers: { origin: 'https://any.example' } })).headers[
        'access-control-allow-origin'
      ],
      expected,
    );
    await app.close();
  }
});

t.test('HTTPS serves the same routes', async (t) => {
  const { certificateFile: certFile, keyFile, remove } = await makeCertificate();
  const certificate = new Certificate({ certFile, keyFile, logger: silentLogger });
  const { app } = await createHttpApp({}, { certificate });
  t.teardown(async () => {
    await app.close();
    certificate.close();
    await remove();
  });
  const { http, https } = await app.listen();
  t.not(http, https);
  t.equal((await fetch(`http://127.0.0.1:${http}/rest-api/push/find_all`)).status, 404);
  const status = await new Promise((resolve, reject) => {
    request(
      { port: https, host: '127.0.0.1', path: '/rest-api/push/find_all', rejectUnauthorized: false, agent: false },
      (answer) => resolve(answer.resume().statusCode),
    )
      .on('error', reject)
      .end();
  });
  t.equal(status, 404);
  await Promise.all([app.close(), app.close()]);
  await t.rejects(fetch(`http://127.0.0.1:${http}/health`));
});

t.test('a port that is in use is named with its setting', async (t) => {
  const { app } = await createHttpApp();
  t.teardown(() => app.close());
  const { http } = await app.listen();
  const second = await createHttpApp({ 'http.port': String(http) });
  await t.rejects(second.app.listen(), {
    code: 'SETTINGS_INVALID',
    message: new RegExp(`http\\.port ${http} \\(EADDRINUSE\\)`),
  });
  await second.app.close();
});

t.test('metrics_key guards /metrics and /health, and opens nothing else', async (t) => {
  const installations: Record<string, string>[] = [
    {},
    { rest_api_key: 'all', rest_api_read_key: 'look', jwt_secret: SECRET },
    { allow_anonymous: 'true', listen_ip: '0.0.0.0' },
  ];
  for (const settings of installations) {
    const { app, http } = await createHttpApp({ metrics_key: 'm3trics', ...settings });
    t.teardown(() => app.close());
    const get = async (url: string, headers: Record<string, string> = {}) =>
      (await http.inject({ url, headers })).statusCode;
    for (const url of ['/metrics', '/health']) {
      t.equal(await get(url), 401);
      t.equal(await get(url, { authorization: 'Bearer wrong' }), 401);
      t.equal(await get(url, { authorization: 'Bearer m3trics' }), 200);
      t.equal(await get(url, { 'x-api-key': 'm3trics' }), 200);
      if ('rest_api_key' in settings)
        for (const key of ['all', 'look']) t.equal(await get(url, { 'x-api-key': key }), 200, 'a key of REST');
    }
    for (const url of ['/health/live', '/health/ready']) t.equal(await get(url), 200, `${url} is open`);
    if ('rest_api_key' in settings) t.equal(await get(find.url, { 'x-api-key': 'm3trics' }), 401);
  }
});

t.test('every answer names the id of its request', async (t) => {
  const lines: { msg: string; requestId?: string }[] = [];
  const logger = createLogger(
    { log_level: 'debug', log_format: 'json' },
    { destination: { write: (line) => void lines.push(JSON.parse(line) as never) } },
  );
  const { app, http, control } = await createHttpApp({ cors_origins: '*' }, { logger });
  t.teardown(() => app.close());
  const start = { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live' };
  const answer = await http.inject({
    method: 'POST',
    url: '/rest-api/push/startup',
    payload: start,
    headers: { 'x-request-id': 'job-7.a_B', origin: 'https://a.example' },
  });
  t.equal(answer.headers['x-request-id'], 'job-7.a_B');
  t.match(answer.headers['access-control-expose-headers'], /X-Request-Id/);
  t.equal(control.origins.at(-1)?.requestId, 'job-7.a_B');
  t.match(lines.at(-1), { msg: 'request', requestId: 'job-7.a_B' });
  for (const id of [undefined, '', 'a b', 'ä', 'x'.repeat(65), '{"a":1}', '../x']) {
    const { headers } = await http.inject({ url: '/nothing', headers: id === undefined ? {} : { 'x-request-id': id } });
    t.match(headers['x-request-id'], /^[\da-f-]{36}$/, `generated instead of ${id}`);
  }
});
