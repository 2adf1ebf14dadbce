import fc from 'fast-check';
import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { spsListOf } from '../../../../src/media/codecs/avc-parameter-sets.ts';
import { parseSpsSyntax } from '../../../../src/media/codecs/avc.ts';
import { H264Depacketizer } from '../../../../src/media/rtp/h264.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

const SPS = Buffer.from('6742c01fda014016e840', 'hex');
const OTHER_SPS = Buffer.from('6742c01fda02802dd080', 'hex');
// pic_parameter_set_id 0 and 1 are the codes 1 and 010.
const PPS_0 = Buffer.from('68ce3c80', 'hex');
const PPS_1 = Buffer.from('684e3c80', 'hex');
const SEI = Buffer.from('0605010280', 'hex');
// The first bit after the header is first_mb_in_slice: 1 stands for macroblock 0.
const IDR = Buffer.from('6588aabb', 'hex');
const IDR_SECOND_SLICE = Buffer.from('6540aabb', 'hex');
const P = Buffer.from('419aaabb', 'hex');
const P_SECOND_SLICE = Buffer.from('4146aabb', 'hex');
const AUD = Buffer.from('09f0', 'hex');
const FILLER = Buffer.from('0cffff80', 'hex');

const stapA = (...nalUnits: Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.of(0x78),
    ...nalUnits.flatMap((nalUnit) => [Buffer.of(nalUnit.length >> 8, nalUnit.length & 0xff), nalUnit]),
  ]);

function fuA(nalUnit: Buffer, parts: number): Buffer[] {
  const body = nalUnit.subarray(1);
  const size = Math.ceil(body.length / parts);
  return Array.from({ length: parts }, (_, index) => {
    const flags = (index === 0 ? 0x80 : 0) | (index === parts - 1 ? 0x40 : 0);
    return Buffer.concat([
      Buffer.of((nalUnit[0]! & 0xe0) | 28, flags | (nalUnit[0]! & 0x1f)),
      body.subarray(index * size, (index + 1) * size),
    ]);
  });
}

/** Pushes payloads as one frame, with the marker on the last; `undefined` is a loss. NAL units of the result are joined. */
function frame(
  depacketizer: H264Depacketizer,
  timestamp: number,
  payloads: ReadonlyArray<Buffer | undefined>,
  marker = true,
) {
  return payloads.flatMap((payload, index) => {
    if (payload)
      return depacketizer
        .push(rtpPacket({ timestamp, payload, marker: marker && index === payloads.length - 1 }))
        .map((unit) => ({ ...unit, nalUnits: unit.nalUnits.map((pieces) => Buffer.concat(pieces)) }));
    depacketizer.packetLost();
    return [];
  });
}

const started = (): H264Depacketizer => {
  const depacketizer = new H264Depacketizer();
  frame(depacketizer, 0, [stapA(SPS, PPS_0), IDR]);
  return depacketizer;
};

t.test('single NAL units, STAP-A and FU-A form one access unit', async (t) => {
  const depacketizer = new H264Depacketizer();
  t.ok(depacketizer.corrupted, 'nothing can be decoded yet');
  const units = frame(depacketizer, 7, [
    AUD,
    stapA(SPS, PPS_0, SEI),
    ...fuA(Buffer.concat([IDR, Buffer.alloc(50, 3)]), 3),
    FILLER,
    IDR_SECOND_SLICE,
  ]);
  t.match(units, [
    {
      timestamp: 7,
      keyFrame: true,
      bFrame: false,
      corrupted: false,
      nalUnits: [SEI, Buffer.concat([IDR, Buffer.alloc(50, 3)]), IDR_SECOND_SLICE],
    },
  ]);
  t.same(depacketizer.parameterSets, { sps: SPS, pps: [PPS_0] });
  t.notOk(depacketizer.corrupted);
  t.same(frame(depacketizer, 8, [P]), [
    { timestamp: 8, keyFrame: false, bFrame: false, corrupted: false, nalUnits: [P] },
  ]);
});

