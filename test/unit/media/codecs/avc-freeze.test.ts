import fc from 'fast-check';
import t from 'tap';
import { BitReader, BitWriter } from '../../../../src/media/bits.ts';
import { avcFrame, avcSequenceHeader } from '../../../../src/media/codecs/avc.ts';
import { skippedFramesAfter } from '../../../../src/media/codecs/avc-freeze.ts';
import { addEmulationPrevention, removeEmulationPrevention } from '../../../../src/media/codecs/avc-nal.ts';

/**
 * Bit streams written by hand, after ITU-T H.264, 7.3.2.1.1, 7.3.2.2 and 7.3.3. Real streams: test/integration/freeze-frames.test.ts.
 */

interface SpsShape {
  readonly profile?: number;
  readonly compatibility?: number;
  /** From the type on. */
  readonly pictureOrder?: (writer: BitWriter) => void;
  readonly refs?: number;
  readonly framesOnly?: boolean;
}

const nalUnit = (header: number, writer: BitWriter): Buffer =>
  Buffer.concat([Buffer.of(header), addEmulationPrevention(writer.bits(1, 1).toBuffer())]);

function sps(shape: SpsShape = {}): Buffer {
  const { profile = 66, compatibility = 0xc0, refs = 1, framesOnly = true } = shape;
  const writer = new BitWriter().bits(8, profile).bits(8, compatibility).bits(8, 31).unsignedGolomb(0);
  if (profile !== 66) writer.unsignedGolomb(1).unsignedGolomb(0).unsignedGolomb(0).bits(2, 0);
  writer.unsignedGolomb(0); // frame numbers of 4 bits
  if (shape.pictureOrder) shape.pictureOrder(writer);
  else writer.unsignedGolomb(0).unsignedGolomb(0); // picture order of 4 bits
  writer
    .unsignedGolomb(refs)
    .bits(1, 0)
    .unsignedGolomb(39)
    .unsignedGolomb(22)
    .bits(1, framesOnly ? 1 : 0);
  if (!framesOnly) writer.bits(1, 0);
  return nalUnit(0x67, writer.bits(1, 1).bits(2, 0));
}

/** @param groups slice groups */
function pps({ id = 0, groups = 1, redundant = false } = {}): Buffer {
  const writer = new BitWriter()
    .unsignedGolomb(id)
    .unsignedGolomb(0)
    .bits(2, 0)
    .unsignedGolomb(groups - 1);
  writer.unsignedGolomb(0).unsignedGolomb(0).bits(3, 0).signedGolomb(-3).signedGolomb(0).signedGolomb(0);
  return nalUnit(0x68, writer.bits(2, 0b10).bits(1, redundant ? 1 : 0));
}

interface SliceShape {
  readonly refIdc?: number;
  readonly idr?: boolean;
  readonly type?: number;
  readonly ppsId?: number;
  readonly frameNum?: number;
  /** What follows the frame number; default: order 8. */
  readonly order?: (writer: BitWriter) => void;
  /** From adaptive_ref_pic_marking_mode_flag on, or the two flags of an IDR frame. */
  readonly marking?: (writer: BitWriter) => void;
}

function slice(shape: SliceShape = {}): Buffer {
  const { refIdc = 2, idr = false, type = 5, ppsId = 0, frameNum = 3 } = shape;
  const writer = new BitWriter().unsignedGolomb(0).unsignedGolomb(type).unsignedGolomb(ppsId).bits(4, frameNum);
  if (idr) writer.unsignedGolomb(0);
  if (shape.order) shape.order(writer);
  else writer.bits(4, 8);
  if (type % 5 === 0) writer.bits(2, 0);
  if (refIdc) (shape.marking ?? ((to) => to.bits(idr ? 2 : 1, 0)))(writer);
  return nalUnit((refIdc << 5) | (idr ? 5 : 1), writer.bits(32, 0x9abcdef1));
}

interface Stream {
  readonly sps?: Buffer;
  readonly pps?: Buffer;
  readonly frame?: readonly Buffer[];
  readonly compositionMs?: number;
}

