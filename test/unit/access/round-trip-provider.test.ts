import t, { type Test } from 'tap';
import type { Credentials, StreamRequest } from '../../../src/access/authorizer.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { RoundTripProvider } from '../../../src/access/round-trip-provider.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { DestinationPolicy } from '../../../src/net/destination-policy.ts';
import { Secret } from '../../../src/net/secret.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { BROKEN, startApplicationServer, type Answer } from '../../helpers/application-server.ts';

const ALICE: Credentials = {
  door: 'red5',
  ip: '192.0.2.1',
  username: 'alice',
  password: new Secret('p4ss'),
  token: new Secret('t0ken'),
};
const request: StreamRequest = {
  sessionId: 's',
  mediaSessionId: 's',
  appKey: 'live',
  mediaProvider: 'WHIP',
  hasAudio: true,
  hasVideo: true,
  offerSdp: 'v=0',
  bitrate: 0,
};

async function setUp(t: Test, answer: Answer, settings: Record<string, string> = {}) {
  const server = await startApplicationServer(t, answer);
  const chain = createAuthorizer(
    SettingsSchema.parse({ roundtrip_host: '127.0.0.1', roundtrip_port: String(server.port), ...settings }),
    silentLogger,
  );
  t.teardown(() => chain.close());
  const ask = async (action: 'publish' | 'play', client = ALICE) =>
    chain.authorize(await chain.identify(client), action, { stream: 'cam1', request });
  return { server, chain, ask };
}

t.test('asks about publishers and subscribers, and tells the end of a publication', async (t) => {
  const { server, ask } = await setUp(t, (response) => response.end('{"result": true, "url": "http://any"}'));
  const body = { username: 'alice', password: 'p4ss', token: 't0ken', type: 'publisher', streamID: 'cam1' };
  const { release } = await ask('publish');
  t.match(server.requests, [{ path: '/validateCredentials', headers: { 'content-type': 'application/json' }, body }]);
  release!();
  t.strictSame((await server.received('/invalidateCredentials')).body, body);
  t.strictSame(await ask('play', { door: 'whep', ip: '::1', token: new Secret('only') }), {});
  t.strictSame(server.requests.at(-1)!.body, {
    username: '',
    password: '',
    token: 'only',
    type: 'subscriber',
    streamID: 'cam1',
  });
  const other = await setUp(t, (response) => response.end('{"result": "TRUE"}'), {
    roundtrip_validate_endpoint: '/a/check',
    roundtrip_invalidate_endpoint: '/a/end?x=1',
  });
  (await other.ask('publish')).release!();
  await other.server.received('/a/check');
  await other.server.received('/a/end?x=1');
});

t.test('everything but a clear yes is a no', async (t) => {
  for (const answer of ['{"result": false}', '{"result": "false"}', '{"result": "yes"}', '{"result": ""}']) {
    const { ask } = await setUp(t, (response) => response.end(answer));
    await t.rejects(ask('publish'), { code: 'FORBIDDEN', message: /denies the action "publish"/ }, answer);
  }
  const broken: typeof BROKEN = {
    ...BROKEN,
    'status 201': (response) => response.writeHead(201).end('{"result": true}'),
    'status 401': (response) => response.writeHead(401).end('{"result": true}'),
    'no result': (response) => response.end('{}'),
    number: (response) => response.end('{"result": 1}'),
    'an array': (response) => response.end('[true]'),
  };
  for (const [what, answer] of Object.entries(broken)) {
    const { server, ask } = await setUp(t, answer, what.startsWith('slow') ? { auth_timeout_ms: '1000' } : {});
    await t.rejects(ask('play'), { code: 'ACCESS_UNAVAILABLE' }, what);
    t.equal(server.requests.length, 1, 'redirects are not followed');
  }
});

t.test('clients without a credential, and other doors, are not recognised', async (t) => {
  const { chain, server } = await setUp(t, (response) => response.end('{"result": true}'));
  for (const door of ['wcs', 'whip', 'whep', 'red5'] as const) {
    await t.rejects(chain.identify({ door, ip: '::1' }), { code: 'UNAUTHORIZED' });
    t.match(await chain.identify({ ...ALICE, door }), { id: 'roundtrip:alice' });
  }
  for (const door of ['rest', 'console'] as const)
    await t.rejects(chain.identify({ ...ALICE, door }), { code: 'UNAUTHORIZED' }, door);
  const alice = await chain.identify(ALICE);
  for (const action of ['control', 'read', 'admin'] as const)
    await t.rejects(chain.authorize(alice, action, { stream: 'cam1' }), { code: 'FORBIDDEN' });
  t.equal(server.requests.length, 0, 'nothing was asked');
});

t.test('on the WebSocket, snapshots need a stream that was allowed', async (t) => {
  const { chain } = await setUp(t, (response) => response.end('{"result": true}'));
  const alice = await chain.identify({ ...ALICE, door: 'wcs' });
  await t.rejects(chain.authorize(alice, 'play', { stream: 'cam1' }), { code: 'FORBIDDEN' });
  const stream = await chain.identify({ ...ALICE, door: 'wcs', connectedAs: alice });
  await chain.authorize(stream, 'publish', { stream: 'cam1', request });
  await chain.authorize(alice, 'play', { stream: 'cam1' });
  await t.rejects(chain.authorize(alice, 'play', { stream: 'cam2' }), { code: 'FORBIDDEN' });
});

t.test('private addresses need destination_allow_networks', async (t) => {
  for (const address of ['10.1.2.3', '169.254.169.254', 'fd00::1']) {
    const lines: string[] = [];
    const provider = new RoundTripProvider({
      validateUrl: new URL('http://app.example:9/v'),
      invalidateUrl: new URL('http://app.example:9/i'),
      timeoutMs: 200,
      policy: new DestinationPolicy(
        { destination_allow_networks: [], destination_allow_hosts: [], destination_deny_hosts: [] },
        { lookup: async () => [address] },
      ),
      logger: { error: (fields: { reason: string }) => lines.push(fields.reason) } as never,
    });
    const alice = (await provider.identify(ALICE))!;
    await t.rejects(provider.authorize(alice, 'publish', { stream: 'cam1', request }), { code: 'ACCESS_UNAVAILABLE' });
    t.match(lines, [/private address/]);
  }
});

t.test('close waits for the server, but not for long', async (t) => {
  const { server, chain, ask } = await setUp(t, (response, { path }) => {
    if (path === '/validateCredentials') response.end('{"result": true}');
    else setTimeout(() => response.end('{"result": true}'), 50);
  });
  (await ask('publish')).release!();
  await chain.close();
  t.equal(server.requests.at(-1)!.path, '/invalidateCredentials');
  await chain.close();
});
