import { createHmac } from 'node:crypto';
import { hostname } from 'node:os';
import t, { type Test } from 'tap';
import type { Action, Credentials, StreamRequest } from '../../../../src/access/authorizer.ts';
import { createAuthorizer, createWcsHooks } from '../../../../src/access/create-authorizer.ts';
import { streamName } from '../../../../src/api/wcs/schemas.ts';
import { pushOrders } from '../../../../src/api/wcs/start-request.ts';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { PlatformCatalogue } from '../../../../src/outputs/push/platforms/catalogue.ts';
import { standbyDefaults } from '../../../../src/outputs/push/standby-defaults.ts';
import { Secret } from '../../../../src/net/secret.ts';
import { createLogger } from '../../../../src/observe/logger.ts';
import { ClientSessions, type StreamSession } from '../../../../src/sessions/client-sessions.ts';
import { BROKEN, echo, startApplicationServer, type Answer } from '../../../helpers/application-server.ts';

const CONNECTION = { appKey: 'shop', authToken: 'auth', custom: { user: 'alice' }, clientVersion: '2.0' };
const connecting = (sessionId: string, more: Partial<Credentials> = {}): Credentials => ({
  door: 'wcs',
  ip: '192.0.2.1',
  token: new Secret('t0ken'),
  connection: { sessionId, fields: CONNECTION },
  ...more,
});
const streamRequest = (sessionId: string, more: Partial<StreamRequest> = {}): StreamRequest => ({
  sessionId,
  mediaSessionId: 'media-1',
  appKey: 'shop',
  mediaProvider: 'WebRTC',
  hasAudio: true,
  hasVideo: false,
  offerSdp: 'v=0\r\na=ice-ufrag:u\r\na=ice-pwd:SECRET\r\na=end\r\n',
  bitrate: 500,
  custom: { user: 'alice' },
  ...more,
});

/** Answers `connect` with this config, and every other hook as given. */
const configured =
  (restClientConfig: object, others: Answer = echo): Answer =>
  (response, request) => {
    if (request.path !== '/hooks/connect') return others(response, request);
    response.end(JSON.stringify({ ...(request.body as object), restClientConfig }));
  };

async function setUp(t: Test, answer: Answer = echo, more: Record<string, string> = {}) {
  const server = await startApplicationServer(t, answer);
  const settings = SettingsSchema.parse({ wcs_hooks_url: `${server.url}/hooks/`, ...more });
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'debug', log_format: 'json' },
    { destination: { write: (line: string) => lines.push(line) } },
  );
  const hooks = createWcsHooks(settings, logger)!;
  const chain = createAuthorizer(settings, logger, {
    schemas: {
      streamName,
      push: pushOrders({
        platforms: PlatformCatalogue.create(),
        standbyDefaults: standbyDefaults(SettingsSchema.parse({})),
      }),
    },
    wcsHooks: hooks,
  });
  t.teardown(() => chain.close());
  const sessions = new ClientSessions();
  hooks.observe(sessions);
  /** A connection that was accepted, as the WebSocket lists it. */
  const connect = async (sessionId = 's1') => {
    const principal = await chain.identify(connecting(sessionId));
    const connection = {
      sessionId,
      appKey: 'shop',
      clientVersion: '2.0',
      clientOSVersion: 'Linux',
      clientBrowserVersion: 'Chrome',
      mediaProviders: ['WebRTC'],
      clientAddress: '192.0.2.1',
      createdAt: new Date(),
      principal,
      sendData: () => undefined,
      terminate: () => undefined,
    };
    const disconnect = sessions.addConnection(connection);
    const ask = (action: Action, request?: StreamRequest, stream = 'cam1') =>
      chain.authorize(principal, action, { stream, request });
    return { principal, connection, disconnect, ask };
  };
  return { server, hooks, chain, sessions, connect, lines };
}

