import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { CallSdp } from '../../../src/sip/media/call-sdp.ts';
import { DRAIN_MS, PortPool } from '../../../src/sip/media/port-pool.ts';
import { RtpLine } from '../../../src/sip/media/rtp-line.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { waitFor } from '../../helpers/wait.ts';

const LOCAL = '127.0.0.1';
const answer = (port: number, types = '0 8 101'): string =>
  `v=0\r\no=- 1 1 IN IP4 ${LOCAL}\r\ns=-\r\nc=IN IP4 ${LOCAL}\r\nt=0 0\r\nm=audio ${port} RTP/AVP ${types}\r\na=rtpmap:101 telephone-event/8000\r\n`;

function rtp(sequence: number, type = 0, ssrc = 7): Buffer {
  const packet = Buffer.alloc(172, 1);
  packet[0] = 0x80;
  packet[1] = type;
  packet.writeUInt16BE(sequence, 2);
  packet.writeUInt32BE(sequence * 160, 4);
  packet.writeUInt32BE(ssrc, 8);
  return packet;
}

async function open(t: Test) {
  const clock = new FakeClock();
  const from = 33_000 + 2 * Math.floor(Math.random() * 5000);
  const pool = new PortPool({ address: LOCAL, from, to: from + 400, clock });
  t.teardown(() => pool.close());
  const line = new RtpLine({
    kind: 'audio',
    pair: await pool.open(),
    signalling: () => LOCAL,
    permits: () => true,
    now: () => clock.now(),
    logger: silentLogger,
  });
  const sdp = new CallSdp({
    address: LOCAL,
    ports: { audio: line.port },
    codecs: ['ulaw', 'alaw', 'telephone-event'],
    srtp: 'off',
    isPrivate: false,
  });
  sdp.firstOffer({ isShort: false });
  const got: number[] = [];
  const sink = {
    ssrc: 9,
    payloadType: 0,
    rtp: (packet: Buffer) => void got.push(packet.readUInt16BE(2)),
    rtcp: () => undefined,
  };
  return { clock, pool, line, sdp, got, sink };
}

async function peer(t: Test): Promise<Socket & { heard: number }> {
  const socket = Object.assign(createSocket('udp4'), { heard: 0 });
  socket.on('message', () => socket.heard++);
  socket.bind(0, LOCAL);
  await once(socket, 'listening');
  t.teardown(() => void socket.close());
  return socket;
}

t.test('packets before the producers exist are kept, and then those of one source alone are taken', async (t) => {
  const { clock, line, sdp, got, sink } = await open(t);
  const [phone, stranger] = [await peer(t), await peer(t)];
  let first = 0;
  line.on('first', () => first++);
  for (const sequence of [1, 2, 3]) phone.send(rtp(sequence), line.port, LOCAL);
  // Nothing shows that packets are kept: one that is dropped arrives after them.
  phone.send(Buffer.alloc(5), line.port, LOCAL);
  await waitFor('the packets', () => line.counts.dropped === 1);
  line.agree(sdp.accept(answer(phone.address().port))!.audio);
  line.attach(sink);
  t.same(got, [1, 2, 3]);
  t.equal(first, 1);
  stranger.send(rtp(50, 0, 8), line.port, LOCAL);
  phone.send(Buffer.alloc(5), line.port, LOCAL);
  phone.send(rtp(4, 77), line.port, LOCAL);
  phone.send(rtp(5, 13), line.port, LOCAL);
  phone.send(rtp(6), line.port, LOCAL);
  await waitFor('the last one', () => got.at(-1) === 6);
  t.same(got, [1, 2, 3, 6], 'neither strangers, nor comfort noise, nor unknown types');
  t.equal(line.counts.dropped, 4);
  let others = 0;
  line.on('otherCodec', () => others++);
  for (let i = 0; i < 12; i++) {
    phone.send(rtp(10 + i, 8), line.port, LOCAL);
    await waitFor('a packet', () => line.counts.dropped === 5 + i);
    clock.pass(30);
  }
  t.equal(others, 1, 'the peer stays with another agreed codec');
});

t.test('media goes where the peer is, and not for long to one that sends nothing', async (t) => {
  const { clock, line, sdp, sink } = await open(t);
  const [silent, phone] = [await peer(t), await peer(t)];
  line.send(rtp(1));
  line.agree(sdp.accept(answer(silent.address().port))!.audio);
  line.attach(sink);
  line.send(rtp(1));
  await waitFor('a packet', () => silent.heard === 1);
  clock.pass(10_001);
  line.send(rtp(2));
  t.equal(line.counts.sent, 1, 'the gateway is no reflector');
  phone.send(rtp(1), line.port, LOCAL);
  await waitFor('the peer', () => line.counts.received === 1);
  line.send(rtp(3));
  await waitFor('symmetric RTP', () => phone.heard === 1);
  t.equal(silent.heard, 1);
});

t.test('ports stay bound for a while, and are used up with a reason', async (t) => {
  const clock = new FakeClock();
  const from = 44_000 + 2 * Math.floor(Math.random() * 2000);
  const pool = new PortPool({ address: LOCAL, from, to: from + 3, clock });
  t.teardown(() => pool.close());
  const pairs = [await pool.open(), await pool.open()];
  t.ok(pairs.every(({ port }) => port % 2 === 0));
  await t.rejects(pool.open(), { code: 'LIMIT_REACHED', message: /media_port_to/ });
  pairs[0]!.release();
  pairs[0]!.release();
  await t.rejects(pool.open(), { code: 'LIMIT_REACHED' });
  clock.pass(DRAIN_MS);
  t.equal((await waitFor('a port', () => pool.open())).port, pairs[0]!.port);
});
