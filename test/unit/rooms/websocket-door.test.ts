import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import type { Principal } from '../../../src/access/authorizer.ts';
import { OpenProvider } from '../../../src/access/open-access.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { GatewayError } from '../../../src/errors.ts';
import { ClientAddresses } from '../../../src/net/client-addresses.ts';
import { DestinationPolicy } from '../../../src/net/destination-policy.ts';
import { FORWARDED_CLIENT_HEADER, ForwardedClients } from '../../../src/net/forwarded-client.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { RpcCallout } from '../../../src/rooms/doors/rpc-callout.ts';
import { WebSocketDoor, type WebSocketDoorOptions } from '../../../src/rooms/doors/websocket-door.ts';
import { FakeRooms } from '../../helpers/fake-rooms.ts';
import { waitFor } from '../../helpers/wait.ts';

async function openDoor(t: Test, options: Partial<WebSocketDoorOptions> = {}) {
  const rooms = new FakeRooms();
  const announced: [string, object][] = [];
  const door = new WebSocketDoor({
    rooms,
    authorizer: new ProviderChain([new OpenProvider()]),
    announce: (name, message) => announced.push([name, message]),
    addresses: new ClientAddresses([]),
    allowOrigin: (origin) => origin !== 'https://evil.example',
    maxFrameBytes: 64 * 1024,
    maxQueuedBytes: 256 * 1024,
    rate: { perSecond: 1000, burst: 5000 },
    logger: silentLogger,
    ...options,
  });
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  door.attach(server);
  const { port } = server.address() as AddressInfo;
  t.teardown(async () => {
    await door.close();
    server.close();
  });
  return { rooms, announced, door, port, url: (path: string) => `ws://127.0.0.1:${port}${path}` };
}

interface Client {
  readonly socket: WebSocket;
  readonly texts: string[];
  readonly frames: () => { [key: string]: never }[];
  closed: [code: number, reason: string] | undefined;
  send(frame: object): void;
}

async function open(url: string, protocols: string[] = []): Promise<Client> {
  const socket = new WebSocket(url, protocols);
  const texts: string[] = [];
  const client: Client = {
    socket,
    texts,
    frames: () => texts.map((text) => JSON.parse(text) as { [key: string]: never }),
    closed: undefined,
    send: (frame) => socket.send(JSON.stringify(frame)),
  };
  socket.on('message', (data) => texts.push(String(data)));
  socket.on('close', (code, reason) => (client.closed = [code, String(reason)]));
  await once(socket, 'open');
  return client;
}

const until = (what: string, condition: () => unknown) => waitFor(what, condition, { every: 5 });

void t.test('red5-websocket-chat: plain text to all in the scope, the sender included', async (t) => {
  const { url, rooms } = await openDoor(t);
  const [ann, bob, eve] = await Promise.all([
    open(url('/chat'), ['chat']),
    open(url('/chat'), ['chat']),
    open(url('/chat/other'), ['chat']),
  ]);
  t.equal(ann.socket.protocol, 'chat');
  await until('three members', () => rooms.members.size === 3);
  ann.socket.send('hello');
  bob.socket.send('{"user":"bob","text":"hi"}');
  await until('both texts', () => ann.texts.length === 2 && bob.texts.length === 2);
  t.same(ann.texts, bob.texts, 'in the same order');
  t.same([...ann.texts].sort(), ['hello', '{"user":"bob","text":"hi"}']);
  t.same(eve.texts, []);
  ann.socket.close();
  await until('it has left', () => rooms.members.size === 2);
});

void t.test('a member that may only send cannot send frames of the gateway', async (t) => {
  const { url, rooms } = await openDoor(t);
  const [ann, eve] = await Promise.all([open(url('/live/room1')), open(url('/live/room1'))]);
  await until('two members', () => rooms.members.size === 2);
  const forged = JSON.stringify({ data: { type: 'sharedobject', name: 'so', value: { winner: 'eve' } } });
  eve.socket.send(forged);
  eve.socket.send('{"user":"eve","text":"hi"}');
  await until('both texts', () => ann.texts.length === 2 && eve.texts.length === 2);
  t.same(ann.frames()[0], { data: { type: 'text', text: forged } });
  t.equal(ann.texts[1], '{"user":"eve","text":"hi"}', 'unchanged');
});