t.test('connect, publishStream and playStream have the bodies of WCS', async (t) => {
  const { server, connect, chain } = await setUp(t);
  const { ask, principal } = await connect();
  t.match(server.requests[0], {
    path: '/hooks/connect',
    headers: { 'content-type': 'application/json' },
    body: {
      nodeId: hostname(),
      appKey: 'shop',
      sessionId: 's1',
      status: 'PENDING',
      authToken: 'auth',
      clientVersion: '2.0',
      custom: { user: 'alice', token: 't0ken' },
    },
  });
  t.notOk(server.requests[0]!.headers.authorization, 'no key, no signature');
  t.strictSame(await ask('publish', streamRequest('s1')), {});
  const { body } = await server.received('/hooks/publishStream');
  t.strictSame(body, {
    nodeId: hostname(),
    appKey: 'shop',
    sessionId: 's1',
    mediaSessionId: 'media-1',
    name: 'cam1',
    published: true,
    hasVideo: false,
    hasAudio: true,
    status: 'PENDING',
    sdp: 'v=0\r\na=ice-ufrag:u\r\na=end\r\n',
    record: false,
    width: 0,
    height: 0,
    bitrate: 500,
    quality: 0,
    mediaProvider: 'WebRTC',
    custom: { user: 'alice' },
  });
  await ask('publish', { ...streamRequest('s1'), record: true });
  t.equal((server.requests.at(-1)!.body as { record: boolean }).record, true, 'what the client asks for');
  await ask('play', streamRequest('s1'), 'cam2');
  t.match((await server.received('/hooks/playStream')).body, { name: 'cam2', published: false, status: 'PENDING' });
  const count = server.requests.length;
  t.equal(
    await chain.identify({ ...connecting('s1'), connection: undefined, connectedAs: principal }),
    principal,
    'the token of a stream is in custom, and asks for no connection',
  );
  t.equal(server.requests.length, count);
});

t.test('requests are signed with the key', async (t) => {
  const { server, connect } = await setUp(t, echo, { wcs_hooks_key: 'k3y' });
  await connect();
  for (const { text, headers } of [server.requests[0]!, await server.received('/hooks/ConnectionStatusEvent')])
    t.equal(headers.authorization, `WCS ${createHmac('md5', 'k3y').update(text).digest('base64')}`);
});

t.test('403 denies with the reason', async (t) => {
  const deny: Answer = (response) => response.writeHead(403).end('{"info": "not\\nyours"}');
  const { chain } = await setUp(t, deny);
  const denied = { code: 'FORBIDDEN', message: 'The application server denies access: not yours' };
  await t.rejects(chain.identify(connecting('s1')), denied);
  for (const restOnError of ['LOG', 'FAIL']) {
    const config = { publishStream: { restOnError }, playStream: { restOnError } };
    const { connect } = await setUp(t, configured(config, deny));
    const { ask } = await connect();
    for (const action of ['publish', 'play'] as const)
      await t.rejects(ask(action, streamRequest('s1')), denied, action);
  }
});

t.test('failures deny, unless restOnError is LOG', async (t) => {
  const broken = { ...BROKEN, 'status 404': (response) => response.writeHead(404).end() } satisfies typeof BROKEN;
  const denies = async (what: string, answer: Answer): Promise<void> => {
    // Answers that do come have the usual time. That of `connect` is a good one.
    const timeout: Record<string, string> = what.startsWith('slow') ? { wcs_hooks_timeout_ms: '1500' } : {};
    const { chain, server } = await setUp(t, answer, timeout);
    await t.rejects(chain.identify(connecting('s1')), { code: 'ACCESS_UNAVAILABLE' }, `connect: ${what}`);
    t.equal(server.requests.length, 1, 'redirects are not followed');
    for (const config of [{}, { publishStream: {} }, { publishStream: { restOnError: 'FAIL' } }]) {
      const { connect } = await setUp(t, configured(config, answer), timeout);
      await t.rejects((await connect()).ask('publish', streamRequest('s1')), { code: 'ACCESS_UNAVAILABLE' }, what);
    }
    const { connect, lines } = await setUp(t, configured({ publishStream: { restOnError: 'log' } }, answer), timeout);
    const { ask } = await connect();
    t.strictSame(await ask('publish', streamRequest('s1')), {}, `LOG: ${what}`);
    t.match(lines.join(''), /restOnError is LOG: allowed/);
    await t.rejects(ask('play', streamRequest('s1')), { code: 'ACCESS_UNAVAILABLE' }, 'for each method');
  };
  await Promise.all(Object.entries(broken).map(([what, answer]) => denies(what, answer)));
});

