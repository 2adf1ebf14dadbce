import t, { type Test } from 'tap';
import { ANONYMOUS } from '../../../src/access/open-access.ts';
import { GatewayError } from '../../../src/errors.ts';
import { RoomApi, type RoomPayload } from '../../../src/rooms/doors/room-api.ts';
import type { ScopeRooms } from '../../../src/rooms/scope-rooms.ts';
import { localRooms } from '../../helpers/local-rooms.ts';

function client(rooms: ScopeRooms, login: unknown) {
  const told: RoomPayload[] = [];
  const ends: GatewayError[] = [];
  const scopes: string[] = [];
  const api = new RoomApi({
    login,
    join: (request) => {
      scopes.push(request.scope);
      return rooms.join({ ...request, door: 'wcs', principal: { id: ANONYMOUS, actions: new Set() } });
    },
    send: (payload) => told.push(payload),
    end: (reason) => ends.push(reason),
    onError: (error) => {
      throw error;
    },
  });
  const join = (name = 'room1') => api.command({ command: 'join', options: { name } });
  const say = (to: string, text: string) =>
    api.command({ command: 'sendMessage', options: { roomConfig: { name: 'room1' }, to, text } });
  const leave = (name = 'room1') => api.command({ command: 'leave', options: { name } });
  return { api, told, ends, scopes, join, say, leave };
}

const refused = (t: Test, done: Promise<void>, message: string | RegExp) => t.rejects(done, { message });

void t.test('join, publish, message, leave: what the SDK of each member is told', async (t) => {
  const rooms = localRooms();
  const [ann, ben] = [client(rooms, 'ann'), client(rooms, 'ben')];
  await ann.join();
  t.same(ann.scopes, ['roomApp/room1']);
  t.same(ann.told.splice(0), [{ roomName: 'room1', name: 'STATE', info: [] }]);
  ann.api.streams.started('room1', 'room1-ann-1');
  ann.api.streams.started('room1', 'room1-ann-2');
  ann.api.streams.started('elsewhere', 'not-here');
  await ben.join();
  t.same(ben.told.splice(0), [
    {
      roomName: 'room1',
      name: 'STATE',
      info: [
        { login: 'ann', name: 'room1-ann-1' },
        { login: 'ann', name: 'room1-ann-2' },
      ],
    },
  ]);
  ben.api.streams.started('room1', 'room1-ben-1');
  ben.api.streams.started('room1', 'room1-ben-1');
  ann.api.streams.ended('room1-ann-1', false);
  ann.api.streams.ended('room1-ann-2', true);
  ann.api.streams.ended('room1-ann-2', true);
  const html = '<img src=x onerror=alert(1)>';
  await ben.say('ann', html);
  await ben.leave();
  await t.rejects(ben.say('ann', 'x'), { message: 'You are not in this room: join it first.' });
  t.same(ann.told, [
    { roomName: 'room1', name: 'JOINED', info: 'ben' },
    { roomName: 'room1', name: 'PUBLISHED', info: { login: 'ben', name: 'room1-ben-1' } },
    { roomName: 'room1', name: 'MESSAGE', info: { from: 'ben', text: html } },
    { roomName: 'room1', name: 'LEFT', info: 'ben' },
  ]);
  t.same(ben.told, [
    { roomName: 'room1', name: 'UNPUBLISHED', info: { login: 'ann', name: 'room1-ann-1' } },
    { roomName: 'room1', name: 'FAILED', info: { login: 'ann', name: 'room1-ann-2' } },
  ]);
});

void t.test('a stream that started before its publisher joined is shown once it has', async (t) => {
  const rooms = localRooms();
  const [ann, ben] = [client(rooms, 'ann'), client(rooms, 'ben')];
  await ann.join();
  ben.api.streams.started('room1', 'early');
  await ben.join();
  t.match(ann.told.at(-1), { name: 'PUBLISHED', info: { login: 'ben', name: 'early' } });
});

void t.test('two with one login; a client that goes without leaving frees its login', async (t) => {
  const rooms = localRooms();
  const [ann, twin, ben] = [client(rooms, 'ann'), client(rooms, 'ann'), client(rooms, 'ben')];
  await ann.join();
  await ben.join();
  await refused(t, twin.join(), 'The login "ann" is already in this room.');
  await twin.join('room2');
  await refused(t, ann.join(), 'You are already in this room.');
  ann.api.close();
  ann.api.close();
  t.match(ben.told.at(-1), { name: 'LEFT', info: 'ann' });
  await twin.join();
  t.match(ben.told.at(-1), { name: 'JOINED', info: 'ann' });
});

