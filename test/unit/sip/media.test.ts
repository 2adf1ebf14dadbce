import t from 'tap';
import { dtmfInfo, DtmfReader, parseDigits } from '../../../src/sip/media/dtmf.ts';
import { beginsKeyFrame } from '../../../src/sip/media/key-frame-packet.ts';
import { KeyFrameRequester } from '../../../src/sip/media/key-frame-requests.ts';
import { LiveFrames } from '../../../src/sip/media/live-frames.ts';
import { OutgoingAudio } from '../../../src/sip/media/outgoing-audio.ts';
import { ReceiverStats } from '../../../src/sip/media/receiver-stats.ts';
import {
  keyFrameRequestOf,
  readSenderReport,
  splitRtcp,
  writeFir,
  writePli,
  writeReceiverReport,
  writeSenderReport,
  writeSourceDescription,
} from '../../../src/sip/media/rtcp.ts';
import { RtpRewriter } from '../../../src/sip/media/rtp-rewriter.ts';
import { newCryptoKey, parseCrypto } from '../../../src/sip/media/sdes.ts';
import { SourceLock } from '../../../src/sip/media/source-lock.ts';
import { SrtpContext } from '../../../src/sip/media/srtp.ts';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';

function rtp({
  sequence,
  timestamp = 0,
  ssrc = 1,
  type = 0,
  payload = Buffer.alloc(8, 7),
}: {
  sequence: number;
  timestamp?: number;
  ssrc?: number;
  type?: number;
  payload?: Buffer;
}): Buffer {
  const packet = Buffer.alloc(12 + payload.length);
  packet[0] = 0x80;
  packet[1] = type;
  packet.writeUInt16BE(sequence, 2);
  packet.writeUInt32BE(timestamp, 4);
  packet.writeUInt32BE(ssrc, 8);
  payload.copy(packet, 12);
  return packet;
}

t.test('SRTP: the vectors of RFC 3711, and both directions', async (t) => {
  // RFC 3711, B.3: derived keys are not visible, so a packet is compared that libsrtp protects with the same key.
  const key = parseCrypto({
    id: 1,
    suite: 'AES_CM_128_HMAC_SHA1_80',
    config: `inline:${Buffer.from('e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6', 'hex').toString('base64')}`,
  })!;
  const plain = Buffer.from('800f1234decafbadcafebabeabababababababababababababababab', 'hex');
  const cipher = Buffer.from('800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb', 'hex');
  t.same(new SrtpContext(key).protectRtp(plain), cipher, 'srtp_driver.c of libsrtp');
  t.same(new SrtpContext(key).unprotectRtp(cipher), plain);

  for (const suite of ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32'] as const) {
    const own = newCryptoKey(1, suite);
    const [out, into] = [new SrtpContext(own), new SrtpContext(own)];
    const packets = Array.from({ length: 300 }, (_, i) => rtp({ sequence: (65_400 + i) & 0xffff }));
    const sent = packets.map((packet) => out.protectRtp(packet));
    // In pairs that are exchanged, over the wrap of the sequence number.
    for (let i = 0; i < sent.length; i += 2) {
      t.same(into.unprotectRtp(sent[i + 1]!), packets[i + 1]);
      t.same(into.unprotectRtp(sent[i]!), packets[i]);
    }
    t.equal(into.unprotectRtp(sent[299]!), undefined, 'a replay');
    t.equal(into.unprotectRtp(sent[0]!), undefined, 'an old one');
    const forged = Buffer.from(out.protectRtp(rtp({ sequence: 200 })));
    forged[14]! ^= 1;
    t.equal(into.unprotectRtp(forged), undefined);
    const report = writeReceiverReport(5);
    const secret = out.protectRtcp(report);
    t.same(into.unprotectRtcp(secret), report);
    t.equal(into.unprotectRtcp(secret), undefined, 'a replayed report');
    for (let seed = 0; seed < 500; seed++) {
      const bytes = mutate([sent[298]!, secret], 0, seededRandom(seed));
      into.unprotectRtp(bytes);
      into.unprotectRtcp(bytes);
    }
  }
});

t.test('one source is locked, and moves only as it may', async (t) => {
  const lock = new SourceLock(['10.0.0.2', '10.0.0.3']);
  t.notOk(lock.takes({ address: '10.9.9.9', port: 1 }, 0), 'a stranger');
  t.ok(lock.takes({ address: '10.0.0.3', port: 4000 }, 0), 'the address of the signalling');
  t.notOk(lock.takes({ address: '10.0.0.2', port: 4000 }, 10), 'not two at once');
  t.notOk(lock.takes({ address: '10.0.0.3', port: 4002 }, 1000));
  t.ok(lock.takes({ address: '10.0.0.3', port: 4002 }, 2500), 'after silence, from the same address');
  t.notOk(lock.takes({ address: '10.0.0.2', port: 4002 }, 9000));
  lock.expect(['10.0.0.2'], true);
  t.notOk(lock.takes({ address: '10.0.0.3', port: 4002 }, 9000), 'late packets of the place that it has left');
  t.ok(lock.takes({ address: '10.0.0.2', port: 4010 }, 9001));
  t.equal(lock.refused, 5);
});

