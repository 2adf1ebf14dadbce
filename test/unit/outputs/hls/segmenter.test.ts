import t, { type Test } from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../../../../src/media/containers/flv-writer.ts';
import { Segmenter } from '../../../../src/outputs/hls/segmenter.ts';
import { ffmpeg, ffprobe, frameHashes } from '../../../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../../../helpers/flv-source.ts';

const VUI = 'colorprim=bt709:transfer=bt709:colormatrix=bt709';
const SECONDS = 10;
const [plain, level, vui, ids, pps, high, size, bFrames] = await Promise.all([
  createFlvTags({ seconds: SECONDS }),
  createFlvTags({ seconds: SECONDS, x264: 'level=42' }),
  createFlvTags({ seconds: SECONDS, x264: VUI }),
  createFlvTags({ seconds: SECONDS, x264: 'sps-id=1' }),
  createFlvTags({ seconds: SECONDS, x264: 'chroma-qp-offset=4' }),
  createFlvTags({ seconds: SECONDS, preset: 'medium' }),
  createFlvTags({ seconds: SECONDS, size: '160x120' }),
  createFlvTags({ seconds: SECONDS, bFrames: true, preset: 'medium' }),
]);

const headerOf = (source: readonly FlvTag[], type: number): FlvTag =>
  source.find((tag) => tag.type === type && tag.sequenceHeader)!;
const mediaOf = (source: readonly FlvTag[]): FlvTag[] =>
  source.filter((tag) => (tag.type === TAG_VIDEO || tag.type === TAG_AUDIO) && !tag.sequenceHeader);

interface Piece {
  init: number;
  readonly startMs: number;
  readonly parts: { bytes: Buffer; durationMs: number; independent: boolean }[];
}

function setUp() {
  const inits: Buffer[] = [];
  const counts = { runs: 0, renewals: 0, keyFrames: 0 };
  const segments: Piece[] = [];
  const rules = { partMs: 333, minSegmentMs: 1500, requestMs: 1800, maxSegmentMs: 3400 };
  const segmenter = new Segmenter(rules, {
    run: ({ init }) => {
      inits.push(init);
      counts.runs++;
    },
    renew: ({ init }) => {
      inits.push(init);
      counts.renewals++;
    },
    begin: (startMs) => segments.push({ init: inits.length - 1, startMs, parts: [] }),
    part: (part) => segments.at(-1)!.parts.push(part),
    end: () => undefined,
    needKeyFrame: () => counts.keyFrames++,
  });
  const feed = (source: readonly FlvTag[]): void => {
    for (const tag of source) segmenter.take(tag, true);
  };
  /** What a player appends. */
  const stream = (from = 0): Buffer => {
    let init = -1;
    const bytes: Buffer[] = [];
    for (const segment of segments.slice(from)) {
      if (segment.init !== init) bytes.push(inits[segment.init]!);
      init = segment.init;
      bytes.push(...segment.parts.map((part) => part.bytes));
    }
    return Buffer.concat(bytes);
  };
  return { segmenter, segments, inits, counts, feed, stream };
}

/** Each second from the next one of the sources, with its sequence header. */
function inTurn(...sources: (readonly FlvTag[])[]): FlvTag[] {
  const result: FlvTag[] = [headerOf(plain, TAG_AUDIO)];
  for (let second = 0; second < SECONDS; second++) {
    const source = sources[second % sources.length]!;
    const from = second * 1000;
    result.push({ ...headerOf(source, TAG_VIDEO), timestamp: from });
    result.push(...mediaOf(source).filter(({ timestamp }) => timestamp >= from && timestamp < from + 1000));
  }
  return result;
}

const flv = (source: readonly FlvTag[]): Buffer =>
  Buffer.concat([
    flvHeader({ audio: true, video: true }),
    ...source.flatMap((tag) => {
      const { head, tail } = flvTagParts(tag, tag.timestamp);
      return [head, tag.data, tail];
    }),
  ]);
const hashesOf = (file: Buffer): Promise<string[]> =>
  frameHashes(['-err_detect', 'explode', '-xerror', '-i', '-', '-map', '0:v'], file);