t.test('B-frames, by both codes of their slices', async (t) => {
  const depacketizer = started();
  for (const [slice, bFrame] of [
    ['41c0ff', false],
    ['4198ff', false],
    ['01a0ff', true],
    ['01afff', true],
    ['019cff', true],
    ['419bff', false],
    ['41b0ff', false],
    ['4188ff', false],
  ] as const) {
    t.equal(frame(depacketizer, 1, [Buffer.from(slice, 'hex')])[0]!.bFrame, bFrame, slice);
  }
  t.equal(frame(depacketizer, 2, fuA(Buffer.from('01a0ffff', 'hex'), 2))[0]!.bFrame, true, 'in fragments');
});

t.test('a new timestamp ends an access unit whose marker is missing', async (t) => {
  const depacketizer = started();
  t.same(frame(depacketizer, 1, [P], false), []);
  const units = frame(depacketizer, 2, [P]);
  t.same(
    units.map((unit) => unit.timestamp),
    [1, 2],
  );
});

t.test('parameter sets in a packet of their own, with a marker, belong to the next frame', async (t) => {
  const depacketizer = new H264Depacketizer();
  t.same(frame(depacketizer, 1, [SPS]), []);
  t.same(frame(depacketizer, 1, [PPS_0]), []);
  t.match(frame(depacketizer, 1, [IDR]), [{ keyFrame: true }]);
  t.same(depacketizer.parameterSets, { sps: SPS, pps: [PPS_0] });
  t.same(frame(depacketizer, 2, [undefined, IDR]), [], 'and a frame that lost them is dropped');
});

t.test('all parameter sets are kept by id', async (t) => {
  const depacketizer = new H264Depacketizer();
  frame(depacketizer, 1, [stapA(SPS, PPS_1, PPS_0), IDR]);
  t.same(depacketizer.parameterSets, { sps: SPS, pps: [PPS_0, PPS_1] });
  const changed = Buffer.from('684eff80', 'hex');
  frame(depacketizer, 2, [stapA(changed), P]);
  t.same(depacketizer.parameterSets, { sps: SPS, pps: [PPS_0, changed] });
  frame(depacketizer, 3, [stapA(OTHER_SPS, PPS_1), IDR]);
  t.same(depacketizer.parameterSets, { sps: OTHER_SPS, pps: [PPS_0, PPS_1] }, 'also with another SPS');
});

t.test('a loss inside an access unit drops it and requires a key frame', async (t) => {
  for (const payloads of [
    [P, undefined, P_SECOND_SLICE],
    [...fuA(P, 3).slice(0, 1), undefined, ...fuA(P, 3).slice(2)],
    [undefined, fuA(P, 2)[1]!],
  ]) {
    const depacketizer = started();
    t.same(frame(depacketizer, 1, payloads), []);
    t.ok(depacketizer.corrupted);
    t.equal(depacketizer.damagedFrames, 1);
    t.match(frame(depacketizer, 2, [P]), [{ corrupted: true }]);
    t.match(frame(depacketizer, 3, [stapA(SPS, PPS_0), IDR]), [{ corrupted: false }]);
    t.notOk(depacketizer.corrupted);
  }
});

t.test('a loss at the end drops the access unit', async (t) => {
  const depacketizer = started();
  const units = [
    ...frame(depacketizer, 1, [P], false),
    ...frame(depacketizer, 1, [undefined]),
    ...frame(depacketizer, 2, [P]),
  ];
  t.same(
    units.map((unit) => [unit.timestamp, unit.corrupted]),
    [[2, true]],
  );
});

t.test('a loss of whole frames', async (t) => {
  const depacketizer = started();
  depacketizer.packetLost();
  t.ok(depacketizer.corrupted);
  t.match(frame(depacketizer, 5, [P]), [{ corrupted: true }]);
});

t.test('a loss at the beginning is detected by the first slice', async (t) => {
  const depacketizer = started();
  t.same(frame(depacketizer, 1, [undefined, P_SECOND_SLICE]), []);
  t.equal(depacketizer.damagedFrames, 1);
  t.match(frame(depacketizer, 2, [undefined, P, P_SECOND_SLICE]), [{ nalUnits: [P, P_SECOND_SLICE] }]);
});