t.test('private addresses need destination_allow_networks', async (t) => {
  for (const [address, networks] of [
    ['10.1.2.3', ''],
    ['169.254.169.254', '10.0.0.0/8'],
  ] as const) {
    const { chain, lines } = await setUp(t, echo, {
      wcs_hooks_url: `http://${address}:9/hooks`,
      destination_allow_networks: networks,
    });
    await t.rejects(chain.identify(connecting('s1')), { code: 'ACCESS_UNAVAILABLE' });
    t.match(lines.join(''), /private address/);
  }
});

t.test('OVERWRITE applies what comes back changed', async (t) => {
  const rename: Answer = (response, { body }) => response.end(JSON.stringify({ ...(body as object), name: 'renamed' }));
  for (const [publishStream, renamed] of [
    [{ restPolicy: 'OVERWRITE' }, true],
    [{ restPolicy: 'OVERWRITE', restOverwrite: 'custom, name' }, true],
    [{ restPolicy: 'OVERWRITE', restOverwrite: 'custom' }, false],
    [{ restPolicy: 'NOTIFY' }, false],
    [{}, false],
  ] as const) {
    const { connect } = await setUp(t, configured({ publishStream }, rename));
    const grant = await (await connect()).ask('publish', streamRequest('s1'));
    t.strictSame(grant, renamed ? { streamName: 'renamed' } : {}, JSON.stringify(publishStream));
  }
  const overwrite = { publishStream: { restPolicy: 'OVERWRITE' } };
  for (const name of ['', 7, 'a\u0000b', 'x'.repeat(5000)]) {
    const { connect } = await setUp(
      t,
      configured(overwrite, (response, { body }) => response.end(JSON.stringify({ ...(body as object), name }))),
    );
    await t.rejects((await connect()).ask('publish', streamRequest('s1')), { code: 'ACCESS_UNAVAILABLE' });
  }
  const { chain } = await setUp(t, (response, { body }) =>
    response.end(
      JSON.stringify({
        ...(body as object),
        custom: { user: 'Alice Cooper' },
        sessionId: 'other',
        authToken: 'other',
        restClientConfig: { connect: { restPolicy: 'OVERWRITE' } },
      }),
    ),
  );
  t.strictSame((await chain.identify(connecting('s1'))).connection, { custom: { user: 'Alice Cooper' } });
});

t.test('DISABLED hooks are not called, and restExclude leaves fields out', async (t) => {
  const { server, connect } = await setUp(
    t,
    configured({
      playStream: { restPolicy: 'DISABLE' },
      ConnectionStatusEvent: { restPolicy: 'DISABLED' },
      publishStream: { restExclude: 'sdp, custom' },
    }),
  );
  const { ask } = await connect();
  await ask('play', streamRequest('s1'));
  await ask('publish', streamRequest('s1'));
  t.strictSame(
    server.requests.map(({ path }) => path),
    ['/hooks/connect', '/hooks/publishStream'],
  );
  const { body } = server.requests[1]!;
  t.notOk('sdp' in body || 'custom' in body);
  t.equal(body.name, 'cam1');
  const { chain } = await setUp(t, configured({ playStream: { restPolicy: 'SOMETIMES' } }));
  await t.rejects(chain.identify(connecting('s1')), {
    code: 'ACCESS_UNAVAILABLE',
    message: /restClientConfig\.playStream\.restPolicy is not valid/,
  });
});

t.test('a principal may publish, play and push, and see what it was allowed', async (t) => {
  const { connect, chain } = await setUp(t);
  const { ask, principal } = await connect();
  for (const action of ['control', 'read', 'admin'] as const) await t.rejects(ask(action), { code: 'FORBIDDEN' });
  await t.rejects(ask('play'), { code: 'FORBIDDEN', message: /Play the stream first/ });
  await ask('play', streamRequest('s1'));
  await ask('play');
  await chain.authorize(principal, 'push', { stream: 'cam1', destination: { host: 'h', redacted: 'rtmp://h/live' } });
  for (const door of ['rest', 'console'] as const)
    await t.rejects(chain.identify({ door, ip: '::1' }), { code: 'UNAUTHORIZED' }, door);
});

