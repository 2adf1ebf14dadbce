import t from 'tap';
import type { GatewayError } from '../../../src/errors.ts';
import { DoorClient } from '../../../src/rooms/doors/door-client.ts';
import type { RpcCall, RpcCallout } from '../../../src/rooms/doors/rpc-callout.ts';
import type { RoomMember } from '../../../src/rooms/room-client.ts';

function create({ burst = 1000, rpc }: { burst?: number; rpc?: (call: RpcCall) => Promise<unknown> } = {}) {
  const ends: string[] = [];
  const left: string[] = [];
  const client = new DoorClient({
    rate: { perSecond: 0.001, burst },
    rpc: rpc && ({ call: rpc } as unknown as RpcCallout),
    end: ({ code }: GatewayError) => ends.push(code),
  });
  const member = { scope: 'live/room', leave: () => left.push('left') } as unknown as RoomMember;
  return { client, member, ends, left };
}

t.test('messages wait until the client is a member, and keep their order', async (t) => {
  const { client, member } = create();
  const ran: number[] = [];
  client.whenMember(() => ran.push(1));
  client.whenMember(() => ran.push(2));
  t.ok(client.enter(member));
  t.same(ran, []);
  t.ok(client.isWaiting);
  client.begin();
  client.whenMember(() => ran.push(3));
  t.same(ran, [1, 2, 3]);
  t.notOk(client.isWaiting);
});

t.test('a client that leaves runs nothing any more, and leaves its scope once', async (t) => {
  const { client, member, left } = create();
  const ran: number[] = [];
  client.whenMember(() => client.close());
  client.whenMember(() => ran.push(2));
  client.enter(member);
  client.begin();
  client.whenMember(() => ran.push(3));
  client.close();
  t.same(ran, []);
  t.same(left, ['left']);
});

t.test('a client that has left before it was a member leaves its scope at once', async (t) => {
  const { client, member, left } = create();
  client.close();
  t.notOk(client.enter(member));
  t.same(left, ['left']);
  t.equal(client.member, undefined);
});

t.test('too many messages end the client: too fast, or too early', async (t) => {
  const fast = create({ burst: 2 });
  t.same([fast.client.count(), fast.client.count(), fast.client.count()], [true, true, false]);
  t.same(fast.ends, ['RATE_LIMITED']);
  const early = create();
  for (let count = 0; count < 64; count++) early.client.whenMember(() => {});
  t.same(early.ends, []);
  early.client.whenMember(() => {});
  t.same(early.ends, ['LIMIT_REACHED']);
});

t.test('calls go to the application server with the scope, and are limited', async (t) => {
  const calls: RpcCall[] = [];
  const answers: ((value: unknown) => void)[] = [];
  const { client, member } = create({
    rpc: (call) => {
      calls.push(call);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  client.enter(member);
  const call = { method: 'hello', arguments: [1], client: {} };
  const running = Array.from({ length: 8 }, () => client.call(call));
  t.same(calls[0], { ...call, scope: 'live/room' });
  await t.rejects(client.call(call), { code: 'LIMIT_REACHED' });
  for (const answer of answers.splice(0)) answer('yes');
  t.same(await Promise.all(running), Array(8).fill('yes'));
  const next = client.call(call);
  answers[0]!('again');
  t.equal(await next, 'again');
  await t.rejects(create().client.call(call), { code: 'NOT_IMPLEMENTED' });
});
