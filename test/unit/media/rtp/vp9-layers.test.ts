import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { Vp9Depacketizer } from '../../../../src/media/rtp/vp9.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

interface Layer {
  readonly key?: boolean;
  /** Not for references only. */
  readonly shown?: boolean;
  /** `undefined`: that of the frame it refers to. */
  readonly size?: readonly [width: number, height: number];
  /** Of a frame that changes much: fields that are usually absent. */
  readonly rich?: boolean;
  readonly resilient?: boolean;
  /** What its tiles contain. */
  readonly content?: number;
}

const SYNC_CODE = 0x498342;

/** A frame with the whole uncompressed header of the VP9 bitstream specification (6.2), and some bytes instead of tiles. */
function frame({ key = false, shown = true, size, rich = false, resilient = true, content = 1 }: Layer): Buffer {
  const writer = new BitWriter()
    .bits(2, 2)
    .bits(3, 0)
    .bits(1, key ? 0 : 1)
    .bits(1, shown ? 1 : 0)
    .bits(1, resilient ? 1 : 0);
  const dimensions = ([width, height]: readonly [number, number]) => writer.bits(16, width - 1).bits(16, height - 1);
  if (key) {
    writer.bits(24, SYNC_CODE).bits(3, 2).bits(1, 0);
    dimensions(size!);
  } else {
    if (!shown) writer.bits(1, 0);
    if (!resilient) writer.bits(2, 0);
    writer.bits(8, 2).bits(4, 0).bits(4, 2).bits(4, 4);
    if (size) dimensions((writer.bits(3, 0), size));
    else writer.bits(1, 1);
  }
  if (rich) writer.bits(1, 1).bits(16, 1279).bits(16, 719);
  else writer.bits(1, 0); // render_and_frame_size_different
  if (!key) writer.bits(1, 1).bits(1, 0).bits(2, 1);
  if (!resilient) writer.bits(2, 2);
  writer.bits(2, 1).bits(9, 77);
  if (rich) {
    writer.bits(2, 3);
    for (let i = 0; i < 6; i++) writer.bits(1, i & 1).bits(i & 1 ? 7 : 0, 5);
  } else writer.bits(1, 0);
  writer.bits(8, 99);
  for (let i = 0; i < 3; i++) writer.bits(1, rich ? 1 : 0).bits(rich ? 5 : 0, 9);
  writer.bits(1, rich ? 1 : 0);
  if (rich) {
    writer.bits(1, 1);
    for (let i = 0; i < 7; i++) writer.bits(1, 1).bits(8, 200);
    writer.bits(1, 1);
    for (let i = 0; i < 3; i++) writer.bits(1, 0);
    writer.bits(2, 2);
    for (let segment = 0; segment < 8; segment++)
      for (const bits of [9, 7, 2, 0]) writer.bits(1, segment & 1).bits(segment & 1 ? bits : 0, 3);
  }
  const { width } = { width: size?.[0] ?? 320 };
  if (width >= 512) writer.bits(1, 0); // one column of tiles
  writer.bits(1, 0).bits(16, 3);
  return Buffer.concat([writer.align(0).toBuffer(), Buffer.alloc(40, content)]);
}

/** The packets of a picture with one frame for each layer, in the non-flexible mode. */
function packets(frames: readonly Buffer[]): Buffer[] {
  return frames.flatMap((data, layer) => {
    const half = data.length >> 1;
    return [data.subarray(0, half), data.subarray(half)].map((part, index) =>
      Buffer.concat([Buffer.of(0x20 | (index === 0 ? 0x08 : 0x04), layer << 1, 0), part]),
    );
  });
}

function push(depacketizer: Vp9Depacketizer, timestamp: number, frames: readonly Buffer[]) {
  const payloads = packets(frames);
  return payloads.flatMap((payload, index) =>
    depacketizer.push(rtpPacket({ timestamp, payload, marker: index === payloads.length - 1 })),
  );
}

/** Annex B of the specification. */
function framesOf(superframe: Buffer): Buffer[] {
  const marker = superframe.at(-1)!;
  t.equal(marker >> 5, 6);
  const [bytes, count] = [((marker >> 3) & 3) + 1, (marker & 7) + 1];
  const index = superframe.subarray(-2 - bytes * count);
  t.equal(index[0], marker);
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    const length = index.readUIntLE(1 + bytes * i, bytes);
    return superframe.subarray(at, (at += length));
  });
}

const [LOW, MIDDLE, HIGH] = [
  [320, 180],
  [640, 360],
  [1280, 720],
] as const;
const key = (rich = false) => [
  frame({ key: true, size: LOW, rich }),
  frame({ size: MIDDLE, rich }),
  frame({ size: HIGH, rich }),
];

