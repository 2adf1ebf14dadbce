import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { Vp9Depacketizer } from '../../../../src/media/rtp/vp9.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

/** The beginning of a key frame's uncompressed header, followed by other bytes. */
function keyFrame(width: number, height: number, profile = 0): Buffer {
  const writer = new BitWriter()
    .bits(2, 2)
    .bits(1, profile & 1)
    .bits(1, profile >> 1);
  if (profile === 3) writer.bits(1, 0);
  writer.bits(1, 0).bits(1, 0).bits(2, 2).bits(24, 0x498342);
  if (profile >= 2) writer.bits(1, 0);
  writer.bits(3, 2).bits(1, 0);
  if (profile & 1) writer.bits(3, 0);
  return Buffer.concat([
    writer
      .bits(16, width - 1)
      .bits(16, height - 1)
      .toBuffer(),
    Buffer.from('rest'),
  ]);
}
const INTER = Buffer.from('860102', 'hex');
const BEGIN = 0x08;
const END = 0x04;
const INTER_FRAME = 0x40;

const payload = (descriptor: number | string, data: Buffer): Buffer =>
  Buffer.concat([typeof descriptor === 'number' ? Buffer.of(descriptor) : Buffer.from(descriptor, 'hex'), data]);

function push(depacketizer: Vp9Depacketizer, timestamp: number, ...payloads: Buffer[]) {
  return payloads.flatMap((payload, index) =>
    depacketizer.push(rtpPacket({ timestamp, payload, marker: index === payloads.length - 1 })),
  );
}

t.test('frames of one packet and of several packets, with their size', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  const key = keyFrame(1280, 720);
  t.same(
    push(
      depacketizer,
      1,
      payload(BEGIN, key.subarray(0, 3)),
      payload(0, key.subarray(3, 6)),
      payload(END, key.subarray(6)),
    ),
    [{ timestamp: 1, corrupted: false, keyFrame: true, width: 1280, height: 720, data: key }],
  );
  t.same(push(depacketizer, 2, payload(BEGIN | END | INTER_FRAME, INTER)), [
    { timestamp: 2, corrupted: false, keyFrame: false, data: INTER },
  ]);
});

t.test('all profiles', async (t) => {
  for (const profile of [0, 1, 2, 3])
    t.match(push(new Vp9Depacketizer(), 1, payload(BEGIN | END, keyFrame(322, 178, profile))), [
      { width: 322, height: 178 },
    ]);
});

t.test('all forms of the descriptor', async (t) => {
  const key = keyFrame(64, 48);
  const forms: Record<string, string> = {
    'frame id of 7 bits': '8c55',
    'frame id of 15 bits': '8cd555',
    'layers, non-flexible': '2c0011',
    'layers, flexible': '3c00',
    'flexible without references (not an inter frame)': '9c55',
    'flexible with one reference': 'dc5502',
    'flexible with three references': 'dc55030302',
    'scalability structure without anything': '0e00',
    'scalability structure with a size': '0e1000400030',
    'scalability structure with two sizes and two frames': '0e38' + '00400030' + '00800060' + '02' + '0401' + '080102',
  };
  for (const [name, descriptor] of Object.entries(forms))
    t.match(push(new Vp9Depacketizer(), 1, payload(descriptor, key)), [{ data: key }], name);
});

t.test('a frame without beginning or end is dropped', async (t) => {
  for (const descriptor of [0, BEGIN, END]) {
    const depacketizer = new Vp9Depacketizer();
    t.same(push(depacketizer, 1, payload(descriptor, keyFrame(64, 48))), []);
    // The marker does not end a frame whose end is missing.
    t.same(push(depacketizer, 2, payload(END, INTER)), []);
    t.ok(depacketizer.damagedFrames > 0);
  }
  t.same(
    push(new Vp9Depacketizer(), 1, payload(BEGIN | END, keyFrame(64, 48)), payload(END, INTER)),
    [],
    'and one that continues after its end',
  );
});

t.test('a marker on each packet', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  const data = keyFrame(64, 48);
  const packets = [
    payload(BEGIN, data.subarray(0, 4)),
    payload(0, data.subarray(4, 8)),
    payload(END, data.subarray(8)),
  ];
  const frames = packets.flatMap((packet) => push(depacketizer, 1, packet));
  t.match(frames, [{ data, keyFrame: true, corrupted: false }]);
  t.match(push(depacketizer, 2, payload(BEGIN | END, INTER)), [{ corrupted: false }], 'without waiting');
});

t.test('a frame that is only shown again is not a key frame', async (t) => {
  t.match(push(new Vp9Depacketizer(), 1, payload(BEGIN | END, Buffer.of(0x88))), [{ keyFrame: false }]);
});

t.test('data that is not VP9 is dropped', async (t) => {
  for (const bytes of ['0c', '8c', '0c00', '0c82', '0c8249834200', '0eff', '0e08ff', 'fcffff'])
    t.same(push(new Vp9Depacketizer(), 1, Buffer.from(bytes, 'hex')), [], bytes);
});
