import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ANONYMOUS } from '../../../src/access/open-access.ts';
import { GatewayError } from '../../../src/errors.ts';
import { LocalRooms } from '../../../src/rooms/local-rooms.ts';
import { ROOM_LIMITS, type RoomLimits } from '../../../src/rooms/room-limits.ts';
import type {
  JsonValue,
  ObjectChange,
  ObjectOperation,
  RoomEvent,
  RoomMember,
} from '../../../src/rooms/room-client.ts';

const endOfTick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

/** A member that keeps a copy of each object as it is told about it. */
async function join(rooms: LocalRooms, scope = 'live') {
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
        const rooms = new LocalRooms({ burst: 1000 });
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
  const rooms = new LocalRooms();
  const ann = await join(rooms);
  const bob = await join(rooms);
  const eve = await join(rooms, 'live/other');
  await ann.member.connectObject('so', true);
  await bob.member.connectObject('so', false);
  void ann.member.change('so', { type: 'set', key: 'a', value: 1 });
  void bob.member.change('so', { type: 'set', key: 'b', value: 2 });
  await endOfTick();
  t.match(bob.events, [
    { type: 'state', object: 'so', version: 0, persistent: true },
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
  const rooms = new LocalRooms({ objectBytes: 3000, burst: 10, perSecond: 1 });
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
  const rooms = new LocalRooms(limits);
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

  rooms.close(new GatewayError('SHUTTING_DOWN', 'Bye.'));
  t.match(third.events.at(-1), { type: 'closed', reason: { code: 'SHUTTING_DOWN' } });
  await t.rejects(join(rooms), { code: 'SHUTTING_DOWN' });
});