void t.test('commands are carried out in their order; a join that is decided after the end is undone', async (t) => {
  const rooms = localRooms();
  const ann = client(rooms, 'ann');
  await Promise.all([ann.join(), ann.leave(), ann.join()]);
  t.same(
    ann.told.map(({ name }) => name),
    ['STATE', 'STATE'],
  );
  const ben = client(rooms, 'ben');
  const joining = ben.join();
  ben.api.close();
  await joining;
  t.notOk(ann.told.at(-1)?.name === 'JOINED', 'it is not in the room');
  await client(rooms, 'ben').join();
});

void t.test('wrong input', async (t) => {
  const rooms = localRooms();
  const { api, join, say, leave } = client(rooms, 'ann');
  const command = (payload: unknown) => api.command(payload);
  for (const payload of [undefined, null, 7, 'join', {}, { command: 'kick' }, { command: 1 }, []])
    await t.rejects(command(payload), { code: 'INVALID_REQUEST' });
  await refused(t, command({ command: 'kick' }), 'command must be join, leave or sendMessage.');
  await refused(t, command({ command: 'join' }), 'payload.options must be an object.');
  await refused(t, command({ command: 'join', options: {} }), 'payload.options.name must be the name of a room.');
  await refused(t, command({ command: 'join', options: { name: ' '.repeat(129) } }), /at most 128 characters/);
  await refused(t, join('/'.repeat(10) + 'a/b/c/d/e/f/g/h'), 'A scope has at most 8 segments.');
  await refused(t, command({ command: 'join', options: { name: 'room1', record: true } }), /^Rooms are not recorded/);
  await refused(t, leave(), 'You are not in this room: join it first.');
  await refused(t, command({ command: 'leave', options: { name: {} } }), /name of a room/);
  await refused(t, say('ben', 'x'), 'You are not in this room: join it first.');
  await join();
  await refused(t, say('ben', 'x'), 'Nobody with this login is in the room.');
  const options = { roomConfig: { name: 'room1' }, to: 'ann', text: {} };
  await refused(t, command({ command: 'sendMessage', options }), 'payload.options.text must be a text.');
  await refused(t, say('ann', 'x'.repeat(40_000)), /at most 32768 bytes/);
  for (const login of [undefined, '', 7, {}, null])
    await refused(t, client(rooms, login).join(), 'A login is required: set username of RoomApi.connect().');
  for (const login of ['__proto__', 'a\nb', 'x'.repeat(65)])
    await refused(t, client(rooms, login).join(), /^The login must/);
});

void t.test('bounds: rooms of a client, commands at once, messages per second, the end of the gateway', async (t) => {
  const rooms = localRooms({ burst: 3, perSecond: 1 });
  const [ann, ben, eve] = [client(rooms, 'ann'), client(rooms, 'ben'), client(rooms, 'eve')];
  for (let room = 0; room < 16; room++) await ann.join(`r${room}`);
  await refused(t, ann.join('r16'), /16 rooms/);
  await ben.join();
  await eve.join();
  await Promise.all([1, 2, 3].map(() => eve.say('ben', 'x')));
  await t.rejects(eve.say('ben', 'x'), { code: 'RATE_LIMITED' });
  t.match(eve.ends, [{ code: 'RATE_LIMITED' }]);
  t.match(ben.told.at(-1), { name: 'LEFT', info: 'eve' });
  const many = Array.from({ length: 300 }, () => eve.leave().catch(({ message }: Error) => message));
  t.equal((await Promise.all(many)).filter((message) => message === 'Too many requests at once.').length, 44);
  await rooms.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.'));
  t.match(ben.ends, [{ code: 'SHUTTING_DOWN' }]);
});

void t.test('texts of other doors: shown if the sender has a login', async (t) => {
  const rooms = localRooms();
  const ann = client(rooms, 'ann');
  await ann.join();
  const principal = { id: ANONYMOUS, actions: new Set<never>() };
  const other = { scope: 'roomApp/room1', principal, receive: () => undefined };
  await (await rooms.join({ ...other, door: 'websocket' })).sendText('from nobody');
  await (await rooms.join({ ...other, door: 'wcs', login: 'ben' })).sendText('hello');
  t.same(ann.told.slice(1), [
    { roomName: 'room1', name: 'JOINED', info: 'ben' },
    { roomName: 'room1', name: 'MESSAGE', info: { from: 'ben', text: 'hello' } },
  ]);
});
