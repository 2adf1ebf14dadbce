import t from 'tap';
import { BitReader, BitWriter } from '../../src/media/bits.ts';
import { avcFrame, avcSequenceHeader, parseSpsSyntax } from '../../src/media/codecs/avc.ts';
import {
  addEmulationPrevention,
  nalUnitsOf,
  readSequenceHeader,
  removeEmulationPrevention,
} from '../../src/media/codecs/avc-nal.ts';
import { skippedMacroblocks } from '../../src/media/codecs/avc-cabac.ts';
import { parsePps } from '../../src/media/codecs/avc-pps.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { freezeFrames } from '../../src/renditions/standby/freeze-frames.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { decode, proveFreeze, streamOf, type H264Stream } from '../helpers/freezing.ts';

const SOURCE = 'testsrc2=s=SIZE:r=30:d=3';

async function encode(size: string, x264: readonly string[], source = SOURCE): Promise<H264Stream> {
  const input = ['-f', 'lavfi', '-i', source.replace('SIZE', size)];
  const output = [
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-g',
    '40',
    '-sc_threshold',
    '0',
    ...x264,
    '-f',
    'flv',
    '-',
  ];
  const tags = new FlvReader().push(await ffmpeg([...input, ...output]));
  return streamOf(tags.filter(({ type, data }) => type === TAG_VIDEO && data.length > 5));
}

interface Case {
  readonly name: string;
  readonly size: string;
  readonly x264: readonly string[];
  readonly source?: string;
  readonly cabac: boolean;
  readonly order?: 0 | 2;
}

const ZERO_LATENCY = ['-tune', 'zerolatency', '-pix_fmt', 'yuv420p'];
/** B-frames are allowed, so the picture order is of type 0, and the encoder decides to use none. */
const NO_USE_FOR_B = ['-bf', '1', '-x264-params', 'b-bias=-100:b-adapt=1', '-pix_fmt', 'yuv420p'];

