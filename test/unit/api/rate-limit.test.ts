import t from 'tap';
import { limitHits } from '../../../src/observe/limits.ts';
import { createHttpApp } from '../../helpers/http-app.ts';
import { ErrorSchema } from '../../../src/api/openapi/answers.ts';

const hits = (): number => limitHits.counts.get('max_http_requests_per_second') ?? 0;
const find = { method: 'GET', url: '/rest-api/push/find_all' } as const;
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

/** Ten requests in ten seconds. */
const create = (settings: Record<string, string> = {}) =>
  createHttpApp({ rest_api_key: 'k3y', max_http_requests_per_second: '1', ...settings });

t.test('too many requests of one address', async (t) => {
  const { app, http } = await create({ cors_origins: 'https://studio.example' });
  t.teardown(() => app.close());
  const before = hits();
  for (let count = 0; count < 10; count++)
    // New credentials do not make a new client, and unknown paths count too.
    t.equal((await http.inject({ ...find, url: `/rest-api/x${count}`, ...bearer(`guess-${count}`) })).statusCode, 401);
  const refused = await http.inject({ ...find, headers: { origin: 'https://studio.example' } });
  t.equal(refused.statusCode, 429);
  t.equal(ErrorSchema.strict().parse(refused.json()).exception, 'RATE_LIMITED');
  const seconds = Number(refused.headers['retry-after']);
  t.ok(seconds >= 1 && seconds <= 10, `${seconds} s`);
  t.equal(refused.headers['access-control-allow-origin'], 'https://studio.example', 'pages can read it');
  t.match(refused.headers['access-control-expose-headers'], /Retry-After/);
  t.equal((await http.inject('/')).statusCode, 429, 'pages too');
  t.equal((await http.inject({ ...find, remoteAddress: '192.0.2.7' })).statusCode, 401, 'another address');
  for (const url of ['/health', '/health/live', '/health/ready', '/metrics'])
    t.equal((await http.inject(url)).statusCode, 200, url);
  for (let count = 0; count < 99; count++) await http.inject('/metrics');
  for (const url of ['/metrics', '/metrics/', '//metrics?x'])
    t.equal((await http.inject(url)).statusCode, 429, '/metrics has a limit of its own');
  t.equal(hits() - before, 5);
});

t.test('an accepted key has a count of its own, whatever address it comes from', async (t) => {
  const { app, http, control } = await create();
  t.teardown(() => app.close());
  await control.start({ streamName: 'cam', rtmpUrl: 'rtmp://h/live' });
  const call = async (key: string, remoteAddress?: string) =>
    (await http.inject({ ...find, ...bearer(key), ...(remoteAddress && { remoteAddress }) })).statusCode;
  t.equal(await call('k3y'), 200);
  for (let count = 0; count < 9; count++) t.equal(await call(`guess-${count}`), 401);
  t.equal(await call('guess'), 429);
  for (let count = 0; count < 10; count++) t.equal(await call('k3y', `192.0.2.${count}`), 200);
  t.equal(await call('k3y', '192.0.2.99'), 429);
  t.equal(await call('guess', '192.0.2.99'), 401);
});

t.test(
  'behind a trusted proxy the address is that of the client, and the Host header that of the request',
  async (t) => {
    const { app, http } = await create({ trust_proxy: '127.0.0.1', rest_api_key: '' });
    t.teardown(() => app.close());
    const call = async (client: string, more: Record<string, string> = {}) =>
      (await http.inject({ ...find, headers: { 'x-forwarded-for': client, ...more } })).statusCode;
    for (let count = 0; count < 10; count++) t.equal(await call(`10.0.0.${count}, 192.0.2.1`), 404);
    t.equal(await call('192.0.2.1'), 429);
    t.equal(await call('192.0.2.2'), 404);
    t.equal(await call('192.0.2.3', { host: 'evil.example', 'x-forwarded-host': 'localhost' }), 403);
    const direct = await create();
    t.teardown(() => direct.app.close());
    for (let count = 0; count < 10; count++)
      await direct.http.inject({ ...find, headers: { 'x-forwarded-for': `192.0.2.${count}` } });
    t.equal(
      (await direct.http.inject({ ...find, headers: { 'x-forwarded-for': '192.0.2.99' } })).statusCode,
      429,
      'nobody is trusted by default',
    );
  },
);