t.test('a key frame that lost its parameter sets is dropped if others have them', async (t) => {
  const depacketizer = started();
  t.same(frame(depacketizer, 1, [undefined, IDR]), []);
  t.ok(depacketizer.corrupted);

  const outOfBand = started();
  frame(outOfBand, 1, [IDR]);
  t.match(frame(outOfBand, 2, [undefined, IDR]), [{ keyFrame: true, corrupted: false }]);
});

t.test('parameter sets of a damaged frame apply to the next good one', async (t) => {
  const depacketizer = started();
  frame(depacketizer, 1, [stapA(OTHER_SPS, PPS_1), undefined, IDR_SECOND_SLICE]);
  t.match(frame(depacketizer, 2, [P]), [{ corrupted: true }]);
  t.match(frame(depacketizer, 3, [IDR]), [{ corrupted: false }]);
  t.same(depacketizer.parameterSets, { sps: OTHER_SPS, pps: [PPS_0, PPS_1] });
});

t.test('packets without payload are ignored', async (t) => {
  const depacketizer = started();
  t.same(frame(depacketizer, 1, [Buffer.alloc(0)]), []);
  frame(depacketizer, 2, [P], false);
  t.same(depacketizer.push(rtpPacket({ timestamp: 1, payload: Buffer.alloc(0) })), []);
  t.match(frame(depacketizer, 2, [P_SECOND_SLICE]), [{ nalUnits: [P, P_SECOND_SLICE] }]);
});

t.test('malformed payloads damage only their frame', async (t) => {
  const broken: Record<string, Buffer> = {
    'NAL unit type 0': Buffer.of(0x60, 1),
    'forbidden bit': Buffer.of(0xe1, 0x9a),
    'STAP-A without content': Buffer.of(0x78),
    'STAP-A with an empty unit': Buffer.from('780000', 'hex'),
    'STAP-A beyond its end': Buffer.from('780009419a', 'hex'),
    'STAP-A with a byte left over': Buffer.from('780002419a00', 'hex'),
    'STAP-A in STAP-A': stapA(stapA(P)),
    'FU-A without its header': Buffer.of(0x7c),
    'FU-A without a start': fuA(P, 3)[1]!,
    'FU-A of a FU-A': Buffer.of(0x7c, 0xc0 | 28, 1),
    'FU-A with the forbidden bit': Buffer.of(0xfc, 0xc1, 0x9a),
    'FU-B': Buffer.of(0x7d, 0x81, 0, 0, 1),
    'sequence parameter set of 2 bytes': Buffer.of(0x67, 0x42),
    'frame parameter set with an endless id': Buffer.of(0x68, 0, 0, 0, 0, 0, 0),
    'frame parameter set 256': Buffer.from('68008080', 'hex'),
    'sequence parameter set of more than a kilobyte': Buffer.concat([SPS, Buffer.alloc(1024)]),
    'frame parameter set of more than a kilobyte': Buffer.concat([PPS_0, Buffer.alloc(1024)]),
  };
  for (const [name, payload] of Object.entries(broken)) {
    const depacketizer = started();
    // A parameter set ends the frame before it.
    const units = frame(depacketizer, 1, [P, payload, P_SECOND_SLICE]);
    t.ok(units.length === 0 || units[0]!.nalUnits.every((nalUnit) => nalUnit.equals(P)), name);
    t.equal(depacketizer.damagedFrames, 1, name);
    t.match(frame(depacketizer, 2, [stapA(SPS, PPS_0), IDR]), [{ corrupted: false }], name);
  }
});

t.test('a fragmented unit that is interrupted damages the frame', async (t) => {
  for (const other of [P, stapA(P), fuA(P, 2)[0]!]) {
    const depacketizer = started();
    t.same(frame(depacketizer, 1, [fuA(P, 3)[0]!, other, ...fuA(P, 3).slice(1)]), []);
    t.equal(depacketizer.damagedFrames, 1);
  }
  const depacketizer = started();
  t.same(frame(depacketizer, 1, fuA(P, 3).slice(0, 2)), [], 'not ended at the marker');
  t.same(frame(depacketizer, 2, [P]), []);
  t.equal(depacketizer.damagedFrames, 1);
  t.ok(depacketizer.corrupted);
});

