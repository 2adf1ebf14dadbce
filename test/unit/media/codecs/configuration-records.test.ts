import t from 'tap';
import { av1Record, SequenceHeader } from '../../../../src/media/codecs/av1.ts';
import { parseVp9Header, vp8Record, vp9Record } from '../../../../src/media/codecs/vpx.ts';
import { ffmpeg } from '../../../helpers/ffmpeg-tool.ts';
import { randomFrom } from '../../../helpers/random.ts';

const IVF_HEADERS = 32 + 12;

async function keyFrame(...options: string[]): Promise<Buffer> {
  const source = ['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30', '-frames:v', '1'];
  return (await ffmpeg([...source, ...options, '-f', 'ivf', 'pipe:1'])).subarray(IVF_HEADERS);
}

/** ffmpeg's own box for the same frame. */
async function boxOf(type: string, ...options: string[]): Promise<Buffer> {
  const source = ['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30', '-frames:v', '1'];
  const file = await ffmpeg([...source, ...options, '-f', 'mp4', '-movflags', 'frag_keyframe+delay_moov', 'pipe:1']);
  const at = file.indexOf(type, 0, 'latin1') - 4;
  return file.subarray(at + 8, at + file.readUInt32BE(at));
}

const VP9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'];
const AV1 = ['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime'];

for (const [format, profile, depth, chroma] of [
  ['yuv420p', 0, 8, 1],
  ['yuv422p', 1, 8, 2],
  ['yuv444p', 1, 8, 3],
  ['yuv420p10', 2, 10, 1],
] as const)
  t.test(`VP9 of ${format}`, async (t) => {
    const frame = await keyFrame(...VP9, '-pix_fmt', format);
    t.match(parseVp9Header(frame), {
      keyFrame: true,
      format: { width: 640, height: 360, profile, bitDepth: depth, chroma, fullRange: false },
    });
    const record = vp9Record(frame);
    t.strictSame([record[0], record[1], record[2]], [profile, 30, (depth << 4) | (chroma << 1)], 'level 3 at 60 fps');
    t.equal(record.length, 8);
  });

for (const format of ['yuv420p', 'yuv444p', 'yuv420p10'] as const)
  t.test(`AV1 of ${format}: the record is that of ffmpeg`, async (t) => {
    const frame = await keyFrame(...AV1, '-pix_fmt', format);
    const record = av1Record(frame);
    const expected = await boxOf('av1C', ...AV1, '-pix_fmt', format);
    t.equal(record.subarray(0, 3).toString('hex'), expected.subarray(0, 3).toString('hex'));
    t.ok(record.length > 8, 'with the sequence header');
  });

t.test('VP8', async (t) => {
  const frame = await keyFrame('-c:v', 'libvpx', '-deadline', 'realtime');
  t.equal(vp8Record(frame).toString('hex'), '0000820202020000');
});

t.test('damaged frames throw RangeError and nothing else', async (t) => {
  const frames = [
    { record: vp9Record, frame: await keyFrame(...VP9) },
    { record: av1Record, frame: await keyFrame(...AV1) },
    { record: vp8Record, frame: Buffer.alloc(3) },
    { record: (body: Buffer) => new SequenceHeader(body), frame: (await keyFrame(...AV1)).subarray(4) },
  ];
  const next = randomFrom(7);
  let thrown = 0;
  for (const { record, frame } of frames)
    for (let run = 0; run < 3000; run++) {
      const damaged = Buffer.from(frame.subarray(0, Math.floor(next() * 60)));
      for (let flips = Math.floor(next() * 4); flips > 0 && damaged.length > 0; flips--)
        damaged[Math.floor(next() * damaged.length)]! ^= 1 << Math.floor(next() * 8);
      try {
        record(damaged);
      } catch (error) {
        thrown++;
        if (!(error instanceof RangeError)) throw error;
      }
    }
  t.ok(thrown > 100, `${thrown} were refused`);
});
