import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { parseDatagram } from '../../src/sip/message/parse-message.ts';
import { AttackStage } from '../helpers/attack-stage.ts';
import { peakMemory } from '../helpers/processes.ts';
import { authorization, inviteText } from '../helpers/sip-caller.ts';
import { freePort } from '../helpers/server-process.ts';
import { sipSettings } from '../helpers/sip-peers.ts';
import { waitFor } from '../helpers/wait.ts';

/** Floods of calls without credentials, from addresses that may call. */

const INVITES = 10_000;
/** Datagrams that are sent in one event-loop tick. */
const BATCH = 10;
/** Megabytes by which the peak may rise when a flood is repeated: state of the first one would come again. */
const MAX_GROWTH = 40;
const MAX_FAILED_LOGINS = 60;
const URI = 'sip:studio@127.0.0.1';

t.setTimeout(180_000);

const sipPort = await freePort();
let folder: string;
let stage: AttackStage;

t.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sip-users-'));
  await writeFile(join(folder, 'users'), '1001:secret\n');
  // This process reads the log, and its own floods keep it from that: a full pipe would stop the gateway.
  stage = await AttackStage.start({
    ...sipSettings(),
    sip_port: sipPort,
    sip_incoming: 'digest',
    sip_incoming_networks: '127.0.0.0/8',
    sip_users: join(folder, 'users'),
    max_sip_requests_per_second_per_ip: 100_000,
    max_failed_logins_per_minute: MAX_FAILED_LOGINS,
    log_level: 'warn',
  });
});
t.teardown(async () => {
  await stage?.stop();
  if (folder) await rm(folder, { recursive: true });
});

const metric = async (name: string): Promise<number> => {
  const { text } = await stage.gateway.http('/metrics');
  return Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm').exec(text)![1]);
};

interface Phone {
  readonly statuses: Map<number, number>;
  /** The last challenge. */
  readonly challenge: () => string;
  flood(count: number, invite: (index: number) => string): Promise<void>;
  close(): void;
}

async function openPhone(address: string): Promise<Phone> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  socket.bind(0, address);
  await once(socket, 'listening');
  const statuses = new Map<number, number>();
  let challenge = '';
  socket.on('message', (data) => {
    const message = parseDatagram(data);
    if (message.kind !== 'response') return;
    statuses.set(message.status, (statuses.get(message.status) ?? 0) + 1);
    challenge = message.get('www-authenticate') ?? challenge;
  });
  return {
    statuses,
    challenge: () => challenge,
    async flood(count, invite) {
      for (let sent = 0; sent < count; sent++) {
        socket.send(invite(sent), sipPort, '127.0.0.1');
        if (sent % BATCH === 0) await immediate();
      }
    },
    close: () => socket.close(),
  };
}

const replies = ({ statuses }: Phone): number => [...statuses.values()].reduce((sum, count) => sum + count, 0);

t.test('10,000 INVITEs without credentials leave nothing behind', async (t) => {
  const phone = await openPhone('127.0.0.1');
  t.teardown(() => phone.close());
  const flood = async (): Promise<void> => {
    const received = await metric('gateway_sip_messages_total{result="received"}');
    await phone.flood(INVITES, () => inviteText('127.0.0.1:5070', { uri: URI }));
    t.equal(await metric('gateway_sip_transactions'), 0);
    await waitFor(
      'the last INVITE',
      async () => {
        const before = await metric('gateway_sip_messages_total{result="received"}');
        await new Promise((resolve) => setTimeout(resolve, 200));
        return before > received && before === (await metric('gateway_sip_messages_total{result="received"}'));
      },
      { timeout: 30_000 },
    );
  };
  await stage.losesNoFrame(t, flood);
  const before = peakMemory(stage.gateway.pid);
  await stage.losesNoFrame(t, flood);
  const growth = peakMemory(stage.gateway.pid) - before;
  t.ok(growth < MAX_GROWTH, `${growth.toFixed(0)} MB more`);
  t.same([...phone.statuses.keys()], [401]);
  t.ok(replies(phone) > 0 && replies(phone) <= 2 * INVITES, `${replies(phone)} replies`);
  t.ok((await metric('gateway_sip_messages_total{result="sent"}')) <= 2 * INVITES, 'nothing is repeated');
  t.equal(await metric('gateway_sip_transactions'), 0);
  t.same((await stage.gateway.http('/api/v1/calls')).body, []);
});

t.test('guessed passwords block their address, and no other one', async (t) => {
  const [guesser, neighbour, owner] = [
    await openPhone('127.0.3.1'),
    await openPhone('127.0.3.1'),
    await openPhone('127.0.3.2'),
  ];
  t.teardown(() => [guesser, neighbour, owner].forEach((phone) => phone.close()));
  const challenged = async (phone: Phone, place: string): Promise<string> => {
    await phone.flood(1, () => inviteText(place, { uri: URI }));
    return waitFor('a challenge', () => phone.challenge());
  };
  const nonce = await challenged(guesser, '127.0.3.1:5070');
  const call = (place: string, challenge: string, password: string): string =>
    inviteText(place, {
      uri: URI,
      headers: [authorization(challenge, { username: '1001', password, uri: URI })],
    });
  await stage.losesNoFrame(t, async () => {
    await guesser.flood(1000, (index) => call('127.0.3.1:5070', nonce, `guess-${index}`));
    await waitFor('the refusals', () => (guesser.statuses.get(403) ?? 0) > MAX_FAILED_LOGINS);
  });
  await neighbour.flood(1, () => call('127.0.3.1:5071', nonce, 'secret'));
  await waitFor('the refusal', () => neighbour.statuses.size > 0);
  t.same([...neighbour.statuses.keys()], [403], 'the right password is not looked at');
  const own = await challenged(owner, '127.0.3.2:5070');
  await owner.flood(1, () => call('127.0.3.2:5070', own, 'secret'));
  await waitFor('the call', () => owner.statuses.has(200));
});