t.test('a frame without end is dropped before it fills the memory', async (t) => {
  const depacketizer = started();
  const [start, middle] = fuA(Buffer.alloc(60_000, 0x41), 2);
  frame(depacketizer, 1, [start!], false);
  const body = Buffer.concat([Buffer.of(0x5c, 0x01), middle!.subarray(2)]);
  for (let i = 0; i < 1000; i++) frame(depacketizer, 1, [body], false);
  t.same(frame(depacketizer, 1, [fuA(P, 2)[1]!]), []);
  t.equal(depacketizer.damagedFrames, 1);

  const [first, , last] = fuA(P, 3);
  t.same(frame(depacketizer, 2, [first!, ...Array<Buffer>(14_000).fill(fuA(P, 3)[1]!), last!]), [], 'too many packets');
  t.same(
    frame(depacketizer, 3, [P, ...Array<Buffer>(20).fill(stapA(...Array<Buffer>(250).fill(P_SECOND_SLICE)))]),
    [],
    'too many NAL units',
  );
});

t.test('the limits apply to one frame', async (t) => {
  const depacketizer = started();
  const large = Buffer.concat([P, Buffer.alloc(1200)]);
  for (let i = 1; i <= 15_000; i++) if (frame(depacketizer, i, [large]).length !== 1) return t.fail(`frame ${i}`);
});

t.test('no more picture parameter sets than a sequence header can contain', async (t) => {
  const depacketizer = started();
  for (let id = 0; id < 256; id++) {
    const bits = 32 - Math.clz32(id + 1);
    frame(depacketizer, 1 + id, [
      Buffer.concat([
        Buffer.of(0x68),
        new BitWriter()
          .bits(bits - 1, 0)
          .bits(bits, id + 1)
          .bits(8, 0x80)
          .toBuffer(),
      ]),
    ]);
  }
  t.equal(depacketizer.parameterSets!.pps.length, 255);
});

/** A slice of one macroblock row or more: type 7 (I) or 5 (P), parameter set, and frame number of four bits. */
function slice(
  nalType: number,
  { first = 0, type = 5, pps = 0, frameNum = 1, idrId = 0, refIdc = 3 }: Record<string, number> = {},
): Buffer {
  const writer = new BitWriter().bits(8, (refIdc << 5) | nalType);
  writer.unsignedGolomb(first).unsignedGolomb(type).unsignedGolomb(pps).bits(FRAME_NUM_BITS, frameNum);
  if (nalType === 5) writer.unsignedGolomb(idrId);
  return Buffer.concat([writer.bits(16, 0xaaaa).toBuffer(), Buffer.alloc(20, 0xaa)]);
}

const FRAME_NUM_BITS = parseSpsSyntax(SPS)!.log2MaxFrameNum;
const slices = (nalType: number, fields: Record<string, number> = {}): Buffer[] =>
  [0, 300, 600, 900].map((first) => slice(nalType, { ...fields, first }));

const FOUR_SLICES: Record<string, (payload: number) => boolean> = {
  'on each slice': () => true,
  'on the first slice only': (index) => index === 0,
  never: () => false,
  'on the last slice only': (index) => index === 3,
  'on the third only': (index) => index === 2,
};
for (const [name, isMarked] of Object.entries(FOUR_SLICES)) {
  t.test(`frames of four slices with a marker ${name}`, async (t) => {
    const depacketizer = new H264Depacketizer(undefined, { provesMarkers: true });
    depacketizer.push(rtpPacket({ timestamp: 0, payload: stapA(SPS, PPS_0), marker: name === 'on each slice' }));
    const sent = Array.from({ length: 20 }, (_, index) =>
      index % 10 === 0 ? slices(5, { type: 7, frameNum: 0, idrId: index / 10 }) : slices(1, { frameNum: index % 10 }),
    );
    const units = sent.flatMap((frame, timestamp) =>
      frame.flatMap((payload, index) => depacketizer.push(rtpPacket({ timestamp, payload, marker: isMarked(index) }))),
    );
    units.push(...depacketizer.flush());
    t.same(
      units.map(({ nalUnits }) => nalUnits.map((pieces) => Buffer.concat(pieces))),
      sent,
    );
    t.same(
      units.map(({ timestamp }) => timestamp),
      [...sent.keys()],
    );
    t.ok(units.every(({ corrupted }) => !corrupted));
  });
}