const after = (stream: Stream): ReturnType<typeof skippedFramesAfter> =>
  skippedFramesAfter(
    avcSequenceHeader(stream.sps ?? sps(), [stream.pps ?? pps()]),
    avcFrame(
      (stream.frame ?? [slice()]).map((unit) => [unit]),
      false,
      stream.compositionMs,
    ),
  );

/** Frame number and order of the next frame of a stream with the default parameter sets. */
function numbers(nalUnit: Buffer): { frameNum: number; order: number } {
  const reader = new BitReader(removeEmulationPrevention(nalUnit.subarray(1)));
  for (let i = 0; i < 3; i++) reader.unsignedGolomb();
  return { frameNum: reader.bits(4), order: reader.bits(4) };
}

t.test('every bit of a frame with CAVLC', async (t) => {
  const expected = new BitWriter()
    .unsignedGolomb(0) // first_mb_in_slice
    .unsignedGolomb(5)
    .unsignedGolomb(0)
    .bits(4, 4) // frame_num
    .bits(4, 10) // pic_order_cnt_lsb
    .bits(1, 1)
    .unsignedGolomb(0) // one reference
    .bits(1, 0)
    .bits(1, 0)
    .signedGolomb(3) // slice_qp_delta: the parameter set begins at 23
    .unsignedGolomb(1) // disable_deblocking_filter_idc
    .unsignedGolomb(40 * 23);
  t.strictSame(after({})!.next(), nalUnit(0x41, expected));
});

t.test('numbers follow those of the last frame, and wrap', async (t) => {
  const frames = after({ frame: [slice({ frameNum: 14, order: (writer) => writer.bits(4, 12) })] })!;
  const found = Array.from({ length: 4 }, () => numbers(frames.next()));
  t.strictSame(found, [
    { frameNum: 15, order: 14 },
    { frameNum: 0, order: 0 },
    { frameNum: 1, order: 2 },
    { frameNum: 2, order: 4 },
  ]);
});

t.test('a frame that nothing refers to does not count', async (t) => {
  const frames = after({ frame: [slice({ refIdc: 0, frameNum: 3 })] })!;
  t.match(numbers(frames.next()), { frameNum: 3 });
  t.match(numbers(frames.next()), { frameNum: 4 });
  t.match(numbers(after({ frame: [slice({ refIdc: 0, frameNum: 0 })] })!.next()), { frameNum: 0 });
});

t.test('after a key frame', async (t) => {
  t.match(numbers(after({ frame: [slice({ idr: true, type: 7, frameNum: 0 })] })!.next()), { frameNum: 1 });
});

t.test('parameter sets within the stream are used', async (t) => {
  t.equal(after({ frame: [slice({ ppsId: 7 })] }), undefined, 'unknown');
  t.ok(after({ frame: [pps({ id: 7 }), slice({ ppsId: 7 })] }));
  const redundant = after({
    frame: [pps({ redundant: true }), slice({ order: (writer) => writer.bits(4, 8).unsignedGolomb(0) })],
  });
  t.not(redundant!.next().toString('hex'), after({})!.next().toString('hex'));
});

t.test('reference marking', async (t) => {
  const marked = (...operations: number[]): ReturnType<typeof after> => {
    const marking = (writer: BitWriter): void => {
      writer.bits(1, 1);
      for (const value of [...operations, 0]) writer.unsignedGolomb(value);
    };
    return after({ frame: [slice({ marking })] });
  };
  t.ok(marked(1, 0, 2, 0, 3, 0, 0, 4, 1), 'of other frames');
  t.equal(marked(6, 0), undefined, 'the last frame is a long-term reference');
  t.equal(marked(1, 0, 5), undefined, 'everything is forgotten');
  t.equal(marked(9), undefined, 'invalid');
  t.equal(marked(...Array.from({ length: 200 }, () => [1, 0]).flat()), undefined, 'without end');
  const longTerm = slice({ idr: true, type: 7, frameNum: 0, marking: (writer) => writer.bits(2, 1) });
  t.equal(after({ frame: [longTerm] }), undefined, 'a key frame that is one');
});