t.test('packets get one SSRC, one type and one row of numbers', async (t) => {
  const rewriter = new RtpRewriter({ ssrc: 99, payloadType: 96, clockRate: 8000 });
  const put = (packet: Buffer, nowMs: number) => {
    const used = rewriter.rewrite(packet, nowMs);
    return used ? [packet.readUInt16BE(2), packet.readUInt32BE(4)] : undefined;
  };
  t.same(put(rtp({ sequence: 65_535, timestamp: 160 }), 20), [65_535, 160]);
  const packet = rtp({ sequence: 0, timestamp: 320 });
  t.same(put(packet, 40), [0, 320]);
  t.equal(packet.readUInt32BE(8), 99);
  t.equal(packet[1]! & 0x7f, 96);
  t.same(put(rtp({ sequence: 65_534, timestamp: 0 }), 41), [65_534, 0], 'a late one keeps its place');
  t.same(
    put(rtp({ sequence: 500, timestamp: 9_000_000, ssrc: 2 }), 140),
    [2, 1120],
    'another SSRC goes on, with a gap',
  );
  t.equal(rewriter.timestampOf(1, 0), undefined);
  t.equal(rewriter.timestampOf(2, 9_000_160), 1280);
  t.equal(put(rtp({ sequence: 30_000, timestamp: 5, ssrc: 2 }), 160), undefined, 'one stray packet');
  t.same(put(rtp({ sequence: 501, timestamp: 9_000_160, ssrc: 2 }), 160), [3, 1280]);
  t.equal(put(rtp({ sequence: 40_000, timestamp: 70, ssrc: 2 }), 180), undefined);
  t.same(
    put(rtp({ sequence: 40_001, timestamp: 230, ssrc: 2 }), 200),
    [5, 1600],
    'a new row is proven by the second packet',
  );
  t.equal(rewriter.changes, 2);
});

t.test('reports', async (t) => {
  const stats = new ReceiverStats(8000);
  t.equal(stats.block(0), undefined);
  for (const sequence of [65_534, 65_535, 1, 2]) stats.packet(7, sequence, 0, 0);
  stats.senderReport(0x12345678, 0x9abc0000, 1000);
  t.match(stats.block(1500), {
    ssrc: 7,
    lost: 1,
    fractionLost: 51,
    highest: 65_538,
    lastReport: 0x56789abc,
    delay: 32_768,
  });
  t.match(stats.block(1500), { fractionLost: 0, lost: 1 });
  const block = stats.block(1500)!;
  const compound = Buffer.concat([
    writeReceiverReport(3, block),
    writeSourceDescription(3, 'name'),
    writePli(3, 7),
    writeFir(3, 7, 1),
  ]);
  const parts = splitRtcp(compound);
  t.same(
    parts.map((part) => part[1]),
    [201, 202, 206, 206],
  );
  t.same(parts.map(keyFrameRequestOf), [undefined, undefined, 7, 7]);
  const info = { ssrc: 1, ntpSeconds: 2, ntpFraction: 3, rtpTimestamp: 4, packets: 5, bytes: 6 };
  t.same(readSenderReport(writeSenderReport(info)), info);
  for (let seed = 0; seed < 2000; seed++)
    for (const part of splitRtcp(mutate([compound, writeSenderReport(info)], 0, seededRandom(seed)))) {
      readSenderReport(part);
      keyFrameRequestOf(part);
    }
});

t.test('key frames are found, and requested in the agreed way', async (t) => {
  const h264 = (...bytes: number[]): boolean => beginsKeyFrame('h264', Buffer.from([...bytes, 0, 0, 0]));
  t.same(
    [h264(0x65), h264(0x67), h264(0x41), h264(0x78, 0, 4, 0x67), h264(0x7c, 0x85), h264(0x7c, 0x05), h264(0x7c, 0x81)],
    [true, true, false, true, true, false, false],
  );
  const vp8 = (...bytes: number[]): boolean => beginsKeyFrame('vp8', Buffer.from([...bytes, 0, 0]));
  t.same(
    [vp8(0x10, 0), vp8(0x10, 1), vp8(0x00, 0), vp8(0x90, 0x80, 0x81, 0x01, 0x00), vp8(0x90, 0x80, 0x01, 0x01)],
    [true, false, false, true, false],
  );
  t.notOk(beginsKeyFrame('vp8', Buffer.alloc(0)));

  const silent = new KeyFrameRequester(undefined);
  t.same(silent.request(0), ['pli'], 'nothing was said');
  t.same(silent.poll(999), []);
  t.same(silent.poll(1000), ['info']);
  t.same(silent.request(1500), ['pli'], 'at most one INFO in a second');
  t.same(silent.request(2000), ['pli', 'info']);
  silent.arrived();
  t.same(silent.poll(9000), []);
  silent.request(10_000);
  silent.refuseInfo();
  t.same(silent.poll(20_000), []);
  t.same(new KeyFrameRequester({ pli: false, fir: true }).request(0), ['fir']);
  t.same(new KeyFrameRequester({ pli: false, fir: false }).request(0), []);
});

