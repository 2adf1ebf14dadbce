import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ANONYMOUS } from '../../../src/access/open-access.ts';
import { GatewayError } from '../../../src/errors.ts';
import type { ScopeRooms } from '../../../src/rooms/scope-rooms.ts';
import { createLocalRooms } from '../../../src/rooms/create-rooms.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import type { SettingKey } from '../../../src/config/schema.ts';
import { limitHits } from '../../../src/observe/limits.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { waitFor } from '../../helpers/wait.ts';
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
  await t.rejects(reader.member.connectObject('so', true), { code: 'FORBIDDEN', message: /"write"/ });
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

void t.test('the number of scopes in use is bounded; those that only keep objects take no place', async (t) => {
  const rooms = await createLocalRooms({
    store: new MemoryStore({ logger: silentLogger }),
    logger: silentLogger,
    limits: { scopes: 2 },
  });
  for (const scope of ['one', 'two', 'three']) {
    const { member } = await join(rooms, scope);
    await member.connectObject('so', true);
    member.leave();
  }
  const [one, two] = [await join(rooms, 'one'), await join(rooms, 'four')];
  await t.rejects(join(rooms, 'five'), { code: 'LIMIT_REACHED', message: /rooms_max_scopes/ });
  await t.rejects(join(rooms, 'two'), { code: 'LIMIT_REACHED' });
  await join(rooms, 'one');
  two.member.leave();
  const results = await Promise.allSettled(['six', 'seven', 'eight'].map((scope) => join(rooms, scope)));
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1, 'also when they come together');
  one.member.leave();
});

/** Rooms that keep objects, with a disk. */
async function keepingRooms(limits: Partial<RoomLimits>, disk = { free: 2 ** 30 }) {
  const options = { store: new MemoryStore({ logger: silentLogger }), logger: silentLogger };
  const open = () => createLocalRooms({ ...options, limits, freeBytes: async () => disk.free });
  const rooms = await open();
  const principal = (id: string) => ({ principal: { id, actions: new Set<never>() }, ip: `192.0.2.${id.length}` });
  return { rooms, open, principal, store: options.store };
}

void t.test('persistent objects are bounded in all, by number and bytes, over a restart as well', async (t) => {
  const counted = (key: SettingKey) => limitHits.counts.get(key) ?? 0;
  const before = counted('rooms_max_persistent_objects');
  const { rooms, open } = await keepingRooms({ persistentObjects: 2, persistentBytes: 1000 });
  const { member } = await join(rooms, 'a');
  await member.connectObject('one', true);
  await member.connectObject('one', true);
  const other = await join(rooms, 'b');
  await other.member.connectObject('two', true);
  for (const { connectObject } of [member, other.member])
    await t.rejects(connectObject.call(member, 'three', true), {
      code: 'LIMIT_REACHED',
      message: /rooms_max_persistent_objects.*without persistence/s,
    });
  t.equal(counted('rooms_max_persistent_objects'), before + 2);
  await member.connectObject('three', false);
  await rooms.deleteObject('b', 'two');
  await member.connectObject('three', true);

  const set = (value: string) => member.change('one', { type: 'set', key: 'k', value });
  await set('x'.repeat(1200));
  await t.rejects(set('y'), { code: 'LIMIT_REACHED', message: /rooms_max_persistent_mb/ });
  await t.rejects(member.change('three', { type: 'set', key: 'k', value: 1 }), { code: 'LIMIT_REACHED' });
  await other.member.connectObject('free', false);
  await other.member.change('free', { type: 'set', key: 'k', value: 'x'.repeat(100) });
  await rooms.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));

  const again = await open();
  const third = await join(again, 'c');
  await t.rejects(third.member.connectObject('new', true), { code: 'LIMIT_REACHED' });
  const back = await join(again, 'a');
  await back.member.connectObject('one', true);
  await t.rejects(back.member.change('one', { type: 'set', key: 'k', value: '' }), { code: 'LIMIT_REACHED' });
  await back.member.change('one', { type: 'delete', key: 'k' });
  await back.member.change('one', { type: 'set', key: 'k', value: '' });
  await again.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));
});

void t.test('a principal, and an address, make some objects persistent in a day', async (t) => {
  const { rooms, principal } = await keepingRooms({ persistentPerDay: 2 });
  const byAnn = async (scope: string, ip: string) =>
    (await join(rooms, scope, { ...principal('ann'), ip })).member.connectObject('so', true);
  await byAnn('a', '192.0.2.1');
  await byAnn('b', '192.0.2.2');
  await t.rejects(byAnn('c', '192.0.2.3'), { code: 'RATE_LIMITED', message: /rooms_persistent_objects_per_day/ });
  await byAnn('a', '192.0.2.3');
  const anonymous = async (scope: string, ip: string) =>
    (await join(rooms, scope, { ip })).member.connectObject('so', true);
  for (const scope of ['d', 'e']) await anonymous(scope, '2001:db8::1');
  await t.rejects(anonymous('f', '2001:db8::2'), { code: 'RATE_LIMITED' }, 'the same network');
  await anonymous('f', '192.0.2.9');
});