t.test('picture order of type 1', async (t) => {
  const order =
    (alwaysZero: boolean, ...offsets: number[]) =>
    (writer: BitWriter): void => {
      writer
        .unsignedGolomb(1)
        .bits(1, alwaysZero ? 1 : 0)
        .signedGolomb(0)
        .signedGolomb(0)
        .unsignedGolomb(offsets.length);
      for (const offset of offsets) writer.signedGolomb(offset);
    };
  const frame = (alwaysZero: boolean, refIdc = 2): Buffer[] => [
    slice({ refIdc, order: (writer) => (alwaysZero ? undefined : writer.signedGolomb(-2)) }),
  ];
  t.ok(after({ sps: sps({ pictureOrder: order(true, 2, 2) }), frame: frame(true) }));
  const delta = after({ sps: sps({ pictureOrder: order(false, 2) }), frame: frame(false) })!;
  const reader = new BitReader(removeEmulationPrevention(delta.next().subarray(1)));
  for (let i = 0; i < 3; i++) reader.unsignedGolomb();
  t.equal(reader.bits(4), 4);
  t.equal(reader.signedGolomb(), -2, 'the delta of the last frame');
  t.equal(after({ sps: sps({ pictureOrder: order(true) }), frame: frame(true) }), undefined, 'order does not increase');
  t.equal(after({ sps: sps({ pictureOrder: order(true, 2, -2) }), frame: frame(true) }), undefined, 'order goes back');
  t.equal(after({ sps: sps({ pictureOrder: order(true, 2) }), frame: frame(true, 0) }), undefined, 'not a reference');
});

t.test('streams that cannot be frozen safely', async (t) => {
  t.equal(after({ frame: [slice({ type: 6 })] }), undefined, 'B');
  t.equal(after({ frame: [slice(), slice({ type: 1 })] }), undefined, 'B in one slice');
  t.equal(after({ frame: [slice({ type: 8 })] }), undefined, 'SP');
  t.equal(after({ compositionMs: 33 }), undefined, 'shown in another order');
  t.equal(after({ sps: sps({ framesOnly: false }) }), undefined, 'fields');
  t.equal(after({ sps: sps({ refs: 0 }) }), undefined, 'no references');
  t.equal(after({ sps: sps({ profile: 110, compatibility: 0x10 }) }), undefined, 'no P slices');
  t.ok(after({ sps: sps({ profile: 110, compatibility: 0 }) }));
  t.equal(after({ pps: pps({ groups: 2 }) }), undefined, 'slice groups');
  t.equal(after({ frame: [] }), undefined, 'nothing');
  t.equal(after({ frame: [Buffer.of(0x42, 1, 2, 3)] }), undefined, 'data partitions');
  t.equal(after({ frame: [slice().subarray(0, 2)] }), undefined, 'cut');
  const header = avcSequenceHeader(sps(), [pps()]);
  header[9]! &= 0xfe; // lengths of three bytes
  t.equal(skippedFramesAfter(header, avcFrame([[slice()]], false)), undefined, 'other lengths');
});

t.test('any bytes: frames or none', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array));
  const header = avcSequenceHeader(sps(), [pps()]);
  fc.assert(
    fc.property(bytes, bytes, (one, two) => {
      const frame = avcFrame([[Buffer.concat([Buffer.of(0x41), one])], [slice()]], false);
      for (const [first, last] of [
        [header, frame],
        [one, frame],
        [Buffer.concat([header.subarray(0, 20), one]), avcFrame([[slice()]], false)],
        [header, Buffer.concat([frame.subarray(0, 7), two])],
        [one, two],
      ] as const)
        skippedFramesAfter(first, last)?.next();
    }),
    { numRuns: 3000 },
  );
});

t.test('emulation prevention is undone', async (t) => {
  const bytes = fc.array(fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 255)).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, (raw) => {
      const safe = addEmulationPrevention(raw);
      const plain = safe.every((byte, at) => byte > 2 || safe[at - 1] !== 0 || safe[at - 2] !== 0);
      return plain && removeEmulationPrevention(safe).equals(raw);
    }),
  );
  t.equal(
    addEmulationPrevention(Buffer.from('0000000000ff000003', 'hex')).toString('hex'),
    '000003000003' + '00ff00000303',
  );
});