void t.test('a manager of the cluster names the client; nobody else can', async (t) => {
  const asked: (string | undefined)[] = [];
  const everybody = new ProviderChain([new OpenProvider()]);
  const forwardedClients = new ForwardedClients(Buffer.alloc(32, 7).toString('base64'));
  const { door } = await openDoor(t, {
    forwardedClients,
    authorizer: {
      identify: (credentials) => {
        asked.push(credentials.ip);
        return everybody.identify(credentials);
      },
      authorize: (...args) => everybody.authorize(...args),
    },
  });
  const trusted: unknown[] = [];
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  door.attach(server, (socket) => trusted.push(socket));
  const connectAs = async (header: string): Promise<void> => {
    const { port: own } = server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${own}/live`, { headers: { [FORWARDED_CLIENT_HEADER]: header } });
    await once(socket, 'open');
  };
  await connectAs(forwardedClients.sign('192.0.2.7'));
  await connectAs(`192.0.2.8 ${Date.now()} forged`);
  await until('both', () => asked.length === 2);
  t.same(asked, ['192.0.2.7', '127.0.0.1']);
  t.equal(trusted.length, 1);
});

void t.test('the parameter scope and the path mean the same', async (t) => {
  const { url, rooms } = await openDoor(t);
  await Promise.all([open(url('/live/room1')), open(url('/live?scope=room1')), open(url('/live/?scope=room1&id=x'))]);
  await until('all', () => rooms.joined.length === 3);
  t.same(
    rooms.joined.map(({ scope, door }) => [scope, door]),
    Array(3).fill(['live/room1', 'websocket']),
  );
});

void t.test('shared objects as the Red5 SDK uses them', async (t) => {
  const { url } = await openDoor(t);
  const ann = await open(url('/live?id=sharedobject-1&capabilities=2'));
  const bob = await open(url('/live?id=sharedobject-2'));
  for (const client of [ann, bob]) {
    client.send({ sharedObjectGetRemote: { name: 'so' } });
    client.send({ sharedObjectConnect: { name: 'so' } });
    await until('the state', () => client.texts.length === 4);
    t.same(client.frames(), [
      { data: { type: 'status', code: 'NetConnection.Connect.Success' } },
      { data: { name: 'so', status: 'SharedObject.Status.GetRemote', message: 'Success' } },
      { data: { name: 'so', status: 'SharedObject.Status.Connect', message: 'Success' } },
      { data: { type: 'sharedobject', name: 'so', value: {} } },
    ]);
  }
  ann.send({ sharedObjectSetProperty: { name: 'so', key: 'color', value: 'red' } });
  ann.send({ sharedObjectSend: { name: 'so', method: 'say', message: { text: 'hi' } } });
  ann.send({ sharedObjectSetProperty: { name: 'so', key: 'color', value: null } });
  await until('three changes', () => ann.texts.length === 7 && bob.texts.length === 7);
  t.same(ann.frames().slice(4), bob.frames().slice(4), 'the sender gets its own changes too');
  t.same(bob.frames().slice(4), [
    { data: { type: 'sharedobject', name: 'so', value: { color: 'red' } } },
    { data: { type: 'sharedobject', name: 'so', events: [{ subtype: 6, method: 'say', value: { text: 'hi' } }] } },
    { data: { type: 'sharedobject', name: 'so', events: [{ subtype: 9, attribute: 'color' }] } },
  ]);
  bob.send({ sharedObjectClose: { name: 'so' } });
  bob.send({ sharedObjectSetProperty: { name: 'so', key: 'x', value: 1 } });
  bob.send({ sharedObjectConnect: { name: 'no-entry' } });
  await until('three answers', () => bob.texts.length === 10);
  bob.send({ sharedObjectConnect: { name: 7 } });
  await until('the fourth answer', () => bob.texts.length === 11);
  t.match(bob.frames().slice(7), [
    { data: { name: 'so', status: 'SharedObject.Status.Disconnect', message: 'Success' } },
    { data: { type: 'error', code: 'INVALID_REQUEST', name: 'so', message: 'Not connected to so.' } },
    { data: { name: 'no-entry', status: 'SharedObject.Status.Connect', message: 'Fail' } },
    { data: { type: 'error', code: 'INVALID_REQUEST', message: 'sharedObjectConnect.name must be a text.' } },
  ]);
});

void t.test('refused clients get a reason', async (t) => {
  const { url, rooms, port } = await openDoor(t);
  const refused = await open(url('/no-scope'));
  await until('the end', () => refused.closed);
  t.same(refused.closed, [1008, 'FORBIDDEN']);
  t.match(refused.frames(), [{ data: { type: 'error', code: 'FORBIDDEN', message: 'Not in this scope.' } }]);
  const answer = async (path: string, origin?: string) => {
    const socket = new WebSocket(url(path), { ...(origin && { origin }) });
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    response.destroy();
    return response.statusCode;
  };
  t.equal(await answer('/'), 400);
  t.equal(await answer('/%ff'), 400);
  t.equal(await answer('/live', 'https://evil.example'), 403);
  const raw = connect(port, '127.0.0.1');
  raw.write('GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  const [data] = (await once(raw, 'data')) as [Buffer];
  t.match(data.toString(), /^HTTP\/1.1 400/);
  raw.destroy();
  t.equal(rooms.members.size, 0);
});

void t.test('a member that is removed is disconnected', async (t) => {
  const { url, rooms } = await openDoor(t);
  const ann = await open(url('/live'));
  await until('the member', () => rooms.members.size === 1);
  rooms.joined[0]!.receive({ type: 'closed', reason: new GatewayError('RATE_LIMITED', 'Too fast.') });
  await until('the end', () => ann.closed);
  t.same(ann.closed, [1008, 'RATE_LIMITED']);
  t.match(ann.frames(), [{ data: { code: 'RATE_LIMITED', message: 'Too fast.' } }]);
});

void t.test('frames that are too long, and clients that do not read, end their connection only', async (t) => {
  const { url, rooms } = await openDoor(t);
  const [long, slow, other] = await Promise.all([open(url('/live')), open(url('/live')), open(url('/live'))]);
  const binary = await open(url('/live'));
  binary.socket.send(Buffer.alloc(3));
  await until('the end', () => binary.closed);
  t.same(binary.closed, [1008, 'INVALID_REQUEST']);
  long.socket.send('x'.repeat(70_000));
  await until('the end', () => long.closed);
  t.equal(long.closed?.[0], 1009);
  slow.socket.pause();
  const text = 'x'.repeat(60_000);
  for (let sent = 0; rooms.members.size > 1 && sent < 2000; sent++) {
    other.socket.send(text);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until('the slow client is gone', () => rooms.members.size === 1);
  other.texts.length = 0;
  other.socket.send('still here');
  await until('its text', () => other.texts.includes('still here'));
});

void t.test('a client that is too fast is disconnected, whatever it sends', async (t) => {
  const { url, rooms } = await openDoor(t, { rate: { perSecond: 1, burst: 20 } });
  for (const frame of ['text', '{"send":7}', '{"sharedObjectGetRemote":{"name":"so"}}']) {
    const client = await open(url('/live'));
    for (let sent = 0; sent < 30; sent++) client.socket.send(frame);
    await until('the end', () => client.closed);
    t.same(client.closed, [1008, 'RATE_LIMITED'], frame);
  }
  t.equal(rooms.members.size, 0);
});

void t.test('stream.send and mute need a stream and the right to publish it', async (t) => {
  const principal: Principal = { id: 'p', actions: new Set(['publish', 'join']), streams: ['mine'] };
  const authorizer = new ProviderChain([
    { identify: async ({ token }) => (token?.reveal() === 'geheim' ? principal : { ...principal, streams: [] }) },
  ]);
  const { url, announced } = await openDoor(t, { authorizer });
  const none = await open(url('/live'));
  none.send({ send: { method: 'hi', data: 1 }, id: 5 });
  await until('the error', () => none.texts.length === 1);
  t.match(none.frames()[0], { id: 5, data: { type: 'error', code: 'FORBIDDEN', message: /\?stream=NAME/ } });
  const denied = await open(url('/live?stream=mine'));
  denied.send({ send: { method: 'hi' } });
  await until('the error', () => denied.texts.length === 1);
  t.match(denied.frames()[0], { data: { type: 'error', code: 'FORBIDDEN' } });
  t.same(announced, []);
  const publisher = await open(url('/live?stream=mine&token=geheim'));
  publisher.send({ send: { method: 'score', data: { home: 1 } } });
  publisher.send({ mute: { muteAudio: true, muteVideo: false } });
  await until('three messages', () => announced.length === 3);
  t.same(announced, [
    ['mine', { type: 'score', payload: { home: 1 } }],
    ['mine', { type: 'audioMuted' }],
    ['mine', { type: 'videoUnmuted' }],
  ]);
});

void t.test('calls go to rpc_url, and its answer goes back', async (t) => {
  const bodies: { method: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (data: Buffer) => (body += data.toString()));
    request.on('end', () => {
      const call = JSON.parse(body) as { method: string };
      bodies.push(call);
      if (call.method === 'hang') return;
      if (call.method === 'deny') response.writeHead(403).end('{"reason":"not\\u0007you"}');
      else if (call.method === 'huge') response.end('x'.repeat(70_000));
      else if (call.method === 'fail') response.writeHead(500).end();
      else if (call.method === 'redirect') response.writeHead(302, { location: '/elsewhere' }).end();
      else response.end(call.method === 'nothing' ? '' : '{"sum":3}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const destination = (networks: string[]) =>
    new DestinationPolicy({
      destination_allow_networks: networks,
      destination_allow_hosts: [],
      destination_deny_hosts: [],
    });
  const { port } = server.address() as AddressInfo;
  const settings = { url: `http://127.0.0.1:${port}/rpc`, timeoutMs: 2000, logger: silentLogger };
  const rpc = new RpcCallout({ ...settings, policy: destination(['127.0.0.0/8']) });
  const { url } = await openDoor(t, { rpc });
  const client = await open(url('/live/room'));
  const call = async (method: string, expected: object) => {
    client.texts.length = 0;
    client.send({ callAdapter: { method, arguments: [1, 2] }, id: method, async: true });
    await until(`the answer of ${method}`, () => client.texts.length === 1);
    t.match(client.frames()[0], { id: method, async: true, ...expected });
  };
  await call('add', { data: { sum: 3 } });
  t.match(bodies[0], {
    method: 'add',
    arguments: [1, 2],
    scope: 'live/room',
    client: { ip: '127.0.0.1', protocol: 'websocket' },
  });
  await call('nothing', { data: null });
  await call('deny', { error: { code: 'FORBIDDEN', message: 'The application server refuses the call: not you' } });
  for (const method of ['fail', 'huge', 'redirect', 'hang'])
    await call(method, { error: { code: 'ACCESS_UNAVAILABLE' } });
  for (let index = 0; index < 9; index++) client.send({ callAdapter: { method: 'hang' }, id: index });
  await until('the limit', () =>
    client.texts.some((text) => text.includes('"id":8') && text.includes('LIMIT_REACHED')),
  );
  rpc.close();

  const closed = new RpcCallout({ ...settings, policy: destination([]) });
  await t.rejects(closed.call({ method: 'm', arguments: null, client: {}, scope: 's' }), {
    code: 'ACCESS_UNAVAILABLE',
  });
  t.equal(
    bodies.filter(({ method }) => method === 'm').length,
    0,
    'a private address that is not allowed is not asked',
  );
});

void t.test('a shutdown closes all connections', async (t) => {
  const { url, door, rooms } = await openDoor(t);
  const client = await open(url('/live'));
  await Promise.all([door.close(), door.close()]);
  await until('the end', () => client.closed);
  t.same(client.closed, [1001, 'going away']);
  t.equal(rooms.members.size, 0);
  await t.rejects(open(url('/live')), /503/);
});