t.test('markers that are right cost no waiting after the first frame', async (t) => {
  const depacketizer = new H264Depacketizer(undefined, { provesMarkers: true });
  t.same(frame(depacketizer, 0, [stapA(SPS, PPS_0), ...slices(5, { type: 7 })]), []);
  t.ok(depacketizer.isWaiting);
  t.equal(frame(depacketizer, 1, slices(1)).length, 2, 'both at once');
  for (let i = 2; i < 10; i++) t.equal(frame(depacketizer, i, slices(1, { frameNum: i })).length, 1);
});

t.test('the first frame is given up waiting for, and later slices of it damage the next ones', async (t) => {
  const depacketizer = new H264Depacketizer(undefined, { provesMarkers: true });
  const [first, ...others] = slices(5, { type: 7 });
  t.same(frame(depacketizer, 0, [stapA(SPS, PPS_0), first!]), []);
  t.match(depacketizer.flush(), [{ keyFrame: true, corrupted: false }]);
  t.same(frame(depacketizer, 0, others), []);
  t.match(frame(depacketizer, 1, slices(1)), [], 'markers are not believed any more');
  t.match(frame(depacketizer, 2, slices(1, { frameNum: 2 })), [{ corrupted: true, timestamp: 1 }]);
});

t.test('frames with one timestamp are told apart by their slices, and by what precedes these', async (t) => {
  const sei = SEI;
  const cases: Record<string, Buffer[][]> = {
    'frame numbers': [slices(1), slices(1, { frameNum: 2 }), slices(1, { frameNum: 3 })],
    'identifiers of IDR frames': [slices(5, { type: 7 }), slices(5, { type: 7, idrId: 1 })],
    'a first macroblock again': [slices(1), slices(1)],
    'a frame that others refer to': [slices(1), slices(1, { refIdc: 0 })],
    delimiters: [
      [AUD, ...slices(1).slice(0, 1)],
      [AUD, ...slices(1).slice(0, 1)],
    ],
    messages: [slices(1), [sei, ...slices(1)]],
  };
  for (const [name, frames] of Object.entries(cases)) {
    for (const marker of [false, true]) {
      const depacketizer = started();
      const units = frames.flatMap((payloads) => frame(depacketizer, 1, payloads, marker));
      units.push(
        ...depacketizer.flush().map((unit) => ({ ...unit, nalUnits: unit.nalUnits.map((nal) => Buffer.concat(nal)) })),
      );
      t.same(
        units.map(({ nalUnits }) => nalUnits),
        frames.map((payloads) => payloads.filter((payload) => payload !== AUD)),
        `${name}, marker ${marker}`,
      );
    }
  }
});

t.test('slices in any order belong to one frame', async (t) => {
  const depacketizer = started();
  const sent = [2, 0, 3, 1].map((index) => slices(1)[index]!);
  const units = [
    ...sent.flatMap((payload) => frame(depacketizer, 1, [payload], false)),
    ...frame(depacketizer, 2, [slice(1, { frameNum: 2 })]),
  ];
  t.same(units[0]!.nalUnits, sent);
});

t.test('a marker on each fragment', async (t) => {
  const depacketizer = new H264Depacketizer(undefined, { provesMarkers: true });
  const units = [
    ...frame(depacketizer, 0, [stapA(SPS, PPS_0)]),
    ...fuA(slice(5, { type: 7 }), 4).flatMap((payload) => frame(depacketizer, 0, [payload])),
    ...fuA(slice(1), 4).flatMap((payload) => frame(depacketizer, 1, [payload])),
    ...frame(depacketizer, 2, [slice(1, { frameNum: 2 })]),
  ];
  t.match(units, [
    { keyFrame: true, nalUnits: [slice(5, { type: 7 })] },
    { corrupted: false, nalUnits: [slice(1)] },
  ]);
});

