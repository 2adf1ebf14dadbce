import fc from 'fast-check';
import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { avcDecoderConfiguration, avcFrame, avcSequenceHeader, parseSps } from '../../../../src/media/codecs/avc.ts';

const PPS = Buffer.from('68ce3c80', 'hex');

class SpsWriter extends BitWriter {
  golomb(...values: number[]): this {
    for (const value of values) {
      const length = Math.floor(Math.log2(value + 1));
      this.bits(length, 0).bits(length + 1, value + 1);
    }
    return this;
  }
}

interface SpsShape {
  profile?: number;
  chromaFormat?: number;
  bitDepth?: number;
  pictureOrderType?: number;
  macroblocks?: [number, number];
  framesOnly?: boolean;
  /** left, right, top, bottom, in the units of the parameter set. */
  crop?: [number, number, number, number];
  timing?: [units: number, scale: number];
}

/** Builds a sequence parameter set bit by bit; the expected values were calculated by hand. */
function sps(shape: SpsShape): Buffer {
  const {
    profile = 66,
    chromaFormat,
    bitDepth = 8,
    pictureOrderType = 0,
    macroblocks = [40, 23],
    framesOnly = true,
    crop,
    timing,
  } = shape;
  const writer = new SpsWriter().bits(8, profile).bits(8, 0xc0).bits(8, 31).golomb(0);
  if (chromaFormat !== undefined) {
    writer.golomb(chromaFormat);
    if (chromaFormat === 3) writer.bits(1, 0);
    writer.golomb(bitDepth - 8, bitDepth - 8).bits(1, 0);
    // A scaling matrix with one list, which ends at its second value: 8 + 0, then −8.
    writer
      .bits(1, 1)
      .bits(1, 1)
      .golomb(0, 16)
      .bits(chromaFormat === 3 ? 11 : 7, 0);
  }
  writer.golomb(0, pictureOrderType);
  if (pictureOrderType === 0) writer.golomb(2);
  if (pictureOrderType === 1) writer.bits(1, 0).golomb(0, 0, 2, 1, 1);
  writer
    .golomb(1)
    .bits(1, 0)
    .golomb(macroblocks[0] - 1, macroblocks[1] - 1)
    .bits(1, framesOnly ? 1 : 0);
  if (!framesOnly) writer.bits(1, 0);
  writer.bits(1, 1).bits(1, crop ? 1 : 0);
  if (crop) writer.golomb(...crop);
  writer.bits(1, timing ? 1 : 0);
  // Extended sample aspect ratio, overscan, colours, chroma location: all fields before the timing.
  if (timing)
    writer
      .bits(1, 1)
      .bits(8, 255)
      .bits(32, 1)
      .bits(1, 1)
      .bits(1, 0)
      .bits(1, 1)
      .bits(4, 0)
      .bits(1, 1)
      .bits(24, 0x010101)
      .bits(1, 1)
      .golomb(0, 0)
      .bits(1, 1)
      .bits(32, timing[0])
      .bits(32, timing[1])
      .bits(1, 1);
  const rbsp = writer.bits(1, 1).toBuffer();
  // Emulation prevention: 03 after two zeros, before anything up to 3.
  const bytes: number[] = [0x67];
  let zeros = 0;
  for (const byte of rbsp) {
    if (zeros >= 2 && byte <= 3) {
      bytes.push(3);
      zeros = 0;
    }
    bytes.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return Buffer.from(bytes);
}

t.test('the frame size after cropping, for every chroma format and for fields', async (t) => {
  t.match(parseSps(sps({})), {
    profile: 66,
    compatibility: 0xc0,
    level: 31,
    width: 640,
    height: 368,
    chromaFormat: 1,
    bitDepthLuma: 8,
  });
  t.match(parseSps(sps({ crop: [0, 0, 0, 4] })), { width: 640, height: 360 });
  t.match(parseSps(sps({ crop: [1, 2, 3, 4] })), { width: 634, height: 354, codedWidth: 640, codedHeight: 368 });
  t.match(parseSps(sps({ framesOnly: false, crop: [0, 0, 0, 2] })), { width: 640, height: 728 });
  t.match(parseSps(sps({ profile: 100, chromaFormat: 0, crop: [0, 1, 0, 8] })), {
    width: 639,
    height: 360,
    chromaFormat: 0,
  });
  t.match(parseSps(sps({ profile: 122, chromaFormat: 2, bitDepth: 10, crop: [0, 1, 0, 8] })), {
    width: 638,
    height: 360,
    bitDepthLuma: 10,
    bitDepthChroma: 10,
  });
  t.match(parseSps(sps({ profile: 244, chromaFormat: 3, crop: [0, 1, 0, 8] })), { width: 639, height: 360 });
  t.match(parseSps(sps({ pictureOrderType: 1 })), { width: 640, height: 368 });
  t.match(parseSps(sps({ pictureOrderType: 2 })), { width: 640, height: 368 });
});

t.test('the frame rate, if there is a valid one', async (t) => {
  t.equal(parseSps(sps({ timing: [1, 60] }))!.frameRate, 30);
  t.ok(Math.abs(parseSps(sps({ timing: [1001, 60_000] }))!.frameRate! - 29.97) < 0.001);
  for (const timing of [[0, 60], [1, 0], [1, 2 ** 32 - 1], undefined] as const)
    t.notOk('frameRate' in parseSps(sps({ ...(timing && { timing: [...timing] }) }))!);
});

t.test('a parameter set of Chromium’s encoder', async (t) => {
  t.same(parseSps(Buffer.from('6742c01fda014016e840000003004000000f23c60c92', 'hex')), {
    profile: 66,
    compatibility: 0xc0,
    level: 31,
    width: 1280,
    codedWidth: 1280,
    codedHeight: 720,
    height: 720,
    frameRate: 30,
    chromaFormat: 1,
    bitDepthLuma: 8,
    bitDepthChroma: 8,
  });
});

t.test('invalid parameter sets', async (t) => {
  const good = sps({});
  t.equal(parseSps(PPS), undefined);
  t.equal(parseSps(Buffer.alloc(0)), undefined);
  t.equal(parseSps(good.subarray(0, 5)), undefined);
  t.equal(parseSps(Buffer.concat([good, Buffer.alloc(5000)])), undefined);
  t.equal(parseSps(sps({ macroblocks: [2000, 20] })), undefined);
  t.equal(parseSps(sps({ crop: [200, 200, 0, 0] })), undefined);
  t.equal(parseSps(sps({ profile: 100, chromaFormat: 4 })), undefined);
});

t.test('any bytes: a valid size, or none', async (t) => {
  const bytes = fc
    .tuple(fc.constantFrom(66, 77, 100, 244), fc.uint8Array({ minLength: 3, maxLength: 80 }))
    .map(([profile, rest]) => Buffer.from([0x67, profile, ...rest]));
  fc.assert(
    fc.property(bytes, (sps) => {
      const info = parseSps(sps);
      return info === undefined || (info.width > 0 && info.width <= 16_384 && info.height > 0 && info.height <= 16_384);
    }),
    { numRuns: 2000 },
  );
});

t.test('decoder configuration of Baseline and of High', async (t) => {
  const baseline = sps({});
  t.equal(
    avcDecoderConfiguration(baseline, [PPS]).toString('hex'),
    `0142c01fffe1${baseline.length.toString(16).padStart(4, '0')}${baseline.toString('hex')}010004${PPS.toString('hex')}`,
  );
  const high = sps({ profile: 110, chromaFormat: 1, bitDepth: 10 });
  const record = avcDecoderConfiguration(high, [PPS, PPS]);
  t.equal(
    record.subarray(-16).toString('hex'),
    `020004${PPS.toString('hex')}0004${PPS.toString('hex')}fdfafa00`.slice(-32),
  );
});

t.test('parameter sets that do not fit into a configuration are refused', async (t) => {
  t.throws(() => avcDecoderConfiguration(Buffer.of(0x67, 0x42), [PPS]), RangeError);
  t.throws(() => avcDecoderConfiguration(sps({}), []), RangeError);
  t.throws(
    () =>
      avcDecoderConfiguration(
        sps({}),
        Array.from({ length: 256 }, () => PPS),
      ),
    RangeError,
  );
  t.throws(() => avcDecoderConfiguration(sps({}), [Buffer.alloc(65_536, 0x68)]), RangeError);
});

t.test('tag bodies', async (t) => {
  t.equal(avcSequenceHeader(sps({}), [PPS]).toString('hex', 0, 6), '170000000001');
  t.equal(
    avcFrame([[Buffer.from('6588', 'hex')], [Buffer.from('65', 'hex'), Buffer.from('aabb', 'hex')]], true).toString(
      'hex',
    ),
    '1701000000' + '00000002' + '6588' + '00000003' + '65aabb',
  );
  t.equal(avcFrame([[Buffer.from('419a', 'hex')]], false, 33).toString('hex'), '2701000021' + '00000002' + '419a');
  t.equal(avcFrame([], false, -1).toString('hex'), '2701ffffff');
});