t.test('WHIP and WHEP clients have their credentials in custom', async (t) => {
  const { server, chain } = await setUp(t);
  const whip = await chain.identify({ door: 'whip', ip: '::1', token: new Secret('t0ken') });
  await chain.authorize(whip, 'publish', {
    stream: 'cam1',
    request: streamRequest('id', { mediaProvider: 'WHIP', custom: undefined }),
  });
  t.match((await server.received('/hooks/publishStream')).body, {
    mediaProvider: 'WHIP',
    sessionId: 'id',
    custom: { token: 't0ken' },
  });
  const red5 = await chain.identify({ door: 'red5', ip: '::1', username: 'u', password: new Secret('p') });
  await chain.authorize(red5, 'publish', { stream: 'cam1', request: streamRequest('id', { custom: undefined }) });
  t.strictSame((await server.received('/hooks/publishStream')).body.custom, { username: 'u', password: 'p' });
});

t.test('notifications: in order for each session, whatever the server does', async (t) => {
  let held: (() => void) | undefined;
  const { server, hooks, sessions, connect, lines } = await setUp(t, (response, request) => {
    if (request.path === '/hooks/ConnectionStatusEvent' && request.body.sessionId === 's1' && !held)
      held = () => response.writeHead(500).end();
    else echo(response, request);
  });
  const first = await connect('s1');
  const second = await connect('s2');
  const session = {
    ...streamRequest('s1'),
    name: 'cam1',
    published: true,
  } as unknown as StreamSession;
  sessions.emit('stream', session, { status: 'PUBLISHING' });
  sessions.emit('data', first.connection, { operationId: 'op', payload: { text: 'hello' } });
  sessions.emit('stream', session, { status: 'UNPUBLISHED', info: 'Stopped by user', requested: true });
  sessions.emit('stream', { ...session, published: false }, { status: 'STOPPED', requested: true });
  first.disconnect();
  second.disconnect();
  await server.received('/hooks/ConnectionStatusEvent', ({ body }) => body.status === 'DISCONNECTED');
  t.equal(server.requests.filter(({ body }) => body.sessionId === 's1').length, 2, 'connect, and the one that is held');
  held!();
  await server.received(
    '/hooks/ConnectionStatusEvent',
    ({ body }) => body.status === 'DISCONNECTED' && body.sessionId === 's1',
  );
  t.strictSame(
    server.requests
      .filter(({ body }) => body.sessionId === 's1')
      .map(({ path, body }) => `${path.slice('/hooks/'.length)} ${body.status ?? ''}`),
    [
      'connect PENDING',
      'ConnectionStatusEvent ESTABLISHED',
      'StreamStatusEvent PUBLISHING',
      'OnDataEvent ',
      'unPublishStream UNPUBLISHED',
      'StreamStatusEvent UNPUBLISHED',
      'stopStream STOPPED',
      'StreamStatusEvent STOPPED',
      'ConnectionStatusEvent DISCONNECTED',
    ],
  );
  t.match((await server.received('/hooks/OnDataEvent')).body, { operationId: 'op', payload: { text: 'hello' } });
  t.match((await server.received('/hooks/unPublishStream')).body, { name: 'cam1', info: 'Stopped by user' });
  t.match(lines.join(''), /status 500/);
  t.equal(hooks.dropped, 0);
});

t.test('data of a client', async (t) => {
  const { server, hooks, connect } = await setUp(t);
  const { connection } = await connect();
  await hooks.sendData(connection, { operationId: 'op', payload: [1] });
  t.match((await server.received('/hooks/sendData')).body, { sessionId: 's1', operationId: 'op', payload: [1] });
  server.answer = (response) => response.writeHead(403).end();
  await t.rejects(hooks.sendData(connection, { operationId: 'op', payload: 1 }), { code: 'FORBIDDEN' });
});

t.test('close gives up on a server that does not answer', async (t) => {
  const { chain, connect, hooks } = await setUp(
    t,
    configured({}, () => undefined),
  );
  await connect('s1');
  await connect('s2');
  t.equal(hooks.queued, 2);
  await chain.close();
  t.equal(hooks.queued, 2, 'they were not answered');
});

t.test('no credential reaches the log', async (t) => {
  const { connect, lines } = await setUp(
    t,
    configured({}, (response) => response.writeHead(500).end('t0ken')),
    { wcs_hooks_key: 'k3y' },
  );
  const { ask } = await connect();
  await t.rejects(ask('publish', streamRequest('s1')));
  t.notMatch(lines.join(''), /t0ken|k3y|SECRET|hooks\//);
});
