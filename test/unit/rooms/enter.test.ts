import t, { type Test } from 'tap';
import { type Grant, type Principal, type RoomRight } from '../../../src/access/authorizer.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { enterAs } from '../../../src/rooms/doors/enter.ts';
import { FakeRooms } from '../../helpers/fake-rooms.ts';

async function entering(t: Test, principal: Partial<Principal>, grant: Grant = {}) {
  const rooms = new FakeRooms();
  const provider = {
    identify: async (): Promise<Principal> => ({ id: 'p', actions: new Set(['join'] as const), ...principal }),
    authorize: async () => grant,
  };
  const authorizer = new ProviderChain([provider]);
  const enter = async (scope: string) =>
    enterAs(
      { rooms, authorizer },
      {
        ...{ scope, door: 'websocket' as const },
        principal: await authorizer.identify({ door: 'rooms', ip: '::1' }),
        receive: () => undefined,
      },
    );
  t.teardown(() => rooms.members.clear());
  return { rooms, enter };
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
  const expiresAt = Date.now() + 60_000;
  const { rooms, enter } = await entering(t, { expiresAt });
  await enter('live');
  t.equal(rooms.joined[0]!.endsAt, expiresAt);
  const { enter: late } = await entering(t, { expiresAt: Date.now() - 1 });
  await t.rejects(late('live'), { code: 'TOKEN_EXPIRED' });
});