/** Of the frames of {@link inTurn}: readers of FLV do not take every sequence header in the middle. */
async function hashesInTurn(...sources: (readonly FlvTag[])[]): Promise<string[]> {
  const all = await Promise.all(sources.map((source) => hashesOf(flv(source))));
  return Array.from({ length: SECONDS }, (_, second) =>
    all[second % sources.length]!.slice(second * 30, (second + 1) * 30),
  ).flat();
}

interface Shown {
  pts_time: string;
  dts_time: string;
}
async function timesOf(file: Buffer, kind: 'v' | 'a'): Promise<number[]> {
  const args = ['-select_streams', kind, '-i', '-'];
  const { packets } = (await ffprobe(args, 'packet=pts_time,dts_time', file)) as { packets: Shown[] };
  return packets.map(({ pts_time }) => Number(pts_time) * 1000);
}

for (const [what, other] of Object.entries({ level, vui, ids, pps }))
  await t.test(`${what} changes with each key frame: one run, and all frames`, async (t) => {
    const { segmenter, counts, segments, feed, stream } = setUp();
    const source = inTurn(plain, other);
    t.notSame(headerOf(plain, TAG_VIDEO).data, headerOf(other, TAG_VIDEO).data);
    feed(source);
    segmenter.finish();
    t.strictSame([counts.runs, counts.renewals], [1, 1]);
    const expected = await hashesInTurn(plain, other);
    t.strictSame(await hashesOf(stream()), expected);
    // A player that joins later knows the newer section only.
    const late = await hashesOf(stream(segments.length - 2));
    t.strictSame(late, expected.slice(-late.length));
    t.ok(late.length > 30);
  });

for (const [what, other] of Object.entries({ profile: high, size }))
  await t.test(`another ${what} is another run`, async (t) => {
    const { segmenter, counts, feed } = setUp();
    feed(inTurn(plain, plain, plain, other, other, other));
    segmenter.finish();
    t.strictSame([counts.runs, counts.renewals], [4, 0]);
  });

await t.test('parameters that change between key frames are in the next frame', async (t) => {
  const { segmenter, counts, feed, stream } = setUp();
  const [first, ...rest] = mediaOf(plain);
  feed([headerOf(plain, TAG_VIDEO), headerOf(plain, TAG_AUDIO), first!, ...rest.slice(0, 40)]);
  feed([headerOf(level, TAG_VIDEO), ...rest.slice(40)]);
  segmenter.finish();
  t.strictSame([counts.runs, counts.renewals], [1, 1]);
  t.equal((await hashesOf(stream())).length, SECONDS * 30);
});

/** Milliseconds between frames that no frame covers, by the boxes `tfdt` and `trun` of the video. */
function holesOf(t: Test, segments: readonly Piece[]): number[] {
  const holes: number[] = [];
  let end = segments[0]!.startMs * 90;
  for (const { bytes } of segments.flatMap(({ parts }) => parts)) {
    // The video is the first track, and its fragment the first one.
    const traf = bytes.indexOf('traf');
    if (bytes.readUInt32BE(bytes.indexOf('tfhd', traf) + 8) !== 1) continue;
    let time = Number(bytes.readBigUInt64BE(bytes.indexOf('tfdt', traf) + 8));
    holes.push((time - end) / 90);
    const run = bytes.indexOf('trun', traf);
    const count = bytes.readUInt32BE(run + 8);
    for (let index = 0; index < count; index++) time += bytes.readUInt32BE(run + 16 + index * 16);
    end = time;
  }
  t.ok(end > 9.5 * 90_000, `until ${end}`);
  return holes.filter((hole) => hole !== 0);
}

