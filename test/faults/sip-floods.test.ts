import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { AttackStage } from '../helpers/attack-stage.ts';
import type { TestGateway } from '../helpers/gateway.ts';
import { freePort } from '../helpers/server-process.ts';
import { callOver, callReached, noSipp, sipSettings } from '../helpers/sip-peers.ts';
import { accept, hungUp, invite, startSipp, type Sipp } from '../helpers/sipp.ts';
import { waitFor } from '../helpers/wait.ts';

/** Floods at the SIP port from the address of a running call: other addresses are not read. */

const DATAGRAMS = 20_000;
const CONNECTIONS = 200;
/** Datagrams that are sent in one event-loop tick. */
const BATCH = 50;
const CALL = { callId: 'flooded', toStream: 'flooded', hasVideo: false };

t.setTimeout(120_000);
const skip = { skip: noSipp };

const sipPort = await freePort();
let stage: AttackStage;
let gateway: TestGateway;
let sipp: Sipp;

t.before(async () => {
  if (noSipp) return;
  // This process reads the log, and its own floods keep it from that: a full pipe would stop the gateway.
  stage = await AttackStage.start({ ...sipSettings(), sip_port: sipPort, log_level: 'warn' });
  ({ gateway } = stage);
  sipp = await startSipp([invite(), ...accept(), ...hungUp()]);
  const call = { ...CALL, callee: `sip:1001@127.0.0.1:${sipp.port}` };
  await waitFor('the start of the call', async () => (await gateway.rest('/call/startup', call)).status === 200, {
    timeout: 30_000,
    every: 500,
  });
  await callReached(gateway, CALL.callId, 'ESTABLISHED');
});
t.teardown(async () => {
  await stage?.stop();
  await sipp?.stop();
});

const messages = async (result: string): Promise<number> => {
  const { text } = await gateway.http('/metrics');
  return Number(new RegExp(`^gateway_sip_messages_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)![1]);
};

/** Sends datagrams from an address of its own, or from that of the call. */
async function flood(from: string, datagram: (index: number) => string): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  for (let sent = 0; sent < DATAGRAMS; sent++) {
    socket.send(datagram(sent), sipPort, '127.0.0.1');
    if (sent % BATCH === 0) await immediate();
  }
  socket.close();
}

const response = (index: number): string =>
  [
    `SIP/2.0 ${index % 2 === 0 ? 200 : 180} OK`,
    `Via: SIP/2.0/UDP 127.0.0.1:${sipPort};branch=z9hG4bK${index}`,
    'From: <sip:gateway@127.0.0.1>;tag=a',
    'To: <sip:1001@127.0.0.1>;tag=b',
    `Call-ID: ${index}`,
    'CSeq: 1 INVITE',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');

t.test('malformed datagrams, and datagrams of strangers', skip, async (t) => {
  await stage.losesNoFrame(t, async () => {
    await flood('127.0.0.1', (index) => `SIP/2.0 200 OK\r\nVia: ${'x'.repeat(index % 1000)}\r\n\r\n`);
    await flood('127.0.2.1', response);
  });
  t.ok((await messages('malformed')) > 0, `${await messages('malformed')} malformed`);
  t.ok((await messages('refused')) > 0, `${await messages('refused')} refused`);
});

t.test('responses that belong to no call, and requests', skip, async (t) => {
  const [received, refused] = [await messages('received'), await messages('refused')];
  await stage.losesNoFrame(t, async () => {
    await flood('127.0.0.1', response);
    await flood('127.0.0.1', (index) =>
      response(index).replace(/^.*/, 'INVITE sip:gateway@127.0.0.1 SIP/2.0').replace(';tag=b', ''),
    );
  });
  t.ok((await messages('received')) > received, 'responses were read');
  t.ok((await messages('refused')) > refused, 'requests are limited by max_sip_requests_per_second_per_ip');
});

t.test('garbage over TCP, and connections that send nothing', skip, async (t) => {
  const open = (): Socket => connect({ port: sipPort, host: '127.0.0.1' }).on('error', () => undefined);
  const [malformed, refused] = [await messages('malformed'), await messages('refused')];
  await stage.losesNoFrame(t, async () => {
    for (let sent = 0; sent < CONNECTIONS; sent++) {
      const socket = open();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(Buffer.alloc(100_000, 'garbage '));
      await closed;
    }
    const idle = Array.from({ length: CONNECTIONS }, open);
    await waitFor('the refusals', async () => (await messages('refused')) - refused >= CONNECTIONS / 2);
    for (const socket of idle) socket.destroy();
  });
  t.equal((await messages('malformed')) - malformed, CONNECTIONS);
});

t.test('the call goes on, and ends as usual', skip, async (t) => {
  await callReached(gateway, CALL.callId, 'ESTABLISHED');
  t.equal((await gateway.rest('/call/terminate', { callId: CALL.callId })).status, 200);
  t.match(await callOver(gateway, CALL.callId), { status: 'FINISH', sipStatus: 200 });
  t.equal(await sipp.failure(), '');
});
