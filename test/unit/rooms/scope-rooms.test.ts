import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ANONYMOUS } from '../../../src/access/open-access.ts';
import { GatewayError } from '../../../src/errors.ts';
import type { ScopeRooms } from '../../../src/rooms/scope-rooms.ts';
import { createLocalRooms } from '../../../src/rooms/create-rooms.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { ROOM_LIMITS, type RoomLimits } from '../../../src/rooms/room-limits.ts';
import type {
  JoinRequest,
  JsonValue,
  ObjectChange,
  ObjectOperation,
  RoomActivity,
  RoomEvent,
  RoomMember,
} from '../../../src/rooms/room-client.ts';

const endOfTick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

/** A member that keeps a copy of each object as it is told about it. */
async function join(rooms: ScopeRooms, scope = 'live', more: Partial<JoinRequest> = {}) {
  const events: RoomEvent[] = [];
  const properties = new Map<string, JsonValue>();
  const changes: ObjectChange[] = [];
  const apply = (change: ObjectChange): void => {
    changes.push(change);
    if (change.type === 'set') properties.set(change.key, change.value);
    else if (change.type === 'delete') properties.delete(change.key);
    else if (change.type === 'clear') properties.clear();
  };
  const member: RoomMember = await rooms.join({
    scope,
    door: 'websocket',
    principal: { id: ANONYMOUS, actions: new Set() },
    ...more,
    receive: (event) => {
      events.push(event);
      if (event.type === 'state') {
        properties.clear();
        for (const [key, value] of event.properties) properties.set(key, value);
      } else if (event.type === 'changes') event.changes.forEach(apply);
    },
  });
  return { member, events, properties, changes };
}

const key = fc.constantFrom('a', 'b', 'c');
const operation: fc.Arbitrary<ObjectOperation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(key, fc.nat()).map(([name, value]) => ({ type: 'set' as const, key: name, value })),
  },
  { weight: 2, arbitrary: key.map((name) => ({ type: 'delete' as const, key: name })) },
  { weight: 1, arbitrary: fc.constant({ type: 'clear' as const }) },
  { weight: 1, arbitrary: fc.nat().map((value) => ({ type: 'send' as const, method: 'm', args: [value] })) },
);

void t.test('random operations by ten clients: all see the same order and end with the same state', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat({ max: 9 }), operation, fc.boolean()), { maxLength: 60 }),
      fc.nat({ max: 59 }),
      async (steps, lateAt) => {
        const rooms = localRooms({ burst: 1000 });
        const clients = await Promise.all(Array.from({ length: 10 }, () => join(rooms)));
        for (const { member } of clients) await member.connectObject('so', false);
        let late: Awaited<ReturnType<typeof join>> | undefined;
        for (const [index, [who, what, pause]] of steps.entries()) {
          if (index === lateAt) {
            late = await join(rooms);
            await late.member.connectObject('so', false);
          }
          await clients[who]!.member.change('so', what);
          if (pause) await endOfTick();
        }
        await endOfTick();
        for (const client of clients.slice(1)) deepStrictEqual(client.changes, clients[0]!.changes);
        for (const client of late ? [...clients, late] : clients)
          deepStrictEqual(new Map([...client.properties].sort()), new Map([...clients[0]!.properties].sort()));
        deepStrictEqual(clients[0]!.changes.length, steps.length);
      },
    ),
    { numRuns: 50 },
  );
});

void t.test('changes of one tick come together; texts reach the scope only', async (t) => {
  const rooms = localRooms();
  const ann = await join(rooms);
  const bob = await join(rooms);
  const eve = await join(rooms, 'live/other');
  await ann.member.connectObject('so', false);
  await bob.member.connectObject('so', false);
  void ann.member.change('so', { type: 'set', key: 'a', value: 1 });
  void bob.member.change('so', { type: 'set', key: 'b', value: 2 });
  await endOfTick();
  t.match(bob.events, [
    { type: 'state', object: 'so', version: 0, persistent: false },
    {
      type: 'changes',
      version: 2,
      changes: [
        { key: 'a', by: ann.member.id },
        { key: 'b', by: bob.member.id },
      ],
    },
  ]);
  await ann.member.sendText('hi');
  t.match(ann.events.at(-1), { type: 'text', text: 'hi' });
  t.same(eve.events, []);
  bob.member.disconnectObject('so');
  await t.rejects(bob.member.change('so', { type: 'clear' }), { code: 'INVALID_REQUEST' });
  ann.member.leave();
  ann.member.leave();
  await bob.member.connectObject('so', false);
  t.equal(bob.properties.size, 0, 'an object without members is gone');
});

void t.test('large values cost more, and an object has a limit of bytes', async (t) => {
  const rooms = localRooms({ objectBytes: 3000, burst: 10, perSecond: 1 });
  const { member } = await join(rooms);
  await member.connectObject('so', false);
  await member.change('so', { type: 'set', key: 'a', value: 'x'.repeat(2000) });
  await t.rejects(member.change('so', { type: 'set', key: 'b', value: 'x'.repeat(1500) }), { code: 'LIMIT_REACHED' });
  await member.change('so', { type: 'delete', key: 'a' });
  await member.change('so', { type: 'set', key: 'b', value: 'x'.repeat(1500) });
  await t.rejects(member.change('so', { type: 'set', key: 'b', value: 'x'.repeat(2500) }), { code: 'RATE_LIMITED' });
});