t.test('parameter sets in turn, and only those that are used', async (t) => {
  const depacketizer = new H264Depacketizer();
  const sps = (id: number, width: number): Buffer =>
    Buffer.concat([
      Buffer.of(0x67, 66, 0xc0, 31),
      new BitWriter()
        .unsignedGolomb(id)
        .unsignedGolomb(FRAME_NUM_BITS - 4)
        .unsignedGolomb(2)
        .unsignedGolomb(1)
        .bits(1, 0)
        .unsignedGolomb(width / 16 - 1)
        .unsignedGolomb(20)
        .bits(4, 0b1100)
        .bits(1, 1)
        .toBuffer(),
    ]);
  const pps = (id: number, spsId: number): Buffer =>
    Buffer.concat([
      Buffer.of(0x68),
      new BitWriter().unsignedGolomb(id).unsignedGolomb(spsId).bits(15, 0b001110001111001).toBuffer(),
    ]);
  const keyFrame = (payloads: Buffer[], id: number, at: number) =>
    frame(depacketizer, at, [...payloads, slice(5, { type: 7, pps: id, idrId: at % 2 })])[0]!.parameterSets!;
  const [zero, one, large] = [sps(0, 640), sps(1, 640), sps(2, 1280)];
  const all = [zero, one, large, pps(0, 0), pps(1, 1), pps(2, 2)];
  t.same(keyFrame(all, 0, 0), { sps: zero, pps: [pps(0, 0)] });
  t.same(keyFrame([], 1, 1), { sps: one, pps: [pps(0, 0), pps(1, 1)], otherSps: [zero] }, 'not sent again');
  t.same(keyFrame([], 0, 2), { sps: zero, pps: [pps(0, 0), pps(1, 1)], otherSps: [one] });
  t.same(keyFrame([], 2, 3), { sps: large, pps: [pps(2, 2)] }, 'another size');
  t.same(spsListOf(keyFrame([], 1, 4)), spsListOf(keyFrame([], 0, 5)), 'the sequence header is the same for both');
});

t.test('a parameter set that changes between key frames is part of the next frame', async (t) => {
  const depacketizer = started();
  const changed = Buffer.from('68ceff80', 'hex');
  t.same(frame(depacketizer, 1, [changed, slice(1)])[0]!.nalUnits, [changed, slice(1)]);
  t.same(frame(depacketizer, 2, [changed, slice(1, { frameNum: 2 })])[0]!.nalUnits, [slice(1, { frameNum: 2 })]);
  t.match(frame(depacketizer, 3, [slice(5, { type: 7 })]), [{ parameterSets: { pps: [changed] } }]);
});

t.test('decoders start at recovery points', async (t) => {
  // recovery_frame_cnt 0, and 5; then the flags.
  for (const sei of ['060601c480', '06060132a080']) {
    const depacketizer = new H264Depacketizer();
    const units = frame(depacketizer, 1, [stapA(SPS, PPS_0), Buffer.from(sei, 'hex'), slice(1)]);
    t.match(units, [{ keyFrame: true, corrupted: false, parameterSets: { sps: SPS } }], sei);
    t.match(frame(depacketizer, 2, [slice(1, { frameNum: 2 })]), [{ keyFrame: false, corrupted: false }]);
  }
  const early = new H264Depacketizer();
  frame(early, 1, [stapA(SPS, PPS_0)]);
  frame(early, 1, [Buffer.from('060601c480', 'hex')]);
  t.match(frame(early, 1, [slice(1)]), [{ keyFrame: true }], 'in a packet of its own');
  t.match(frame(new H264Depacketizer(), 1, [SEI, slice(1)]), [{ keyFrame: false }], 'another message');
  const intra = new H264Depacketizer();
  t.match(frame(intra, 1, [stapA(SPS, PPS_0), slice(1, { type: 7 })]), [{ keyFrame: true }], 'not predicted');
  t.match(frame(intra, 2, [stapA(SPS, PPS_0), slice(1)]), [{ keyFrame: false }], 'predicted');
});

