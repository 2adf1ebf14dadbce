import { isDeepStrictEqual } from 'node:util';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { NodeRegistry } from '../../../src/cluster/node-registry.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { FORWARDED_CLIENT_HEADER, ForwardedClients } from '../../../src/net/forwarded-client.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { ClientSessions } from '../../../src/sessions/client-sessions.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import type { ServerMessages } from '../../../src/signaling/messages.ts';
import { RoutedRooms } from '../../../src/signaling/manager/routed-rooms.ts';
import { openRoutingServer } from '../../../src/signaling/manager/routing-server.ts';
import { wcsLimits } from '../../../src/signaling/wcs-limits.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import { Session } from '../../../src/web/client/index.js';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { mediaWorkerEnv } from '../../helpers/media-worker.ts';
import { nodeRecord } from '../../helpers/node-record.ts';
import { waitFor } from '../../helpers/wait.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { openWcsServer } = await import('../../../src/signaling/wcs-server.ts');
const { createPublishing } = await import('../../helpers/publishing.ts');

const clients = new ForwardedClients(Buffer.alloc(32, 5).toString('base64'));
const authorizer = createAuthorizer(SettingsSchema.parse({}), silentLogger);

/** Two nodes that have the same rooms, and a manager. Pages come to `a` first. */
async function setUp(t: Test) {
  const rooms = localRooms();
  const sessions = new Map<string, ClientSessions>();
  const startNode = async (id: string) => {
    const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
    const listed = new ClientSessions();
    sessions.set(id, listed);
    const server = await openWcsServer({
      ...createPublishing({ pool: {} as never, registry, pushes: {} as never }),
      sessions: listed,
      registry,
      authorizer,
      rooms,
      forwardedClients: clients,
      host: '127.0.0.1',
      port: 0,
      logger: silentLogger,
      version: 'test',
    });
    t.teardown(() => server.close());
    return server;
  };
  const nodes = { a: await startNode('a'), b: await startNode('b') };
  const store = new ModelStore(new RedisModel(() => Date.now()));
  for (const [index, [id, { port }]] of Object.entries(nodes).entries())
    await store.beat(nodeRecord(id, { wsUrl: `ws://127.0.0.1:${port}`, publications: index }), 60_000);
  const registry = new NodeRegistry({ store, managerId: 'm', logger: silentLogger, probe: async () => false });
  await registry.poll();
  const manager = await openRoutingServer({
    registry,
    clients,
    region: '',
    version: 'test',
    limits: wcsLimits(SettingsSchema.parse({})),
    logger: silentLogger,
    host: '127.0.0.1',
    port: 0,
    setting: 'ws.port',
  });
  t.teardown(() => manager.close());
  return { nodes, sessions, url: `ws://127.0.0.1:${manager.port}` };
}

interface Payload {
  readonly name: string;
  readonly info: unknown;
}

/** A page of the Room API, as it speaks on the wire. */
async function openPage(t: Test, url: string, login: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url, { headers });
  t.teardown(() => socket.terminate());
  const heard: { message: string; data: { payload?: Payload; operationId?: string; status?: string }[] }[] = [];
  const page = {
    socket,
    closed: undefined as [number, string] | undefined,
    send: (message: string, content: unknown) => socket.send(JSON.stringify({ message, data: [content] })),
    command: (command: string, options: unknown) =>
      page.send('sendData', { operationId: command, payload: { command, options } }),
    /** What the rooms have told it. */
    told: () =>
      heard
        .filter(({ message }) => message === 'OnDataEvent')
        .map(({ data }) => [data[0]?.payload?.name, data[0]?.payload?.info]),
    receipts: () => heard.filter(({ message }) => message === 'DataStatusEvent').map(({ data }) => data[0]),
    count: (name: string) => heard.filter(({ message }) => message === name).length,
  };
  socket.on('message', (text) => heard.push(JSON.parse(String(text)) as never));
  socket.on('close', (code, reason) => (page.closed = [code, String(reason)]));
  await new Promise((resolve) => socket.once('open', resolve));
  page.send('connection', { appKey: 'roomApp', custom: { login } });
  await waitFor('the connection', () => page.count('getUserData') === 1);
  return page;
}

