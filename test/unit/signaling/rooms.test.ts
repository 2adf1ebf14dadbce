import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import type { Authorizer } from '../../../src/access/authorizer.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { GatewayError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { ClientSessions } from '../../../src/sessions/client-sessions.ts';
import type { ScopeRooms } from '../../../src/rooms/scope-rooms.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import { Session, type Room, type RoomError } from '../../../src/web/client/index.js';
import { mediaWorkerEnv } from '../../helpers/media-worker.ts';
import { waitFor } from '../../helpers/wait.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { openWcsServer } = await import('../../../src/signaling/wcs-server.ts');
const { createPublishing } = await import('../../helpers/publishing.ts');

const open = createAuthorizer(SettingsSchema.parse({}), silentLogger);

async function listen(
  t: Test,
  rooms: ScopeRooms | undefined,
  {
    port = 0,
    authorizer = open,
    sessions = new ClientSessions(),
  }: { port?: number; authorizer?: Authorizer; sessions?: ClientSessions } = {},
) {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const server = await openWcsServer({
    ...createPublishing({ pool: {} as never, registry, pushes: {} as never }),
    sessions,
    registry,
    authorizer,
    rooms,
    host: '127.0.0.1',
    port,
    logger: silentLogger,
    version: 'test',
  });
  t.teardown(() => server.close());
  return server;
}

/** The wire of the Room API. */
async function roomApp(t: Test, port: number, login: string) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  t.teardown(() => socket.terminate());
  const heard: { message: string; data: { payload?: { name: string }; status?: string }[] }[] = [];
  socket.on('message', (text) => heard.push(JSON.parse(String(text)) as never));
  const send = (message: string, content: unknown) => socket.send(JSON.stringify({ message, data: [content] }));
  await new Promise((resolve) => socket.once('open', resolve));
  send('connection', { appKey: 'roomApp', custom: { login } });
  const command = (name: string, options: unknown) =>
    send('sendData', { operationId: `${name} of ${login}`, payload: { command: name, options } });
  const told = (name: string) =>
    waitFor(name, () => heard.find(({ data }) => data[0]?.payload?.name === name)?.data[0]?.payload);
  const receipt = () => waitFor('a receipt', () => heard.find(({ message }) => message === 'DataStatusEvent')?.data[0]);
  return { socket, command, told, receipt };
}

void t.test('Room API: receipts and events on the wire; a page that is closed has left', async (t) => {
  const { port } = await listen(t, localRooms());
  const ann = await roomApp(t, port, 'ann');
  ann.command('join', { name: 'r' });
  t.same(await ann.receipt(), { operationId: 'join of ann', status: 'ACCEPTED' });
  t.same(await ann.told('STATE'), { roomName: 'r', name: 'STATE', info: [] });
  const ben = await roomApp(t, port, 'ben');
  ben.command('sendMessage', { roomConfig: { name: 'r' }, to: 'ann', text: 'x' });
  t.same(await ben.receipt(), {
    operationId: 'sendMessage of ben',
    status: 'FAILED',
    info: 'You are not in this room: join it first.',
  });
  ben.command('join', { name: 'r' });
  t.same(await ben.told('STATE'), { roomName: 'r', name: 'STATE', info: ['ann'] });
  await ann.told('JOINED');
  ben.socket.terminate();
  t.same(await ann.told('LEFT'), { roomName: 'r', name: 'LEFT', info: 'ben' });
});

void t.test('REST cannot send a page of the Room API what it would take for an event of its room', async (t) => {
  const sessions = new ClientSessions();
  const { port } = await listen(t, localRooms(), { sessions });
  const ann = await roomApp(t, port, 'ann');
  const connection = await waitFor('the page', () => sessions.connections[0]);
  for (const roomName of ['r', null, {}]) {
    const payload = { roomName, name: 'STATE', info: [] };
    t.throws(() => connection.sendData({ payload }), { code: 'INVALID_REQUEST', message: /payload\.roomName/ });
  }
  connection.sendData({ payload: [{ roomName: 'r' }] });
  connection.sendData({ payload: null });
  connection.sendData({ payload: { name: 'hello' } });
  t.same(await ann.told('hello'), { name: 'hello' });

  const without = new ClientSessions();
  const plain = await listen(t, undefined, { sessions: without });
  const page = await roomApp(t, plain.port, 'ben');
  const other = await waitFor('the page', () => without.connections[0]);
  other.sendData({ payload: { roomName: 'r', name: 'STATE' } });
  t.same(await page.told('STATE'), { roomName: 'r', name: 'STATE' }, 'without rooms it has no other meaning');
});

void t.test('without rooms: refused in words, also for the library', async (t) => {
  const { port } = await listen(t, undefined);
  const info = 'Rooms are off: the gateway has the setting rooms=false.';
  const ann = await roomApp(t, port, 'ann');
  ann.command('join', { name: 'r' });
  t.match(await ann.receipt(), { status: 'FAILED', info });
  const session = await Session.connect(`ws://127.0.0.1:${port}`, { reconnect: false });
  t.teardown(() => session.close());
  await t.rejects(session.room('live'), { code: 'NOT_IMPLEMENTED', message: info });
});

