import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import type { Credentials } from '../../../src/access/authorizer.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { CalloutProvider } from '../../../src/access/callout-provider.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { streamName } from '../../../src/api/wcs/schemas.ts';
import { pushOrders } from '../../../src/api/wcs/start-request.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { PlatformCatalogue } from '../../../src/outputs/push/platforms/catalogue.ts';
import { standbyDefaults } from '../../../src/outputs/push/standby-defaults.ts';
import { DestinationPolicy } from '../../../src/net/destination-policy.ts';
import { Secret } from '../../../src/net/secret.ts';
import { silentLogger } from '../../../src/observe/logger.ts';

const schemas = {
  streamName,
  push: pushOrders({
    platforms: PlatformCatalogue.create(),
    standbyDefaults: standbyDefaults(SettingsSchema.parse({})),
  }),
};
const CLIENT: Credentials = {
  door: 'wcs',
  ip: '192.0.2.1',
  userAgent: 'test',
  token: new Secret('t0ken'),
  query: { token: 't0ken', rtmpUrl: 'rtmp://h/a/key', room: '7' },
};

/** Authorises a publication by an application server that answers like this. */
async function setUp(
  t: Test,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  settings: Record<string, string> = {},
) {
  const bodies: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      bodies.push({ method: request.method, ...(JSON.parse(text) as object) });
      answer(response, request);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth`;
  const chain = createAuthorizer(SettingsSchema.parse({ auth_url: url, ...settings }), silentLogger, { schemas });
  t.teardown(() => chain.close());
  const publish = async (client: Credentials = CLIENT) =>
    chain.authorize(await chain.identify(client), 'publish', { stream: 'cam1' });
  return { url, bodies, chain, publish };
}

t.test('the application server decides about each action', async (t) => {
  const { bodies, chain, publish } = await setUp(t, (response) => response.end('{"id": "alice", "maxDuration": 60}'));
  const { endsAt } = await publish();
  t.ok(Math.abs(endsAt! - Date.now() - 60_000) < 5000);
  await chain.authorize(
    await chain.identify({ ...CLIENT, door: 'red5', username: 'u', password: new Secret('p') }),
    'push',
    {
      stream: 'cam1',
      destination: { host: 'h', redacted: 'rtmp://h/live' },
    },
  );
  t.strictSame(bodies, [
    {
      method: 'POST',
      action: 'publish',
      stream: 'cam1',
      protocol: 'wcs',
      ip: '192.0.2.1',
      userAgent: 'test',
      token: 't0ken',
      query: { room: '7' },
    },
    {
      method: 'POST',
      action: 'push',
      stream: 'cam1',
      destination: 'rtmp://h/live',
      protocol: 'red5',
      ip: '192.0.2.1',
      userAgent: 'test',
      token: 't0ken',
      username: 'u',
      password: 'p',
      query: { room: '7' },
    },
  ]);
  const { publish: bare } = await setUp(t, (response) => response.writeHead(204).end());
  t.strictSame(await bare(), {}, 'an empty answer allows');
});

t.test('the application server renames the stream and orders pushes', async (t) => {
  const pushes = [
    { rtmpUrl: 'rtmp://h/live/KEY', height: '360', width: 0 },
    { rtmpUrl: 'rtmp://i/live', options: { action: 'mute' } },
  ];
  const { chain, publish } = await setUp(t, (response) =>
    response.end(JSON.stringify({ rename: 'cam1-2026', pushes, record: true, more: 'ignored' })),
  );
  t.strictSame(await publish(), {
    streamName: 'cam1-2026',
    pushes: [{ rtmpUrl: 'rtmp://h/live/KEY', height: 360 }, pushes[1]],
    record: true,
  });
  const principal = await chain.identify(CLIENT);
  t.strictSame(await chain.authorize(principal, 'play', { stream: 'cam1' }), {}, 'of publications only');
});

t.test('the application server says what a client may do in a room', async (t) => {
  const answers = ['{"rooms": ["read", "send"]}', '{}', '{"rooms": ["fly"]}', '{"rooms": []}'];
  const { bodies, chain } = await setUp(t, (response) => response.end(answers.shift()));
  const principal = await chain.identify({ ...CLIENT, door: 'rooms' });
  const join = () => chain.authorize(principal, 'join', { scope: 'live/room1' });
  t.strictSame(await join(), { rooms: ['read', 'send'] });
  t.match(bodies[0], { action: 'join', scope: 'live/room1', protocol: 'rooms' });
  t.strictSame(await join(), {}, 'everything');
  await t.rejects(join(), { code: 'ACCESS_UNAVAILABLE', message: /not valid: rooms\.0/ });
  await t.rejects(join(), { code: 'ACCESS_UNAVAILABLE', message: /not valid: rooms/ });
});

t.test('what is not valid in an answer is named without its value', async (t) => {
  const { publish } = await setUp(t, (response) =>
    response.end('{"pushes": [{"rtmpUrl": "rtmp://h/live", "height": "SECRET"}]}'),
  );
  const error = await publish().catch((thrown: Error) => thrown);
  t.match(error, { code: 'ACCESS_UNAVAILABLE', message: /not valid: pushes\.0\.height, so/ });
  t.notMatch((error as Error).message, /SECRET/);
});

t.test('denied: the reason is passed on', async (t) => {
  const { publish } = await setUp(t, (response) => response.writeHead(403).end('{"reason": "not\\nyours"}'));
  await t.rejects(publish(), { code: 'FORBIDDEN', message: 'The application server denies access: not yours' });
  const { publish: silent } = await setUp(t, (response) => response.writeHead(404).end('<html>'));
  await t.rejects(silent(), { code: 'FORBIDDEN', message: /no reason/ });
});

t.test('no decision: access is denied', async (t) => {
  const allowed = await setUp(t, (response) => response.end());
  for (const [what, answer] of Object.entries({
    slow: () => undefined,
    'slow body': (response) => response.write('{'),
    closed: (response) => response.destroy(),
    'status 500': (response) => response.writeHead(500).end(),
    '10 MB': (response) => response.end(`{"id": "${'x'.repeat(10_000_000)}"}`),
    redirect: (response) => response.writeHead(307, { location: allowed.url }).end(),
    'not valid': (response) => response.end('{"maxDuration": -1}'),
    'rename to no stream name': (response) => response.end('{"rename": "a\\u0000b"}'),
    'rename to an empty name': (response) => response.end('{"rename": ""}'),
    'a push without a URL': (response) => response.end('{"pushes": [{}]}'),
    'a push with an invalid field': (response) =>
      response.end('{"pushes": [{"rtmpUrl": "rtmp://h/live", "height": "KEY"}]}'),
    'too many pushes': (response) =>
      response.end(JSON.stringify({ pushes: Array(33).fill({ rtmpUrl: 'rtmp://h/live' }) })),
  } satisfies Record<string, (response: ServerResponse) => unknown>)) {
    const { publish } = await setUp(t, answer, what.startsWith('slow') ? { auth_timeout_ms: '1000' } : {});
    await t.rejects(publish(), { code: 'ACCESS_UNAVAILABLE' }, what);
  }
  t.equal(allowed.bodies.length, 0, 'the redirect was not followed');
});

t.test('private addresses need destination_allow_networks', async (t) => {
  const reached: string[] = [];
  const chainFor = (networks: string[], address: string) =>
    new ProviderChain([
      new CalloutProvider({
        url: 'http://app.example:9/auth',
        timeoutMs: 200,
        policy: new DestinationPolicy(
          { destination_allow_networks: networks, destination_allow_hosts: [], destination_deny_hosts: [] },
          { lookup: async () => [address] },
        ),
        logger: { error: (fields: { reason: string }) => reached.push(fields.reason), debug: () => undefined } as never,
      }),
    ]);
  for (const address of ['10.1.2.3', '169.254.169.254', '127.0.0.1', 'fd00::1']) {
    const chain = chainFor([], address);
    await t.rejects(chain.authorize(await chain.identify(CLIENT), 'publish', { stream: 'cam1' }), {
      code: 'ACCESS_UNAVAILABLE',
    });
  }
  t.strictSame(new Set(reached), new Set(['its host has a private address: name it in destination_allow_networks']));
  reached.length = 0;
  const chain = chainFor(['127.0.0.0/8'], '127.0.0.1');
  await t.rejects(chain.authorize(await chain.identify(CLIENT), 'publish', { stream: 'cam1' }));
  t.match(reached, [/ECONNREFUSED/], 'a named network is connected to');
});

t.test('answers are cached as Cache-Control says', async (t) => {
  const { bodies, publish } = await setUp(t, (response) =>
    response.writeHead(200, { 'cache-control': 'private, max-age=60' }).end(),
  );
  await publish();
  await publish();
  t.equal(bodies.length, 1);
  await publish({ ...CLIENT, token: new Secret('another') });
  t.equal(bodies.length, 2, 'for each client');
  for (const header of ['no-store, max-age=60', 'max-age=0', 'max-age=x']) {
    const other = await setUp(t, (response) => response.writeHead(200, { 'cache-control': header }).end());
    await other.publish();
    await other.publish();
    t.equal(other.bodies.length, 2, header);
  }
  const denied = await setUp(t, (response) => response.writeHead(403, { 'cache-control': 'max-age=60' }).end());
  for (let i = 0; i < 2; i++) await t.rejects(denied.publish(), { code: 'FORBIDDEN' });
  t.equal(denied.bodies.length, 1);
  for (const body of ['{"maxDuration": -1}', '{"id": 5}', '{', '[]', 'x'.repeat(70_000)]) {
    const invalid = await setUp(t, (response) =>
      response.writeHead(200, { 'cache-control': 'max-age=3600' }).end(body),
    );
    for (let i = 0; i < 2; i++) await t.rejects(invalid.publish(), { code: 'ACCESS_UNAVAILABLE' });
    t.equal(invalid.bodies.length, 2, `not a decision: ${body.slice(0, 20)}`);
  }
});
