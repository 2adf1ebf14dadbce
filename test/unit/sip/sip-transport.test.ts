import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import t, { type Test } from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { SipMessage } from '../../../src/sip/message/message.ts';
import type { Flow, WireFailure } from '../../../src/sip/transport/flow.ts';
import { LocalAddresses } from '../../../src/sip/transport/local-addresses.ts';
import { PeerAddresses } from '../../../src/sip/transport/peer-addresses.ts';
import { SipTransport, type SipTransportOptions } from '../../../src/sip/transport/sip-transport.ts';
import { sipMessage } from '../../fuzz/sip-target.ts';
import { waitFor } from '../../helpers/wait.ts';

const LOCAL = '127.0.0.1';

async function open(t: Test, more: Partial<SipTransportOptions> = {}) {
  const transport = await SipTransport.create({
    address: LOCAL,
    port: 0,
    locals: new LocalAddresses({ bound: LOCAL, announced: '', learns: false }),
    secureContext: () => createSecureContext(),
    admits: () => true,
    takesRequest: () => true,
    maxConnections: 2,
    onFull: () => undefined,
    clock: systemClock,
    logger: silentLogger,
    ...more,
  });
  t.teardown(() => transport.close());
  const got: [SipMessage, Flow][] = [];
  const failed: WireFailure[] = [];
  transport.on('message', (message, flow) => got.push([message, flow]));
  transport.on('failed', (_, failure) => failed.push(failure));
  return { transport, got, failed };
}

const OPTIONS = sipMessage('OPTIONS sip:x@y SIP/2.0');

async function dialTcp(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, LOCAL);
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

t.test('messages come and go over UDP and TCP', async (t) => {
  const [a, b] = [await open(t), await open(t)];
  for (const protocol of ['udp', 'tcp'] as const)
    a.transport.send(Buffer.from(OPTIONS), { protocol, address: LOCAL, port: b.transport.port });
  await waitFor('both', () => b.got.length === 2);
  const [message, flow] = b.got.find(([, { protocol }]) => protocol === 'tcp')!;
  b.transport.send(message.toBuffer(), flow);
  await waitFor('the answer on the same connection', () => a.got.length === 1);
  t.equal(a.transport.connections, 1);
  t.same(a.transport.localOf(flow), { host: LOCAL, port: a.transport.port });
});

t.test('a refused connection, and a server without TLS, are failures', async (t) => {
  const { transport, failed } = await open(t);
  const other = await open(t);
  await other.transport.close();
  transport.send(Buffer.from(OPTIONS), { protocol: 'tcp', address: LOCAL, port: other.transport.port });
  await waitFor('the failure', () => failed.length === 1);
  t.equal(failed[0]!.kind, 'unreachable');
  const plain = await open(t);
  transport.send(Buffer.from(OPTIONS), { protocol: 'tls', address: LOCAL, port: plain.transport.port });
  await waitFor('the end of TLS', () => failed.length === 2);
  t.equal(transport.connections, 0);
});

t.test('nothing is read from strangers, and nothing answered', async (t) => {
  const peers = new PeerAddresses();
  const { transport, got } = await open(t, { admits: (address) => peers.has(address) });
  const socket = createSocket('udp4');
  t.teardown(() => void socket.close());
  for (let i = 0; i < 50; i++) socket.send(OPTIONS, transport.port, LOCAL);
  await waitFor('the datagrams', () => transport.counts.refused === 50);
  const tcp = connect(transport.port, LOCAL).on('error', () => undefined);
  await once(tcp, 'close');
  t.same([got.length, transport.counts.sent, transport.connections], [0, 0, 0]);
  const release = peers.hold(LOCAL);
  release();
  release();
  t.notOk(peers.has(LOCAL));
});

t.test('malformed bytes, floods and too many connections end nothing else', async (t) => {
  let allowed = 3;
  const { transport, got } = await open(t, { takesRequest: () => allowed-- > 0 });
  const socket = createSocket('udp4');
  t.teardown(() => void socket.close());
  socket.send(Buffer.alloc(4000, 'x'), transport.port, LOCAL);
  socket.send('\r\n\r\n', transport.port, LOCAL);
  await waitFor('a refusal', () => transport.counts.malformed === 1);
  allowed = 2;
  for (let i = 0; i < 10; i++) socket.send(OPTIONS, transport.port, LOCAL);
  await waitFor('the flood', () => got.length === 2 && transport.counts.refused === 8);
  allowed = 100;
  const first = await dialTcp(t, transport.port);
  first.write('nonsense\r\n\r\n');
  await once(first, 'close');
  const kept = [await dialTcp(t, transport.port), await dialTcp(t, transport.port)];
  await waitFor('two connections', () => transport.connections === 2);
  const { refused } = transport.counts;
  const third = await dialTcp(t, transport.port);
  third.resume();
  await once(third, 'close');
  t.equal(transport.counts.refused, refused + 1, 'it is counted');
  kept[0]!.write(OPTIONS.slice(0, 40));
  kept[0]!.write(OPTIONS.slice(40));
  await waitFor('a message in two pieces', () => got.length === 3);
});

t.test('a port that is taken is explained', async (t) => {
  const { transport } = await open(t);
  await t.rejects(open(t, { port: transport.port }), { code: 'SETTINGS_INVALID', message: /sip_port/ });
});

t.test('the announced address replaces others, except on loopback', async (t) => {
  const locals = new LocalAddresses({ bound: '0.0.0.0', announced: '203.0.113.5', learns: true });
  t.equal(locals.of('93.184.216.34'), '203.0.113.5');
  t.equal(await locals.find('127.0.0.1'), '127.0.0.1');
  const learning = new LocalAddresses({ bound: '10.0.0.1', announced: '', learns: true });
  learning.learn('93.184.216.34', '203.0.113.9');
  t.equal(learning.of('93.184.216.34'), '203.0.113.9');
  t.equal(learning.of('93.184.216.35'), '10.0.0.1');
});