void t.test('persistent objects do not grow while the disk has little free space', async (t) => {
  const { rooms } = await keepingRooms({}, { free: 1000 });
  const { member } = await join(rooms);
  await t.rejects(member.connectObject('so', true), { code: 'DISK_FULL', message: /rooms_min_free_mb/ });
  await member.connectObject('so', false);
  await member.change('so', { type: 'set', key: 'a', value: 1 });
});

void t.test('changes of large objects are written at a limited rate, and loaded before they are written', async (t) => {
  const { store } = await keepingRooms({});
  let written = 0;
  const counting = {
    ...store,
    records: (namespace: string, schema: never) => {
      const records = store.records<{ properties?: unknown }>(namespace, schema);
      return new Proxy(records, {
        get: (target, name: keyof typeof records) =>
          name === 'put'
            ? (...args: Parameters<typeof records.put>) => {
                written += JSON.stringify(args[1]).length;
                return target.put(...args);
              }
            : (target[name] as () => unknown).bind(target),
      });
    },
  } as unknown as typeof store;
  const rooms = await createLocalRooms({ store: counting, logger: silentLogger, limits: { burst: 1e6 } });
  const { member } = await join(rooms, 'big');
  for (let object = 0; object < 10; object++) {
    await member.connectObject(`o${object}`, true);
    for (let key = 0; key < 3; key++)
      await member.change(`o${object}`, { type: 'set', key: `k${key}`, value: 'x'.repeat(30_000) });
  }
  await waitFor('the first write', () => written > 0, { every: 5 });
  await endOfTick();
  t.ok(written < 600 * 1024, `${written} bytes of 900 KB`);
  member.leave();
  const again = await join(rooms, 'big');
  t.ok(written < 600 * 1024, 'it does not wait for the others to be written');
  await again.member.connectObject('o9', false);
  t.equal(again.properties.size, 3);
  await rooms.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));
  const after = await createLocalRooms({ store, logger: silentLogger });
  t.match(await after.find('big'), { objects: { length: 10 } });
});

void t.test('calls that create a room check its name; others take the names of earlier versions', async (t) => {
  const rooms = localRooms();
  for (const name of ['x'.repeat(513), 'live/\ud800', '..', 'live/../a', './a']) {
    const refusal = { code: 'INVALID_REQUEST', message: /name of a room/ };
    await t.rejects(join(rooms, name), refusal);
    await t.rejects(rooms.acquireObject(name, 'so'), refusal);
  }
  await t.rejects(rooms.sendText('..', 'hi'), { code: 'ROOM_NOT_FOUND' });
  for (const name of ['\u{1f600}'.repeat(256), 'live/...', 'a b/%2e']) await join(rooms, name);
});

void t.test('a member is removed when its right ends, and then only', async (t) => {
  const rooms = localRooms();
  const seen: RoomActivity[] = [];
  rooms.onActivity((activity) => seen.push(activity));
  const endsAt = Date.now() + 50;
  const [ann, left] = [await join(rooms, 'live', { endsAt }), await join(rooms, 'live', { endsAt })];
  left.member.leave();
  await waitFor('the end', () => ann.events.length > 0, { every: 5 });
  t.match(ann.events, [{ type: 'closed', reason: { code: 'TOKEN_EXPIRED' } }]);
  await waitFor('the end of the scope', () => seen.at(-1)?.type === 'removed', { every: 5 });
  t.match(seen.at(-2), { type: 'left', reason: { code: 'TOKEN_EXPIRED' } });
  t.same(left.events, []);
});

void t.test('what a limit refuses is counted once', async (t) => {
  const rooms = localRooms({ membersPerScope: 1, valueBytes: 10 });
  const counted = (key: SettingKey) => limitHits.counts.get(key) ?? 0;
  const before = [counted('rooms_max_members'), counted('rooms_max_value_kb')];
  const { member } = await join(rooms);
  await t.rejects(join(rooms), { code: 'LIMIT_REACHED' });
  await t.rejects(member.sendText('x'.repeat(20)), { code: 'INVALID_REQUEST' });
  t.same([counted('rooms_max_members'), counted('rooms_max_value_kb')], [before[0]! + 1, before[1]! + 1]);
});
