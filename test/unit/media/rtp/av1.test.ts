import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { Av1Depacketizer } from '../../../../src/media/rtp/av1.ts';
import { packetizeAv1, rtpPacket, splitObus } from '../../../helpers/rtp.ts';

const DELIMITER = Buffer.of(0x12, 0);
/** A sequence header with all optional fields before the size. */
const SEQUENCE_BODY = new BitWriter()
  .bits(3, 0)
  .bits(1, 0)
  .bits(1, 0) // seq_profile, still_picture, reduced_still_picture_header
  .bits(1, 1)
  .bits(32, 1)
  .bits(32, 30)
  .bits(1, 1)
  .bits(1, 1) // timing_info with num_ticks_per_picture_minus_1 0
  .bits(1, 1)
  .bits(5, 9)
  .bits(32, 1)
  .bits(5, 9)
  .bits(5, 9) // decoder_model_info
  .bits(1, 1)
  .bits(5, 1) // initial_display_delay_present, two operating points
  .bits(12, 1)
  .bits(5, 8)
  .bits(1, 0)
  .bits(1, 1)
  .bits(10, 5)
  .bits(10, 5)
  .bits(1, 0)
  .bits(1, 1)
  .bits(4, 3)
  .bits(12, 1)
  .bits(5, 5)
  .bits(1, 0)
  .bits(1, 0)
  .bits(4, 10)
  .bits(4, 10)
  .bits(11, 1919)
  .bits(11, 1079)
  .bits(16, 0)
  .toBuffer();
const SEQUENCE = Buffer.concat([Buffer.of(0x08), SEQUENCE_BODY]);
const KEY = Buffer.concat([Buffer.of(0x30, 0x10), Buffer.alloc(300, 7)]);
const INTER = Buffer.concat([Buffer.of(0x30, 0x30), Buffer.alloc(300, 8)]);

const sized = (obu: Buffer): Buffer => {
  const size = obu.length - 1;
  return Buffer.concat([
    Buffer.of(obu[0]! | 2),
    size < 128 ? Buffer.of(size) : Buffer.of((size & 0x7f) | 0x80, size >> 7),
    obu.subarray(1),
  ]);
};

function push(depacketizer: Av1Depacketizer, timestamp: number, ...payloads: Buffer[]) {
  return payloads.flatMap((payload, index) =>
    depacketizer.push(rtpPacket({ timestamp, payload, marker: index === payloads.length - 1 })),
  );
}

t.test('temporal units are returned in the low-overhead format, however they were fragmented', async (t) => {
  const metadata = Buffer.of(0x28, 1, 2, 3);
  for (const maxBytes of [20, 64, 100, 310, 1200]) {
    for (const counted of [false, true]) {
      const depacketizer = new Av1Depacketizer();
      const key = push(depacketizer, 1, ...packetizeAv1([SEQUENCE, metadata, KEY], maxBytes, counted));
      t.same(
        key.map((frame) => ({ ...frame, data: 0 })),
        [{ timestamp: 1, corrupted: false, keyFrame: true, width: 1920, height: 1080, data: 0 }],
      );
      t.ok(key[0]!.data.equals(Buffer.concat([DELIMITER, sized(SEQUENCE), sized(metadata), sized(KEY)])));
      t.same(splitObus(key[0]!.data).slice(1), [SEQUENCE, metadata, KEY]);
      t.match(push(depacketizer, 2, ...packetizeAv1([INTER], maxBytes, counted)), [
        { keyFrame: false, data: Buffer.concat([DELIMITER, sized(INTER)]) },
      ]);
    }
  }
});

t.test('OBUs with a size field; delimiters, padding and tile lists are removed', async (t) => {
  const obus = [DELIMITER, sized(SEQUENCE), Buffer.of(0x7a, 1, 0), Buffer.of(0x42, 1, 0), sized(KEY)];
  t.match(push(new Av1Depacketizer(), 1, ...packetizeAv1(obus, 1200, false)), [
    { keyFrame: true, data: Buffer.concat([DELIMITER, sized(SEQUENCE), sized(KEY)]) },
  ]);
});

t.test('a key frame has its sequence header, even if it is split into tile groups', async (t) => {
  const depacketizer = new Av1Depacketizer();
  const [header, tiles] = [Buffer.of(0x18, 0x10), Buffer.concat([Buffer.of(0x20), Buffer.alloc(300, 7)])];
  t.match(push(depacketizer, 1, ...packetizeAv1([SEQUENCE, header, tiles], 1200, false)), [{ keyFrame: true }]);
  t.match(push(depacketizer, 2, ...packetizeAv1([header, tiles], 1200, false)), [{ keyFrame: false }]);
  t.same(push(depacketizer, 3, ...packetizeAv1(Array<Buffer>(1025).fill(tiles), 1200, false)), [], 'too many tiles');
});

/** An OBU of a spatial layer. */
const layer = (id: number, obu: Buffer): Buffer => Buffer.concat([Buffer.of(obu[0]! | 4, id << 3), obu.subarray(1)]);
/** A sequence header without optional fields, with one operating point. */
const layeredSequence = (mask: number): Buffer =>
  Buffer.concat([
    Buffer.of(0x08),
    new BitWriter()
      .bits(12, 0)
      .bits(12, mask)
      .bits(5, 5)
      .bits(8, 0xaa)
      .bits(11, 1279)
      .bits(11, 719)
      .bits(16, 0xabcd)
      .toBuffer(),
  ]);
const obusOf = (frame: { readonly data: Buffer } | undefined): Buffer[] => splitObus(frame!.data).slice(1);

