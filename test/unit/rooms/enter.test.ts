import t, { type Test } from 'tap';
import { type Grant, type Principal, type RoomRight } from '../../../src/access/authorizer.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { GatewayError } from '../../../src/errors.ts';
import { enterAs } from '../../../src/rooms/doors/enter.ts';
import type { RoomEvent } from '../../../src/rooms/room-client.ts';
import { FakeRooms } from '../../helpers/fake-rooms.ts';
import { waitFor } from '../../helpers/wait.ts';

async function entering(t: Test, principal: Partial<Principal>, grant: Grant = {}) {
  const rooms = new FakeRooms();
  const provider = {
    identify: async (): Promise<Principal> => ({ id: 'p', actions: new Set(['join'] as const), ...principal }),
    authorize: async () => grant,
  };
  const authorizer = new ProviderChain([provider]);
  const events: RoomEvent[] = [];
  const enter = async (scope: string) =>
    enterAs(
      { rooms, authorizer },
      {
        ...{ scope, door: 'websocket' as const },
        principal: await authorizer.identify({ door: 'rooms', ip: '::1' }),
        receive: (event) => events.push(event),
      },
    );
  t.teardown(() => rooms.members.clear());
  return { rooms, events, enter };
}

void t.test('a member has the rights of its grant', async (t) => {
  const rightsOf = async (principal: Partial<Principal>, grant?: Grant) => {
    const { rooms, enter } = await entering(t, principal, grant);
    await enter('live/lobby');
    return rooms.joined[0]!.rights;
  };
  const rooms = new Map<string, readonly RoomRight[]>([['live/*', ['read', 'send']]]);
  t.equal(await rightsOf({}), undefined);
  t.strictSame(await rightsOf({ rooms }), new Set(['read', 'send']));
  t.strictSame(await rightsOf({}, { rooms: ['read'] }), new Set(['read']), 'of the application server');
  const { enter } = await entering(t, { rooms });
  await t.rejects(enter('elsewhere'), { code: 'FORBIDDEN' });
});

void t.test('a membership ends with the credential', async (t) => {
  const { rooms, events, enter } = await entering(t, { expiresAt: Date.now() + 150 });
  const member = await enter('live');
  await member.connectObject('so', false);
  await member.change('so', { type: 'set', key: 'k', value: 1 });
  await waitFor('the end', () => events.some(({ type }) => type === 'closed'), { every: 5 });
  t.match(events.at(-1), { type: 'closed', reason: { code: 'TOKEN_EXPIRED' } });
  t.equal(rooms.members.size, 0);
  member.leave();
  await t.rejects(enter('live'), { code: 'TOKEN_EXPIRED' });
});

void t.test('a member that has left or was removed is not told of the expiry', async (t) => {
  const endsAt = Date.now() + 100;
  const { rooms, events, enter } = await entering(t, {}, { endsAt });
  const [left] = [await enter('live'), await enter('live'), await enter('live')];
  left.leave();
  rooms.joined[1]!.receive({ type: 'closed', reason: new GatewayError('FORBIDDEN', 'Go.') });
  await waitFor('the end of the third member', () => events.length === 2, { every: 5 });
  await waitFor('all deadlines', () => Date.now() > endsAt + 50, { every: 5 });
  t.match(events, [{ reason: { code: 'FORBIDDEN' } }, { reason: { code: 'TOKEN_EXPIRED' } }]);
  t.equal(events.length, 2);
});