t.test('the peer hears silence, sounds and digits, in steps of 20 ms', async (t) => {
  const codec = { name: 'pcmu', payloadType: 0, clockRate: 8000, encoding: 'PCMU', channels: 1, fmtp: '' } as const;
  const audio = new OutgoingAudio(codec, 101);
  const first = audio.due(0);
  t.equal(first.length, 1);
  t.same(first[0]!.subarray(12), Buffer.alloc(160, 0xff));
  t.equal(audio.due(10).length, 0);
  t.equal(audio.due(40).length, 2);
  t.equal(audio.due(10_040).length, 5, 'a pause of the event loop is not sent at once');
  audio.play([Buffer.alloc(160, 1), Buffer.alloc(160, 2)]);
  const sounds = audio.due(10_100).map((packet) => packet[12]);
  t.same(sounds, [1, 2, 0xff]);
  audio.dial(parseDigits('5,#')!);
  const packets = [];
  for (let ms = 10_120; ms < 12_000; ms += 20) packets.push(...audio.due(ms));
  const events = packets.filter((packet) => (packet[1]! & 0x7f) === 101);
  t.equal(events.length, 20, 'seven packets and three for the end, twice');
  t.same([...new Set(events.map((packet) => packet[12]))], [5, 11]);
  t.equal(events[0]![1]! & 0x80, 0x80, 'the first has a marker');
  t.equal(new Set(events.slice(0, 10).map((packet) => packet.readUInt32BE(4))).size, 1, 'one timestamp');
  t.same(
    events.slice(0, 10).map((packet) => packet.readUInt16BE(14)),
    [160, 320, 480, 640, 800, 960, 1120, 1280, 1280, 1280],
  );
  t.same(
    packets
      .map((packet) => packet.readUInt16BE(2))
      .map((number, i, all) => (i === 0 ? 1 : (number - all[i - 1]! + 65_536) & 0xffff))
      .every((step) => step === 1),
    true,
  );
  const reader = new DtmfReader();
  t.same(events.map((packet) => reader.read(packet.subarray(12), packet.readUInt32BE(4))).filter(Boolean), ['5', '#']);
  t.equal(new OutgoingAudio(codec, undefined).takesDigits, false);
});

t.test('the peer hears a stream: some of it waits, a sound goes before it, and what is old is left out', async (t) => {
  const codec = { name: 'opus', payloadType: 96, clockRate: 48_000, encoding: 'opus', channels: 2, fmtp: '' } as const;
  const audio = new OutgoingAudio(codec, undefined);
  const live = new LiveFrames();
  audio.inject(live);
  let nowMs = 0;
  const heard = (ms: number): { first: number; timestamp: number }[] => {
    const packets = [];
    for (const end = nowMs + ms; nowMs < end; nowMs += 20) packets.push(...audio.due(nowMs));
    return packets.map((packet) => ({ first: packet[12]!, timestamp: packet.readUInt32BE(4) }));
  };
  const send = (first: number, count: number, ms: number): void => {
    for (let i = 0; i < count; i++) live.push({ payload: Buffer.of(first), ms });
  };
  send(1, 3, 40);
  t.same(
    heard(40).map(({ first }) => first),
    [0xf8, 0xf8],
    'silence while too little waits',
  );
  send(1, 1, 40);
  const played = heard(160);
  t.same(
    played.map(({ first }) => first),
    [1, 1, 1, 1],
    'one packet for 40 ms',
  );
  t.same(
    played.map(({ timestamp }) => (timestamp - played[0]!.timestamp) >>> 0),
    [0, 1920, 3840, 5760],
  );
  t.equal(heard(20)[0]!.first, 0xf8, 'a gap');
  send(2, 2, 20);
  t.equal(heard(20)[0]!.first, 0xf8, 'after a gap some of it waits again');
  send(2, 6, 20);
  audio.play([Buffer.of(9)]);
  t.same(
    heard(60).map(({ first }) => first),
    [9, 2, 2],
  );
  for (let second = 3; second < 6; second++) send(second, 50, 20);
  t.equal(heard(20)[0]!.first, 5, 'old audio is left out');
  audio.inject(undefined);
  t.equal(heard(20)[0]!.first, 0xf8);
});

t.test('digits in INFO', async (t) => {
  t.equal(parseDigits('12x'), undefined);
  t.same(parseDigits('1a,'), ['1', 'A', ',']);
  t.same(dtmfInfo('INFO', '#'), { type: 'application/dtmf', text: '#' });
  t.match(dtmfInfo('INFO_RELAY', '#'), { type: 'application/dtmf-relay', text: /^Signal=#\r\nDuration=\d+\r\n$/ });
});