t.test('of three layers the highest is shown, and the lower ones are hidden frames before it', async (t) => {
  for (const rich of [false, true])
    for (const resilient of [true, false]) {
      const depacketizer = new Vp9Depacketizer();
      const [first] = push(depacketizer, 1, key(rich));
      t.match(first, { keyFrame: true, corrupted: false, width: 1280, height: 720 });
      t.same(framesOf(first!.data), [
        frame({ key: true, size: LOW, rich, shown: false }),
        frame({ size: MIDDLE, rich, shown: false }),
        frame({ size: HIGH, rich }),
      ]);
      const layers: Layer[] = [{ size: LOW }, { size: MIDDLE }, { size: HIGH }];
      const [next] = push(
        depacketizer,
        2,
        layers.map((layer) => frame({ ...layer, rich, resilient })),
      );
      t.match(next, { keyFrame: false, corrupted: false, width: undefined });
      t.same(
        framesOf(next!.data),
        layers.map((layer, index) => frame({ ...layer, rich, resilient, shown: index === 2 })),
      );
    }
});

t.test('a frame with the size of the one it refers to', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  push(depacketizer, 1, [frame({ key: true, size: LOW }), frame({ size: MIDDLE })]);
  const [next] = push(depacketizer, 2, [frame({}), frame({ size: MIDDLE })]);
  t.same(framesOf(next!.data), [frame({ shown: false }), frame({ size: MIDDLE })]);
});

t.test('lower layers wait for the next frame of the highest', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  push(depacketizer, 1, key());
  t.same(push(depacketizer, 2, [frame({ size: LOW, content: 2 }), frame({ size: MIDDLE, content: 2 })]), []);
  const [next] = push(depacketizer, 3, [frame({ size: LOW }), frame({ size: MIDDLE }), frame({ size: HIGH })]);
  t.match(next, { corrupted: false });
  t.same(framesOf(next!.data), [
    frame({ size: LOW, content: 2, shown: false }),
    frame({ size: MIDDLE, content: 2, shown: false }),
    frame({ size: LOW, shown: false }),
    frame({ size: MIDDLE, shown: false }),
    frame({ size: HIGH }),
  ]);
  t.equal(depacketizer.damagedFrames, 0);
});

t.test('where the highest layer ends, the next key frame chooses another one', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  push(depacketizer, 1, key());
  const lower = [frame({ size: LOW }), frame({ size: MIDDLE })];
  const frames = [2, 3, 4, 5].flatMap((timestamp) => push(depacketizer, timestamp, lower));
  t.match(frames, [{ timestamp: 5, corrupted: true }], 'a key frame is needed');
  const [other] = push(depacketizer, 6, key().slice(0, 2));
  t.match(other, { keyFrame: true, corrupted: false, width: 640, height: 360 });
  t.match(push(depacketizer, 7, lower), [{ corrupted: false }]);
});

t.test('a layer that joins waits for the next key frame', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  const low = frame({ key: true, size: LOW });
  t.match(push(depacketizer, 1, [low]), [{ data: low, keyFrame: true, width: 320, height: 180 }]);
  const layers = [frame({ size: LOW }), frame({ size: MIDDLE }), frame({ size: HIGH })];
  t.match(push(depacketizer, 2, layers), [{ data: layers[0]!, corrupted: false }]);
  t.match(push(depacketizer, 3, key()), [{ keyFrame: true, corrupted: false, width: 1280, height: 720 }]);
});

t.test('nothing is shown of a picture with a loss in its highest layer, nor of the next ones', async (t) => {
  for (const isKey of [false, true]) {
    const depacketizer = new Vp9Depacketizer();
    push(depacketizer, 1, key());
    const damaged = isKey ? key() : [frame({ size: LOW }), frame({ size: MIDDLE }), frame({ size: HIGH })];
    const [last, ...rest] = packets(damaged).toReversed();
    t.ok(last);
    for (const payload of rest.toReversed()) t.same(depacketizer.push(rtpPacket({ timestamp: 2, payload })), []);
    depacketizer.packetLost();
    t.match(push(depacketizer, 3, [frame({ size: LOW }), frame({ size: MIDDLE }), frame({ size: HIGH })]), [
      { timestamp: 3, corrupted: true },
    ]);
    t.equal(depacketizer.damagedFrames, 1);
    t.match(push(depacketizer, 4, key()), [{ keyFrame: true, corrupted: false, width: 1280, height: 720 }]);
  }
});

t.test('a layer that cannot be read damages the picture', async (t) => {
  const depacketizer = new Vp9Depacketizer();
  t.same(push(depacketizer, 1, [frame({ key: true, size: LOW }), Buffer.alloc(60)]), []);
  t.equal(depacketizer.damagedFrames, 1);
  t.same(push(new Vp9Depacketizer(), 1, [key()[0]!, frame({ size: MIDDLE }).subarray(0, 8)]), []);
});