void t.test('limits', async (t) => {
  const limits: RoomLimits = {
    ...ROOM_LIMITS,
    membersPerScope: 2,
    objectsPerScope: 1,
    propertiesPerObject: 1,
    objectBytes: 1000,
    valueBytes: 10,
    nameLength: 3,
    perSecond: 1,
    burst: 9,
  };
  const rooms = localRooms(limits);
  const { member, events } = await join(rooms);
  const other = await join(rooms);
  await t.rejects(join(rooms), { code: 'LIMIT_REACHED' });
  other.member.leave();
  const third = await join(rooms);
  await member.connectObject('so', false);
  await t.rejects(member.connectObject('so2', false), { code: 'LIMIT_REACHED' });
  await t.rejects(member.connectObject('long', false), { code: 'INVALID_REQUEST' });
  await t.rejects(member.connectObject('', false), { code: 'INVALID_REQUEST' });
  await t.rejects(member.change('so', { type: 'set', key: 'a', value: 'x'.repeat(9) }), { code: 'INVALID_REQUEST' });
  await t.rejects(member.sendText('x'.repeat(11)), { code: 'INVALID_REQUEST' });
  await t.rejects(member.change('so', { type: 'send', method: 'm', args: ['x'.repeat(9)] }), {
    code: 'INVALID_REQUEST',
  });
  await member.change('so', { type: 'set', key: 'a', value: 1 });
  await member.change('so', { type: 'set', key: 'a', value: 2 });
  await t.rejects(member.change('so', { type: 'set', key: 'b', value: 1 }), { code: 'LIMIT_REACHED' });
  await member.change('so', { type: 'clear' });
  await member.sendText('ok');
  await t.rejects(member.sendText('no'), { code: 'RATE_LIMITED' });
  t.match(events.at(-1), { type: 'closed', reason: { code: 'RATE_LIMITED' } });
  await t.rejects(member.sendText('no'), { code: 'FORBIDDEN' });

  await rooms.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));
  t.match(third.events.at(-1), { type: 'closed', reason: { code: 'SHUTTING_DOWN' } });
  await t.rejects(join(rooms), { code: 'SHUTTING_DOWN' });
});

void t.test('changes and texts of one tick keep their order, also between objects', async (t) => {
  const rooms = localRooms();
  const { member, events } = await join(rooms);
  await member.connectObject('one', false);
  await member.connectObject('two', false);
  events.length = 0;
  void member.change('one', { type: 'set', key: 'a', value: 1 });
  void member.change('two', { type: 'set', key: 'a', value: 1 });
  void member.change('two', { type: 'set', key: 'a', value: 2 });
  void member.sendText('then');
  await member.change('one', { type: 'clear' });
  await endOfTick();
  t.match(events, [
    { type: 'changes', object: 'one', changes: { length: 1 } },
    { type: 'changes', object: 'two', changes: { length: 2 } },
    { type: 'text', text: 'then' },
    { type: 'changes', object: 'one', changes: [{ type: 'clear' }] },
  ]);
});

void t.test('rights: reading, writing and sending', async (t) => {
  const rooms = localRooms();
  const reader = await join(rooms, 'live', { rights: new Set(['read']) });
  const writer = await join(rooms, 'live', { rights: new Set(['write']) });
  await reader.member.connectObject('so', false);
  await t.rejects(reader.member.change('so', { type: 'clear' }), { code: 'FORBIDDEN', message: /"write"/ });
  await t.rejects(reader.member.change('so', { type: 'send', method: 'm', args: [] }), { message: /"send"/ });
  await t.rejects(reader.member.sendText('hi'), { code: 'FORBIDDEN', message: /"send"/ });
  await t.rejects(writer.member.connectObject('so', false), { code: 'FORBIDDEN', message: /"read"/ });
});