void t.test('the right to join is asked for with the scope', async (t) => {
  const asked: unknown[] = [];
  const authorizer: Authorizer = {
    identify: (credentials) => open.identify(credentials),
    authorize: async (_, action, resource) => {
      asked.push([action, resource]);
      throw new GatewayError('FORBIDDEN', 'Not here.');
    },
  };
  const { port } = await listen(t, localRooms(), { authorizer });
  const ann = await roomApp(t, port, 'ann');
  ann.command('join', { name: 'r' });
  t.match(await ann.receipt(), { status: 'FAILED', info: 'Not here.' });
  t.same(asked, [['join', { scope: 'roomApp/r' }]]);
});

async function join(t: Test, port: number, path: string, name?: string) {
  const session = await Session.connect(`ws://127.0.0.1:${port}`);
  t.teardown(() => session.close());
  const room: Room = await session.room(path, name === undefined ? {} : { name });
  const messages: unknown[] = [];
  room.on('message', (message) => messages.push(message));
  const names = () => room.members.map((member) => member.name).toSorted();
  return { session, room, messages, names };
}

void t.test('library: members, texts to all and to one, errors', async (t) => {
  const { port } = await listen(t, localRooms());
  const ann = await join(t, port, 'roomApp/r', 'ann');
  const ben = await join(t, port, 'roomApp/r', 'ben');
  const sdk = await roomApp(t, port, 'sdk');
  sdk.command('join', { name: 'r' });
  await waitFor('the members', () => ann.names().length === 2 && ben.names().length === 2);
  t.same(
    [ann.names(), ben.names()],
    [
      ['ben', 'sdk'],
      ['ann', 'sdk'],
    ],
  );
  const html = '<b>hello</b>';
  await ann.room.send(html);
  t.same(await sdk.told('MESSAGE'), { roomName: 'r', name: 'MESSAGE', info: { from: 'ann', text: html } });
  await ann.room.sendTo('ben', 'secret');
  await waitFor('the messages', () => ben.messages.length === 2);
  t.same(ben.messages, [
    { from: 'ann', text: html, direct: false },
    { from: 'ann', text: 'secret', direct: true },
  ]);
  t.same(ann.messages, [{ from: 'ann', text: html, direct: false }], 'the sender hears itself');

  await t.rejects(ann.room.sendTo('nobody', 'x'), { code: 'MEMBER_NOT_FOUND' });
  await t.rejects(ann.room.send('x'.repeat(40_000)), { code: 'INVALID_REQUEST' });
  await t.rejects(ann.session.room('roomApp/r', { name: 'other' }), { message: 'You are already in this room.' });
  await t.rejects(ben.session.room('other/'.repeat(9)), { message: 'A scope has at most 8 segments.' });
  const twin = await Session.connect(`ws://127.0.0.1:${port}`);
  t.teardown(() => twin.close());
  await t.rejects(twin.room('roomApp/r', { name: 'ann' }), { code: 'LOGIN_IN_USE' });
  const closed: (RoomError | undefined)[] = [];
  ben.room.on('closed', (reason) => closed.push(reason));
  ben.room.leave();
  ben.room.leave();
  await waitFor('ben to be gone', () => ann.names().join() === 'sdk');
  t.same(closed, [undefined]);
  await t.rejects(ben.room.send('x'), { code: 'DISCONNECTED' });
  const guest = await join(t, port, 'roomApp/r');
  t.match(guest.room.name, /^guest-[0-9a-f]{6}$/);
});

void t.test('library: objects, and the return after an interruption', async (t) => {
  const rooms = localRooms();
  const server = await listen(t, rooms);
  const { port } = server;
  const ann = await join(t, port, 'live/r', 'ann');
  const ben = await join(t, port, 'live/r', 'ben');
  const ours = await ann.room.object('so');
  const theirs = await ben.room.object('so');
  t.equal(await ann.room.object('so'), ours);
  const changes: unknown[] = [];
  ours.on('change', (change) => changes.push(change));
  ours.on('call', (method, args) => changes.push([method, ...args]));
  await ours.set('a', { list: [1, null, 'zwei'] });
  await theirs.set('b', 2);
  await theirs.delete('a');
  await theirs.call('ping', 1, 'x');
  await theirs.clear();
  await waitFor('the changes', () => changes.length === 5);
  t.same(changes, [
    { key: 'a', value: { list: [1, null, 'zwei'] }, own: true },
    { key: 'b', value: 2, own: false },
    { key: 'a', value: undefined, own: false },
    ['ping', 1, 'x'],
    { key: 'b', value: undefined, own: false },
  ]);
  const deep = JSON.parse('['.repeat(40) + ']'.repeat(40)) as unknown;
  await t.rejects(ours.set('deep', deep), { code: 'INVALID_REQUEST', message: /at most 32 levels/ });
  await t.rejects(ours.set('', 1), { code: 'INVALID_REQUEST', message: 'key must not be empty.' });

  // Somebody else keeps the object.
  const principal = await open.identify({ door: 'wcs', ip: '127.0.0.1' });
  const keeper = await rooms.join({ scope: 'live/r', door: 'websocket', principal, receive: () => undefined });
  await keeper.connectObject('so', false);
  await server.close();
  await waitFor('the loss', () => ann.session.state === 'reconnecting');
  await t.rejects(ann.room.send('x'), { code: 'DISCONNECTED' });
  await keeper.change('so', { type: 'set', key: 'meanwhile', value: true });
  await listen(t, rooms, { port });
  await waitFor('the state', () => ours.get('meanwhile') === true && theirs.get('meanwhile') === true);
  await waitFor('the members', () => ann.names().join() === 'ben' && ben.names().join() === 'ann');
  await theirs.close();
  await t.rejects(theirs.set('x', 1), { code: 'INVALID_REQUEST' });
});