for (const [what, source] of Object.entries({ 'P-frames': plain, CABAC: high, 'B-frames': bFrames })) {
  const isAway = ({ timestamp }: FlvTag): boolean => timestamp >= 2200 && timestamp < 7100;
  await t.test(
    `no frames for five seconds, ${what}: video has no hole, and segments begin with key frames`,
    async (t) => {
      const { segmenter, counts, segments, feed, stream } = setUp();
      const sent = mediaOf(source).filter((tag) => tag.type === TAG_AUDIO || !isAway(tag));
      feed([headerOf(source, TAG_VIDEO), headerOf(source, TAG_AUDIO)]);
      for (const tag of sent) {
        feed([tag]);
        if (tag.timestamp < 4000 || tag.timestamp > 7000) continue;
        const { startMs, parts } = segments.at(-1)!;
        const packagedMs = startMs + parts.reduce((sum, { durationMs }) => sum + durationMs, 0);
        if (tag.timestamp - packagedMs > 1400) t.fail(`${packagedMs} ms is packaged at ${tag.timestamp} ms`);
      }
      segmenter.finish();
      t.equal(counts.runs, 1);
      t.ok(counts.keyFrames > 0, 'a key frame is asked for');
      for (const { parts } of segments) t.equal(parts[0]?.independent, true);
      for (const [index] of segments.entries()) await hashesOf(stream(index));
      t.strictSame(holesOf(t, segments), []);
      const audio = await timesOf(stream(), 'a');
      const first = mediaOf(source).findIndex(({ type }) => type === TAG_VIDEO);
      const expected = mediaOf(source)
        .slice(first)
        .filter(({ type }) => type === TAG_AUDIO);
      t.equal(audio.length, expected.length);
    },
  );
}

await t.test('while frames are repeated, only a key frame is taken, and nothing from the past', async (t) => {
  const { segmenter, segments, counts, feed, stream } = setUp();
  const media = mediaOf(plain);
  feed([headerOf(plain, TAG_VIDEO), headerOf(plain, TAG_AUDIO)]);
  feed(media.filter(({ type, timestamp }) => timestamp < 6000 && (type === TAG_AUDIO || timestamp < 2200)));
  // A stall that ends: everything comes at once.
  feed(media.filter(({ type, timestamp }) => type === TAG_VIDEO && timestamp >= 2200 && timestamp < 6000));
  feed(media.filter(({ timestamp }) => timestamp >= 6000));
  segmenter.finish();
  t.equal(counts.runs, 1);
  await hashesOf(stream());
  t.strictSame(holesOf(t, segments), []);
});

await t.test('a publisher of a frame in two seconds is taken as it is', async (t) => {
  const { segmenter, feed, stream } = setUp();
  const isShown = ({ type, keyFrame, timestamp }: FlvTag): boolean =>
    type === TAG_AUDIO || (keyFrame && timestamp % 2000 < 500);
  feed([headerOf(plain, TAG_VIDEO), headerOf(plain, TAG_AUDIO), ...mediaOf(plain).filter(isShown)]);
  segmenter.finish();
  const times = await timesOf(stream(), 'v');
  for (const expected of [4000, 6000, 8000])
    t.ok(
      times.some((time) => Math.abs(time - expected) < 40),
      `${expected}`,
    );
});

await t.test('B-frames: everything is shown when the source shows it', async (t) => {
  const { segmenter, feed, stream } = setUp();
  t.ok(mediaOf(bFrames).some(({ type, data }) => type === TAG_VIDEO && data.readIntBE(2, 3) > 40));
  feed([headerOf(bFrames, TAG_VIDEO), headerOf(bFrames, TAG_AUDIO), ...mediaOf(bFrames)]);
  segmenter.finish();
  const source = flv([headerOf(bFrames, TAG_VIDEO), headerOf(bFrames, TAG_AUDIO), ...mediaOf(bFrames)]);
  t.strictSame(await hashesOf(stream()), await hashesOf(source));
  for (const kind of ['v', 'a'] as const) {
    const [packaged, given] = await Promise.all([timesOf(stream(), kind), timesOf(source, kind)]);
    t.equal(packaged.length, given.length);
    const worst = Math.max(...packaged.map((time, index) => Math.abs(time - given[index]!)));
    t.ok(worst <= 1, `${kind}: ${worst} ms`);
  }
  await ffmpeg(['-i', '-', '-f', 'null', '-'], stream());
});