void t.test('persistent objects survive their members and a restart; acquired ones their members', async (t) => {
  const store = new MemoryStore({ logger: silentLogger });
  const first = await createLocalRooms({ store, logger: silentLogger });
  const ann = await join(first, 'live/room1');
  await ann.member.connectObject('kept', true);
  await ann.member.connectObject('lost', false);
  await ann.member.change('kept', { type: 'set', key: '__proto__', value: { deep: [1] } });
  await ann.member.change('lost', { type: 'set', key: 'a', value: 1 });
  await first.acquireObject('live/room1', 'held');
  await first.acquireObject('live/room1', 'held');
  ann.member.leave();
  t.match(await first.list({ limit: 10 }), [{ scope: 'live/room1', members: 0, objects: 2 }]);
  const bob = await join(first, 'live/room1');
  await bob.member.connectObject('lost', false);
  t.equal(bob.properties.size, 0, 'an object that is not persistent ends with its members');
  bob.member.leave();
  await first.releaseObject('live/room1', 'held');
  t.match(await first.find('live/room1'), { members: [], objects: [{ name: 'kept' }, { name: 'held', acquired: 1 }] });
  await first.releaseObject('live/room1', 'held');
  await t.rejects(first.releaseObject('live/room1', 'held'), { code: 'OBJECT_NOT_FOUND' });
  t.match(await first.find('live/room1'), { objects: [{ name: 'kept' }] });
  t.equal(first.counts.scopes, 0, 'nobody is there');
  await first.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));

  const second = await createLocalRooms({ store, logger: silentLogger });
  t.match(await second.list({ prefix: 'live/', limit: 10 }), [{ scope: 'live/room1', members: 0, objects: 1 }]);
  t.same(await second.list({ after: 'live/room1', limit: 10 }), []);
  const eve = await join(second, 'live/room1');
  await eve.member.connectObject('kept', false);
  t.strictSame([...eve.properties], [['__proto__', { deep: [1] }]]);
  await second.deleteObject('live/room1', 'kept');
  await endOfTick();
  t.match(eve.events.at(-1), { type: 'changes', object: 'kept', changes: [{ type: 'clear' }] });
  await t.rejects(eve.member.change('kept', { type: 'clear' }), { code: 'INVALID_REQUEST' });
  eve.member.leave();
  t.equal(await second.find('live/room1'), undefined);
  await second.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));
  t.same(await (await createLocalRooms({ store, logger: silentLogger })).list({ limit: 10 }), []);
});

void t.test('operators see members and objects, remove members, and change scopes', async (t) => {
  const rooms = localRooms();
  const seen: RoomActivity[] = [];
  rooms.onActivity((activity) => seen.push(activity));
  await t.rejects(rooms.sendText('live', 'hi'), { code: 'ROOM_NOT_FOUND' });
  t.equal(rooms.counts.scopes, 0);
  const ann = await join(rooms, 'live', { login: 'Ann' });
  const bob = await join(rooms, 'live', { login: 'Bob', door: 'rtmp' });
  await ann.member.publish('stage');
  await ann.member.connectObject('so', false);
  await ann.member.change('so', { type: 'set', key: 'a', value: 1 });
  await rooms.configure('live', { attributes: { topic: 'x', gone: 1 }, maxMembers: 2 });
  await rooms.configure('live', { attributes: { gone: null } });
  t.match(await rooms.find('live'), {
    scope: 'live',
    attributes: { topic: 'x', gone: undefined },
    maxMembers: 2,
    members: [
      { login: 'Ann', door: 'websocket', streams: ['stage'], objects: ['so'] },
      { login: 'Bob', door: 'rtmp' },
    ],
    objects: [{ name: 'so', persistent: false, acquired: 0, members: 1, version: 1, properties: { a: 1 } }],
  });
  await t.rejects(join(rooms), { code: 'LIMIT_REACHED' });
  await t.rejects(rooms.configure('live', { attributes: { big: 'x'.repeat(2 ** 20) } }), { code: 'LIMIT_REACHED' });
  await rooms.sendText('live', 'Welcome', 'Host');
  t.match(bob.events.at(-1), { type: 'text', text: 'Welcome', from: 'Host' });
  const reason = new GatewayError('FORBIDDEN', 'Be polite.');
  await t.rejects(rooms.removeMember('live', 'nobody', reason), { code: 'MEMBER_NOT_FOUND' });
  await rooms.removeMember('live', bob.member.id, reason);
  t.match(bob.events.at(-1), { type: 'closed', reason: { code: 'FORBIDDEN', message: 'Be polite.' } });
  await t.rejects(bob.member.sendText('?'), { code: 'FORBIDDEN' });
  t.match(ann.events.at(-1), { type: 'left', login: 'Bob' });
  t.same(rooms.counts, { scopes: 1, members: 1, objects: 1 });
  ann.member.leave();
  t.match(seen, [
    { type: 'created', scope: 'live' },
    { type: 'joined', member: { login: 'Ann' } },
    { type: 'joined', member: { login: 'Bob' } },
    { type: 'left', member: { login: 'Bob' }, reason: { code: 'FORBIDDEN' } },
    { type: 'left', member: { login: 'Ann', streams: ['stage'], objects: ['so'] }, reason: undefined },
    { type: 'removed', scope: 'live' },
  ]);
});

void t.test('the number of scopes is bounded, those with persistent objects included', async (t) => {
  const rooms = await createLocalRooms({
    store: new MemoryStore({ logger: silentLogger }),
    logger: silentLogger,
    limits: { scopes: 2 },
  });
  const ann = await join(rooms, 'one');
  await ann.member.connectObject('so', true);
  ann.member.leave();
  await rooms.find('one');
  await join(rooms, 'two');
  await t.rejects(join(rooms, 'three'), { code: 'LIMIT_REACHED' });
  await join(rooms, 'one');
});
