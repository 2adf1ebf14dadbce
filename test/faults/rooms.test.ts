import t from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { RoomMembersRequests } from '../../bench/room-members-main.ts';
import { AttackStage } from '../helpers/attack-stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** A scope of a thousand WebSocket members that chat, beside streams that are pushed. */

/** The limit of a scope. */
const MEMBERS = 1000;
/** Members that ask for megabytes and do not read. */
const DEAF = 3;
/** Each of them to all members. */
const MESSAGES_PER_SECOND = 12;
const SECONDS = 10;

t.setTimeout(120_000);
const stage = await AttackStage.start({ rooms: true, max_http_connections_per_ip: MEMBERS + 100, log_level: 'warn' });
const members = await BenchProcess.start<RoomMembersRequests>('./room-members-main.ts');
t.teardown(async () => {
  await members.stop();
  await stage.stop();
});

const connections = async (): Promise<number> => {
  const { text } = await stage.gateway.http('/metrics');
  return Number(/^gateway_rooms_connections\{protocol="websocket"\} (\d+)$/m.exec(text)?.[1]);
};

await t.test('1,000 members chat, and some do not read: no push has a gap, no message is lost', async (t) => {
  const url = `${stage.gateway.httpUrl.replace('http', 'ws')}/live/room`;
  await stage.underAttack(t, async () => {
    await members.ask('join', { url, count: MEMBERS - DEAF - 1 });
    const chat = members.ask('send', {
      kinds: ['text', 'text', 'change'],
      rate: MESSAGES_PER_SECOND,
      seconds: SECONDS,
      length: 80,
    });
    await members.ask('joinDeaf', { url, count: DEAF });
    await waitFor('the end of those that do not read', async () => (await connections()) === MEMBERS - DEAF);
    const { missing, orders, p50, p99 } = await chat;
    t.equal(missing, 0, 'all members get all messages');
    t.equal(orders, 1, 'in the same order');
    t.comment(`p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  });
  t.equal(await connections(), MEMBERS - DEAF, 'nobody else is disconnected');
});