t.test('all spatial layers are passed on as one frame with the size of the highest', async (t) => {
  const depacketizer = new Av1Depacketizer();
  const key = [layeredSequence(0x307), layer(0, KEY), layer(1, INTER)];
  const frames = push(depacketizer, 1, ...packetizeAv1(key, 100, false));
  t.match(frames, [{ keyFrame: true, corrupted: false, width: 1280, height: 720 }]);
  t.same(obusOf(frames[0]), key);
  const [next] = push(depacketizer, 2, ...packetizeAv1([layer(0, INTER), layer(1, INTER)], 1200, false));
  t.match(next, { keyFrame: false, corrupted: false });
  t.same(obusOf(next), [layer(0, INTER), layer(1, INTER)]);
});

t.test('a layer that joins waits for the next key frame, and until then is not announced', async (t) => {
  const depacketizer = new Av1Depacketizer();
  const [first] = push(depacketizer, 1, ...packetizeAv1([layeredSequence(0x707), layer(0, KEY)], 1200, false));
  t.match(first, { keyFrame: true, width: 320, height: 180 });
  t.same(obusOf(first), [layeredSequence(0x107), layer(0, KEY)]);
  const [second] = push(depacketizer, 2, ...packetizeAv1([layer(0, INTER), layer(1, INTER)], 1200, false));
  t.same(obusOf(second), [layer(0, INTER)]);
  const key = [layeredSequence(0x707), layer(0, KEY), layer(1, INTER)];
  const [third] = push(depacketizer, 3, ...packetizeAv1(key, 1200, false));
  t.match(third, { keyFrame: true, width: 640, height: 360 });
  t.same(obusOf(third), [layeredSequence(0x307), ...key.slice(1)]);
});

t.test('a stream whose highest layer ends or is lost needs a key frame', async (t) => {
  const key = packetizeAv1([layeredSequence(0x307), layer(0, KEY), layer(1, INTER)], 1200, false);
  const ended = new Av1Depacketizer();
  push(ended, 1, ...key);
  t.match(push(ended, 2, ...packetizeAv1([layer(0, INTER)], 1200, false)), [{ corrupted: true }]);
  const withoutIt = packetizeAv1([layeredSequence(0x307), layer(0, KEY)], 1200, false);
  t.match(push(ended, 3, ...withoutIt), [{ corrupted: false, width: 640, height: 360 }]);
  t.match(push(ended, 4, ...packetizeAv1([layer(0, INTER)], 1200, false)), [{ corrupted: false }]);

  const lost = new Av1Depacketizer();
  push(lost, 1, ...key);
  lost.push(rtpPacket({ timestamp: 2, payload: packetizeAv1([layer(0, INTER)], 1200, false)[0]! }));
  lost.packetLost();
  const after = push(lost, 3, ...packetizeAv1([layer(0, INTER), layer(1, INTER)], 1200, false));
  t.match(after, [{ timestamp: 3, corrupted: true }], 'nothing is shown of the frame without it');
  t.equal(lost.damagedFrames, 1);
  t.match(push(lost, 4, ...key), [{ corrupted: false, width: 1280, height: 720 }]);
});

t.test('a loss inside damages the frame', async (t) => {
  const depacketizer = new Av1Depacketizer();
  push(depacketizer, 1, ...packetizeAv1([SEQUENCE, KEY], 1200, false));
  const [first, , third] = packetizeAv1([INTER], 120, true);
  depacketizer.push(rtpPacket({ timestamp: 2, payload: first! }));
  depacketizer.packetLost();
  t.same(push(depacketizer, 2, third!), []);
  t.ok(depacketizer.corrupted);
  t.equal(depacketizer.damagedFrames, 1);
  t.match(push(depacketizer, 3, ...packetizeAv1([INTER], 1200, true)), [{ corrupted: true }]);
  t.match(push(depacketizer, 4, ...packetizeAv1([SEQUENCE, KEY], 1200, true)), [{ corrupted: false }]);
});

t.test('a marker on each packet', async (t) => {
  for (const provesMarkers of [false, true]) {
    const depacketizer = new Av1Depacketizer({ provesMarkers });
    const packets = packetizeAv1([SEQUENCE, Buffer.concat([KEY, Buffer.alloc(100, 7)])], 40, true);
    t.ok(packets.length > 2);
    const frames = packets.flatMap((packet) => push(depacketizer, 1, packet));
    frames.push(...push(depacketizer, 2, ...packetizeAv1([INTER], 1200, true)));
    t.match(frames.slice(0, 1), [{ keyFrame: true, corrupted: false }]);
    t.equal(depacketizer.damagedFrames, 0);
  }
});

t.test('data that is not AV1 is dropped', async (t) => {
  const broken: Record<string, string> = {
    'continues nothing': '90' + '3010',
    'is to be continued, and is not': '50' + '3010',
    'length beyond the end': '0005' + '3010',
    'length without end': '00' + 'ffffffffffffffffff',
    'fewer elements than counted': '20' + '023010',
    'forbidden bit': '10' + 'b010',
    'size beyond the end': '10' + '3205' + '1010',
    'extension without its byte': '10' + '34',
    'sequence header too short': '10' + '0800',
  };
  for (const [name, payload] of Object.entries(broken)) {
    const depacketizer = new Av1Depacketizer();
    t.same(push(depacketizer, 1, Buffer.from(payload, 'hex')), [], name);
    t.same(depacketizer.flush(), [], name);
    push(depacketizer, 2, ...packetizeAv1([INTER], 1200, true));
    t.equal(depacketizer.damagedFrames, 1, name);
  }
});