t.test('pages of the Room API stay in their rooms when their node is lost', async (t) => {
  const { nodes, url } = await setUp(t);
  const ann = await openPage(t, url, 'ann');
  ann.command('join', { name: 'r' });
  await waitFor('the state', () => ann.told().length === 1);
  const ben = await openPage(t, url, 'ben');
  ben.command('join', { name: 'r' });
  await waitFor('both', () => ann.told().length === 2 && ben.told().length === 1);
  // A member that is not on the lost node.
  const other = await openPage(t, `ws://127.0.0.1:${nodes.b.port}`, 'other');
  other.command('join', { name: 'r' });
  await waitFor('three', () => ben.told().length === 2);
  ann.command('join', { name: 'second' });
  ann.command('leave', { name: 'second' });
  await waitFor('the receipts', () => ann.receipts().length === 3);

  await nodes.a.close();
  for (const name of ['ann', 'ben'])
    await waitFor(`${name} in the room again`, () =>
      isDeepStrictEqual(
        other
          .told()
          .filter(([, info]) => info === name)
          .map(([event]) => event),
        ['LEFT', 'JOINED'],
      ),
    );
  ann.command('sendMessage', { roomConfig: { name: 'r' }, to: 'ben', text: 'still here?' });
  await waitFor('the text', () => ben.told().some(([name]) => name === 'MESSAGE'));
  for (const page of [ann, ben]) {
    t.equal(page.told().filter(([name]) => name === 'STATE').length, page === ann ? 2 : 1, 'one state for each room');
    t.equal(page.closed, undefined);
    t.equal(page.count('getUserData'), 1);
  }
  t.ok(
    ann.receipts().every((receipt) => receipt?.status === 'ACCEPTED' && !/-/.test(receipt.operationId!)),
    'the joins of the manager are not answered to the page',
  );
});

t.test('a page that its node terminates is disconnected', async (t) => {
  const { sessions, url } = await setUp(t);
  const ann = await openPage(t, url, 'ann');
  ann.command('join', { name: 'r' });
  await waitFor('the state', () => ann.told().length === 1);
  for (const connection of sessions.get('a')!.connections) connection.terminate('Stopped by rest /terminate');
  await waitFor('the end', () => ann.closed);
  t.strictSame(ann.closed, [1000, 'Stopped by rest /terminate']);
});

t.test('the library returns to its rooms and objects over the same connection', async (t) => {
  const { nodes, url } = await setUp(t);
  const session = await Session.connect(url);
  t.teardown(() => session.close());
  const states: string[] = [];
  session.on('state', (state) => states.push(state));
  const room = await session.room('live/r', { name: 'ann' });
  const object = await room.object('state', { persistent: true });
  await object.set('topic', 'before');
  await nodes.a.close();
  await waitFor('the other node', () => nodes.b.sessions === 1);
  const ben = await Session.connect(url);
  t.teardown(() => ben.close());
  const other = await ben.room('live/r', { name: 'ben' });
  await waitFor('each other', () => room.members.length === 1 && other.members.length === 1);
  const theirs = await other.object('state');
  await theirs.set('topic', 'after');
  await waitFor('the change', () => object.get('topic') === 'after');
  await object.set('mine', 1);
  await waitFor('the change', () => theirs.get('mine') === 1);
  t.strictSame(states, []);
});

t.test('a node believes managers only that a stream is published on another node', async (t) => {
  const { nodes } = await setUp(t);
  const url = `ws://127.0.0.1:${nodes.a.port}`;
  const ann = await openPage(t, url, 'ann', { [FORWARDED_CLIENT_HEADER]: clients.sign('192.0.2.7') });
  const eve = await openPage(t, url, 'eve');
  const ben = await openPage(t, url, 'ben');
  ann.send('roomStream', { room: 'r', stream: 'early', status: 'started' });
  for (const page of [ann, eve, ben]) {
    page.command('join', { name: 'r' });
    await waitFor('the receipt', () => page.receipts().length === 1);
  }
  t.match(ben.told()[0], ['STATE', [{ login: 'ann', name: 'early' }, 'eve']]);
  eve.send('roomStream', { room: 'r', stream: 'false', status: 'started' });
  eve.command('sendMessage', { roomConfig: { name: 'r' }, to: 'ann', text: 'x' });
  await waitFor('the receipt', () => eve.receipts().length === 2);
  ann.send('roomStream', { room: 'r', stream: 'early', status: 'ended' });
  ann.send('roomStream', { room: 'r', stream: 'late', status: 'started' });
  ann.send('roomStream', { room: 'r', stream: 'late', status: 'failed' });
  ann.send('roomStream', { room: 5 });
  await waitFor('the events', () => ben.told().length === 4);
  t.strictSame(ben.told().slice(1), [
    ['UNPUBLISHED', { login: 'ann', name: 'early' }],
    ['PUBLISHED', { login: 'ann', name: 'late' }],
    ['FAILED', { login: 'ann', name: 'late' }],
  ]);
});