t.test('messages of a frame that was lost do not belong to the next one', async (t) => {
  const RECOVERY_POINT = Buffer.from('060601c480', 'hex');
  const ends = {
    'no packet comes for some time': (depacketizer: H264Depacketizer) =>
      void (frame(depacketizer, 1, [SEI, RECOVERY_POINT], false), depacketizer.flush()),
    'a marker of their own': (depacketizer: H264Depacketizer) => void frame(depacketizer, 1, [SEI, RECOVERY_POINT]),
    'nothing else': (depacketizer: H264Depacketizer) => void frame(depacketizer, 1, [SEI, RECOVERY_POINT], false),
  };
  for (const [name, end] of Object.entries(ends)) {
    const depacketizer = started();
    end(depacketizer);
    depacketizer.packetLost();
    const next = slice(1, { frameNum: 2 });
    t.match(frame(depacketizer, 2, [next]), [{ keyFrame: false, corrupted: true, nalUnits: [next] }], name);
  }
});

t.test('what cannot be used is named', async (t) => {
  const named = (payload: Buffer): string | undefined => {
    const depacketizer = new H264Depacketizer();
    frame(depacketizer, 1, [payload]);
    return depacketizer.unusable;
  };
  t.match(named(Buffer.from('790000', 'hex')), 'STAP-B');
  t.match(named(Buffer.of(0x7d, 0x81, 0, 0, 1)), 'FU-B');
  t.match(named(Buffer.of(0x62, 0x88, 0x80)), 'data partitions');
  t.match(named(Buffer.of(0x67, 0x42)), 'sequence parameter sets');
  t.equal(named(P), undefined);
});

t.test('any bytes: never throws, and the output is well formed', async (t) => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(P, IDR, SEI, AUD, stapA(SPS, PPS_0), ...fuA(P, 3), ...fuA(IDR, 2), PPS_1, OTHER_SPS),
    fc.constantFrom(...slices(1), ...slices(5, { type: 7 }), ...slices(1, { type: 6, frameNum: 2 }), FILLER),
    fc.constantFrom(...fuA(slice(1), 3), Buffer.from('060601c480', 'hex'), Buffer.of(0x79, 0, 0, 0, 1)),
    fc
      .tuple(fc.constantFrom(0x78, 0x7c, 0x67, 0x68), fc.uint8Array({ maxLength: 30 }))
      .map(([first, rest]) => Buffer.from([first, ...rest])),
  );
  const step = fc.record({ payload, marker: fc.boolean(), timestamp: fc.nat({ max: 5 }), lost: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, provesMarkers) => {
      const depacketizer = new H264Depacketizer(undefined, { provesMarkers });
      for (const { payload, marker, timestamp, lost } of steps) {
        const units = [
          ...(lost ? depacketizer.packetLost() : []),
          ...depacketizer.push(rtpPacket({ payload, marker, timestamp })),
          ...(timestamp === 5 ? depacketizer.flush() : []),
        ];
        for (const unit of units) {
          if (unit.nalUnits.length === 0) return false;
          for (const nalUnit of unit.nalUnits) if (![1, 5, 6, 7, 8].includes(nalUnit[0]![0]! & 0x1f)) return false;
          if (unit.keyFrame && unit.corrupted) return false;
        }
      }
      return true;
    }),
    { numRuns: 1000 },
  );
});

t.test('the beginning of a first slice is found after an empty fragment, too', async (t) => {
  const [start, rest] = [
    Buffer.of(0x5c, 0x81),
    (nalUnit: Buffer) => Buffer.concat([Buffer.of(0x5c, 0x41), nalUnit.subarray(1)]),
  ];
  const after = (nalUnit: Buffer) => {
    const depacketizer = started();
    depacketizer.packetLost();
    return frame(depacketizer, 1, [start, rest(nalUnit)]);
  };
  t.match(after(P), [{ nalUnits: [P] }]);
  t.same(after(P_SECOND_SLICE), [], 'its frame has lost the first slice');
});