const CASES: readonly Case[] = [
  { name: 'constrained baseline', size: '640x360', x264: ['-profile:v', 'baseline', ...ZERO_LATENCY], cabac: false },
  { name: 'baseline, upright', size: '720x1280', x264: ['-profile:v', 'baseline', ...ZERO_LATENCY], cabac: false },
  { name: 'main, CAVLC', size: '1366x768', x264: ['-profile:v', 'main', '-coder', '0', ...ZERO_LATENCY], cabac: false },
  { name: 'main, CABAC', size: '1366x768', x264: ['-profile:v', 'main', ...ZERO_LATENCY], cabac: true },
  {
    name: 'high, CABAC, several slices',
    size: '720x1280',
    x264: ['-profile:v', 'high', ...ZERO_LATENCY, '-slices', '5'],
    cabac: true,
  },
  {
    name: 'high, CAVLC, several references',
    size: '322x178',
    x264: ['-profile:v', 'high', '-coder', '0', '-refs', '5', ...ZERO_LATENCY],
    cabac: false,
  },
  {
    name: 'high, weighted prediction, no loop filter control',
    size: '640x360',
    x264: ['-profile:v', 'high', '-refs', '4', '-weightp', '2', ...ZERO_LATENCY],
    source: `${SOURCE},fade=in:0:80`,
    cabac: true,
  },
  { name: 'one macroblock', size: '16x16', x264: ['-profile:v', 'high', ...ZERO_LATENCY], cabac: true },
  { name: 'one macroblock, CAVLC', size: '16x16', x264: ['-profile:v', 'baseline', ...ZERO_LATENCY], cabac: false },
  {
    name: '4K',
    size: '3840x2160',
    x264: ['-profile:v', 'high', ...ZERO_LATENCY, '-g', '3'],
    source: 'testsrc2=s=SIZE:r=30:d=0.3',
    cabac: true,
  },
  {
    name: '10 bits',
    size: '320x240',
    x264: ['-profile:v', 'high10', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p10le'],
    cabac: true,
  },
  {
    name: '4:4:4, lossless',
    size: '320x240',
    x264: ['-profile:v', 'high444', '-qp', '0', '-tune', 'zerolatency', '-pix_fmt', 'yuv444p'],
    cabac: true,
  },
  { name: 'monochrome', size: '320x240', x264: ['-tune', 'zerolatency', '-pix_fmt', 'gray'], cabac: true },
  { name: 'picture order 0', size: '320x240', x264: NO_USE_FOR_B, cabac: true, order: 0 },
  { name: 'picture order 0, CAVLC', size: '320x240', x264: [...NO_USE_FOR_B, '-coder', '0'], cabac: false, order: 0 },
];

for (const [seed, { name, size, x264, source, cabac, order = 2 }] of CASES.entries()) {
  t.test(`frozen frames are identical to the last one: ${name}`, async (t) => {
    const stream = await encode(size, x264, source);
    const { sps, pps } = readSequenceHeader(stream.header.data);
    t.match(parsePps(pps[0]!), { cabac });
    t.match(parseSpsSyntax(sps[0]!), { pictureOrder: { type: order } });
    await proveFreeze(t, withoutDelay(stream), seed + 1);
  });
}

/** Frames in the order in which they are shown have no composition time, whatever the encoder's delay is. */
function withoutDelay({ header, frames }: H264Stream): H264Stream {
  return {
    header,
    frames: frames.map((tag) => {
      const data = Buffer.from(tag.data);
      data.writeIntBE(0, 2, 3);
      return { ...tag, data };
    }),
  };
}

t.test('picture order 1', async (t) => {
  const { header, frames } = await encode('320x240', ['-profile:v', 'baseline', ...ZERO_LATENCY]);
  const { sps, pps } = readSequenceHeader(header.data);
  // Every reference frame is shown two steps after the one before it: what type 2 implies.
  const changed = withPictureOrder1(sps[0]!);
  t.strictSame(parseSpsSyntax(changed)?.pictureOrder, { type: 1, deltaAlwaysZero: true, offsetsForRefFrames: [2] });
  const stream = { header: { ...header, data: avcSequenceHeader(changed, pps) }, frames };
  t.strictSame(
    await decode(
      stream.header,
      frames.map(({ data }) => data),
    ),
    await decode(
      header,
      frames.map(({ data }) => data),
    ),
  );
  await proveFreeze(t, stream, 99);
});

function withPictureOrder1(sps: Buffer): Buffer {
  const bytes = removeEmulationPrevention(sps);
  const reader = new BitReader(bytes);
  const writer = new BitWriter().bits(32, reader.bits(32)); // NAL header, profile, constraints, level
  writer.unsignedGolomb(reader.unsignedGolomb()).unsignedGolomb(reader.unsignedGolomb());
  if (reader.unsignedGolomb() !== 2) throw new Error('the picture order is not of type 2');
  writer.unsignedGolomb(1).bits(1, 1).signedGolomb(0).signedGolomb(0).unsignedGolomb(1).signedGolomb(2);
  copyRest(reader, writer);
  return addEmulationPrevention(writer.toBuffer());
}

t.test('after a frame that nothing refers to, the reference frame before it is repeated', async (t) => {
  const x264 = ['-profile:v', 'baseline', ...ZERO_LATENCY, '-x264-params', 'sliced-threads=0'];
  const { header, frames } = await encode('320x240', x264);
  const live = [...frames.slice(0, 25).map(({ data }) => data), withoutReference(frames[25]!.data)];
  const hashes = await decode(header, live);
  const frozen = freezeFrames(header, { ...frames[25]!, data: live[25]! })!;
  const sent = [...live, ...Array.from({ length: 40 }, () => frozen.next()), frames[40]!.data];
  t.ok(frames[40]!.keyFrame);
  const decoded = await decode(header, sent);
  t.strictSame(decoded.slice(0, 26), hashes);
  t.strictSame(decoded.slice(26, 66), Array<string>(40).fill(hashes[24]!));
  t.equal(decoded.length, 67);
});

/** Sets nal_ref_idc to 0, and removes the reference marking from the slice header of this encoder. */
function withoutReference(body: Buffer): Buffer {
  const slice = nalUnitsOf(body)[0]!;
  const bytes = removeEmulationPrevention(slice.subarray(1));
  const reader = new BitReader(bytes);
  const writer = new BitWriter().unsignedGolomb(reader.unsignedGolomb()).unsignedGolomb(reader.unsignedGolomb());
  writer.unsignedGolomb(reader.unsignedGolomb()).bits(4, reader.bits(4));
  const override = reader.bit();
  writer.bits(1, override);
  if (override) writer.unsignedGolomb(reader.unsignedGolomb());
  writer.bits(1, reader.bit());
  if (reader.bit() !== 0) throw new Error('the frame marks references');
  copyRest(reader, writer);
  return avcFrame([[Buffer.of(slice[0]! & 0x1f), addEmulationPrevention(writer.toBuffer())]], false);
}

function copyRest(reader: BitReader, writer: BitWriter): void {
  try {
    for (;;) writer.bits(1, reader.bit());
  } catch {
    // The end.
  }
}

t.test('a frame of skipped macroblocks has the bytes of an encoder’s', async (t) => {
  // The constant quantizer is the one of frozen frames, and nothing moves.
  const still = await encode(
    '642x362',
    ['-qp', '26', ...ZERO_LATENCY, '-x264-params', 'sliced-threads=0'],
    'color=s=SIZE:r=30:d=1',
  );
  const skipped = addEmulationPrevention(skippedMacroblocks(41 * 23));
  t.ok(skipped.length > 4);
  const frame = still.frames[20]!.data;
  t.equal(frame.subarray(-skipped.length).toString('hex'), skipped.toString('hex'));
});

t.test('streams that cannot be frozen', async (t) => {
  const refused = async (x264: readonly string[]): Promise<boolean> => {
    const { header, frames } = await encode('320x240', x264);
    t.ok(frames.length > 30);
    return frames.slice(1).every((frame) => freezeFrames(header, frame) === undefined);
  };
  t.ok(await refused(['-bf', '2', '-pix_fmt', 'yuv420p']), 'with B-frames');
  t.ok(await refused(['-x264-params', 'tff=1', '-flags', '+ildct+ilme', ...ZERO_LATENCY]), 'interlaced');
  t.ok(
    await refused(['-profile:v', 'high10', '-g', '1', '-x264-params', 'keyint=1', '-pix_fmt', 'yuv420p10le']),
    'key frames only',
  );
});