function routedRooms(t: Test) {
  const home: [string, { readonly [key: string]: unknown }][] = [];
  const page: [keyof ServerMessages, unknown][] = [];
  const ends: string[] = [];
  const rooms = new RoutedRooms({
    toHome: (message, argument) => home.push([message, argument as never]),
    toPage: (message, ...data) => page.push([message, data[0]]),
    end: (info) => ends.push(info),
  });
  t.teardown(() => rooms.close());
  return { rooms, home, page, ends };
}

t.test('the home node hears of streams on other nodes, also the next one', async (t) => {
  const { rooms, home } = routedRooms(t);
  const started = (stream: string) => ({ room: 'r', stream, status: 'started' });
  rooms.reported(started('here'), 'a', 'a');
  rooms.reported(started('there'), 'b', 'a');
  rooms.reported(started('gone'), 'c', 'a');
  rooms.reported({ room: 'r' }, 'b', 'a');
  t.strictSame(home.splice(0), [
    ['roomStream', started('there')],
    ['roomStream', started('gone')],
  ]);
  rooms.nodeLost('c');
  t.strictSame(home.splice(0), [['roomStream', { ...started('gone'), status: 'failed' }]]);
  rooms.reported({ ...started('gone'), status: 'ended' }, 'c', 'a');
  t.strictSame(home.splice(0), [], 'once');
  rooms.homeFound('d');
  t.strictSame(home.splice(0), [
    ['roomStream', started('here')],
    ['roomStream', started('there')],
  ]);
  rooms.reported({ ...started('there'), status: 'ended' }, 'b', 'd');
  rooms.reported(started('here'), 'd', 'd');
  rooms.reported({ ...started('here'), status: 'ended' }, 'a', 'd');
  t.strictSame(
    home.splice(0),
    [['roomStream', { ...started('there'), status: 'ended' }]],
    'a later stream of the name stays',
  );
});

t.test('requests that a lost node has not answered fail; a room that stays closed ends the connection', async (t) => {
  const { rooms, home, page, ends } = routedRooms(t);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const join = (name: string) => ({ operationId: name, payload: { command: 'join', options: { name } } });
  const accept = (operationId: unknown) => rooms.received('DataStatusEvent', { operationId, status: 'ACCEPTED' });
  rooms.sent('sendData', join('r'));
  t.ok(accept('r'));
  rooms.sent('sendData', join('r'));
  t.ok(rooms.received('DataStatusEvent', { operationId: 'r', status: 'FAILED', info: 'already' }), 'it is in the room');
  rooms.sent('sendData', join('refused'));
  rooms.received('DataStatusEvent', { operationId: 'refused', status: 'FAILED', info: 'no' });
  rooms.sent('sendData', join('waits'));
  rooms.sent('sendData', { operationId: 7, payload: 'for the application server' });
  rooms.sent('room', { id: 1, room: 'live', action: 'join' });
  rooms.sent('room', 'malformed');
  rooms.sent('sendData', 'malformed');
  rooms.homeLost();
  t.match(page, [
    ['DataStatusEvent', { operationId: 'waits', status: 'FAILED', info: /gone/ }],
    ['DataStatusEvent', { operationId: 7, status: 'FAILED' }],
    ['roomReply', { id: 1, error: { code: 'NODE_LOST' } }],
  ]);
  t.ok(rooms.needsHome);
  rooms.homeFound('b');
  for (let attempt = 1; attempt < 20; attempt++) {
    t.match(home, [['sendData', { payload: { command: 'join', options: { name: 'r' } } }]]);
    const { operationId } = home.shift()![1];
    t.notOk(rooms.received('DataStatusEvent', { operationId, status: 'FAILED', info: 'in use' }));
    t.strictSame(home, []);
    mock.timers.tick(1000);
  }
  t.strictSame(ends, []);
  rooms.received('DataStatusEvent', { operationId: home.shift()![1]['operationId'], status: 'FAILED', info: 'in use' });
  t.strictSame(ends, ['in use']);
});
