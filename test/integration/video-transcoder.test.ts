import { execFileSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { EncodeProfile } from '../../src/renditions/encode-profile.ts';
import type { GroupFrame } from '../../src/renditions/group-of-frames.ts';
import type { MediaSource } from '../../src/renditions/media-source.ts';
import { VideoTranscoder } from '../../src/renditions/video-transcoder.ts';
import { parseSps } from '../../src/media/codecs/avc.ts';
import { toImage } from '../../src/ffmpeg/ffmpeg-args.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../../src/media/containers/flv-writer.ts';
import type { Logger } from '../../src/observe/logger.ts';
import type { VideoCodec } from '../../src/streams/live-stream.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { childrenOf } from '../helpers/processes.ts';
import { waitFor } from '../helpers/wait.ts';

const FRAME_MS = 33;

interface Clip {
  readonly width: number;
  readonly height: number;
  readonly header: FlvTag;
  readonly frames: readonly FlvTag[];
}

async function clip(width: number, height: number, videoBitrate = '300k'): Promise<Clip> {
  const tags = (await createFlvTags({ seconds: 2, size: `${width}x${height}`, videoBitrate })).filter(
    (tag) => tag.type === TAG_VIDEO,
  );
  return {
    width,
    height,
    header: tags.find((tag) => tag.sequenceHeader)!,
    frames: tags.filter((tag) => !tag.sequenceHeader),
  };
}

/** A stream of H.264 or VP8 whose frames are those of a clip, at any speed, and the output of a transcoder for it. */
class Stage extends EventEmitter {
  videoCodec: VideoCodec;
  ignoresRequests = false;
  frameRate: number | undefined;
  readonly warnings: string[] = [];
  readonly out: FlvTag[] = [];
  readonly transcoder: VideoTranscoder;
  metadata: { width: number; height: number };
  videoHeader: FlvTag;
  #clip: Clip;
  readonly #before: readonly GroupFrame[];
  #next = 0;
  #told = false;
  #timestamp: number;

  constructor(
    clip: Clip,
    profile: Omit<EncodeProfile, 'audioCodec'>,
    startMs = 0,
    codec: VideoCodec = 'h264',
    before: readonly GroupFrame[] = [],
  ) {
    super();
    this.#before = before;
    this.#next = before.length;
    this.videoCodec = codec;
    this.#clip = clip;
    this.#timestamp = startMs;
    this.metadata = clip;
    this.videoHeader = clip.header;
    const logger = {
      debug: () => {},
      warn: (fields: { reason: string }) => this.warnings.push(fields.reason),
    } as unknown as Logger;
    this.transcoder = new VideoTranscoder(
      this as unknown as MediaSource,
      { audioCodec: 'aac', ...profile },
      { bitrate: 0, logger },
    );
    this.transcoder.on('tags', ({ tags }) => this.out.push(...tags));
  }

  get timestamp(): number {
    return this.#timestamp;
  }

  get shown(): readonly FlvTag[] {
    return this.out.filter((tag) => !tag.sequenceHeader);
  }

  /** The sizes in the sequence headers. */
  get sizes(): string[] {
    return this.out
      .filter((tag) => tag.sequenceHeader)
      .map(({ data }) => {
        const { width, height } = parseSps(data.subarray(13, 13 + data.readUInt16BE(11)))!;
        return `${width}x${height}`;
      });
  }

  /** The levels in the sequence headers, and in the records around them. */
  get levels(): string[] {
    return this.out
      .filter((tag) => tag.sequenceHeader)
      .map(({ data }) => `${data[8]} ${parseSps(data.subarray(13, 13 + data.readUInt16BE(11)))!.level}`);
  }

  get isMonotonic(): boolean {
    const isAfter = (tags: readonly FlvTag[], least: number): boolean =>
      tags.every(({ timestamp }, index) => index === 0 || timestamp - tags[index - 1]!.timestamp >= least);
    return isAfter(this.out, 0) && isAfter(this.shown, 1);
  }

  recentFrames(): readonly GroupFrame[] {
    return this.#before;
  }

  requestKeyFrame(): void {
    if (!this.ignoresRequests) this.#next = 0;
  }

  show(clip: Clip): void {
    this.#clip = clip;
    this.#next = 0;
    this.#told = false;
    this.metadata = clip;
    this.videoHeader = clip.header;
    this.emit('sized');
  }

  /**
   * Feeds frames until a condition holds.
   *
   * @param everyMs real time between two frames
   */
  async until(what: string, isSo: () => boolean, everyMs = 10): Promise<void> {
    let done = false;
    const waiting = waitFor(what, isSo, { every: 10 }).finally(() => (done = true));
    for (; !done; await sleep(everyMs)) this.frame();
    await waiting;
  }

  /** @param audioMs milliseconds of the audio that comes with the frame; 0: none */
  frame(audioMs = 0): void {
    if (audioMs > 0) {
      const data = Buffer.of(0xaf, 1, 0);
      this.emit('audio', { type: TAG_AUDIO, timestamp: this.#timestamp, data, keyFrame: false, sequenceHeader: false });
    }
    if (this.videoCodec === 'vp8') return this.#vp8Frame();
    const tag = this.#clip.frames[this.#next % this.#clip.frames.length]!;
    // The source emits its sequence header when it changes, not with each key frame.
    const tags = this.#told ? [] : [{ ...this.videoHeader, timestamp: this.#timestamp }];
    this.#told = true;
    this.#next++;
    for (const each of [...tags, { ...tag, timestamp: this.#timestamp }]) this.emit('video', each);
    this.#timestamp += FRAME_MS;
  }

  #vp8Frame(): void {
    const data = vp8[this.#next++ % vp8.length]!;
    const keyFrame = (data[0]! & 1) === 0;
    this.emit('frame', { codec: 'vp8', data, timestamp: this.#timestamp, keyFrame });
    this.#timestamp += FRAME_MS;
  }

  pause(ms: number): void {
    this.#timestamp += ms;
  }

  get encoder(): number | undefined {
    return childrenOf(process.pid).find(({ role }) => role === 'video-encoder')?.pid;
  }
}

/** The frames of a VP8 clip. */
function vp8Frames(): Buffer[] {
  const args = ['-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc=size=320x240:rate=30', '-t', '2'];
  const ivf = execFileSync('ffmpeg', [...args, '-c:v', 'libvpx', '-b:v', '300k', '-f', 'ivf', 'pipe:1']);
  const frames: Buffer[] = [];
  for (let at = 32; at < ivf.length;) {
    const start = at + 12;
    at = start + ivf.readUInt32LE(at);
    frames.push(ivf.subarray(start, at));
  }
  return frames;
}

const RAW = ['-pix_fmt', 'gray', '-f', 'rawvideo', 'pipe:1'];

const ffmpeg = (input: readonly string[], output: readonly string[], stdin?: Buffer): Buffer =>
  execFileSync('ffmpeg', ['-loglevel', 'error', ...input, ...output], { input: stdin ?? '', maxBuffer: 1 << 26 });

/** The samples of the first and the last lines and columns. */
const border = (grey: Buffer, width: number): number[] => [
  ...grey.subarray(0, width),
  ...grey.subarray(grey.length - width),
  ...Array.from({ length: grey.length / width }, (_, line) =>
    Math.min(grey[line * width]!, grey[line * width + width - 1]!),
  ),
];

const vp8 = vp8Frames();
const small = await clip(160, 90);
const middle = await clip(240, 136);
const large = await clip(320, 180);

t.test('without a height the canvas grows with the source, and never shrinks', async (t) => {
  const stage = new Stage(small, { fps: 25 });
  await stage.until('the first frames', () => stage.shown.length > 20);
  const started = stage.encoder;
  stage.show(middle);
  await stage.until('some more', () => stage.shown.length > 40);
  t.equal(stage.encoder, started, 'it waits for the end of a ramp-up');
  stage.show(large);
  await stage.until('a larger canvas', () => stage.sizes.length > 1);
  const grown = stage.encoder;
  t.not(grown, started);
  t.match(stage.transcoder.metadata, { width: 320, height: 180 });
  stage.show(small);
  const before = stage.shown.length;
  await stage.until('frames that are small again', () => stage.shown.length > before + 100, 30);
  t.equal(stage.encoder, grown);
  t.strictSame(stage.sizes, ['160x90', '320x180']);
  t.ok(stage.isMonotonic);
  t.strictSame(stage.warnings, [], 'no death');
  await stage.transcoder.close();
});

t.test('returns of the publisher do not count as deaths of the encoder', async (t) => {
  const stage = new Stage(small, { height: 90 });
  stage.transcoder.on('failed', (error) => t.fail(error.message));
  for (let times = 0; times <= 5; times++) {
    const before = stage.encoder;
    stage.emit('resumed');
    await stage.until('frames of a fresh encoder', () => stage.encoder !== before && stage.shown.length > 0);
    stage.out.length = 0;
  }
  t.strictSame(stage.warnings, [], 'no death');
  await stage.transcoder.close();
});

t.test('with a height the canvas stays as it is', async (t) => {
  const stage = new Stage(small, { height: 90 });
  await stage.until('the first frames', () => stage.shown.length > 20);
  const started = stage.encoder;
  stage.show(large);
  const before = stage.shown.length;
  await stage.until('three seconds more', () => stage.shown.length > before + 100, 30);
  t.equal(stage.encoder, started);
  t.strictSame(stage.sizes, ['160x90']);
  await stage.transcoder.close();
});

t.test('a stream of 25, of 50 and of 100 days', async (t) => {
  for (const startMs of [2 ** 31 - 1000, 2 ** 32 - 1000, 2 ** 33 + 2 ** 30 + 5]) {
    const stage = new Stage(small, { height: 90 }, startMs);
    await waitFor('the encoder', () => stage.encoder);
    // The output begins with the first frame after the encoder has started.
    await stage.until('frames', () => stage.shown.length > 80);
    const { shown } = stage;
    t.ok(
      shown[0]!.timestamp >= startMs && shown[0]!.timestamp < startMs + 1000,
      `${startMs}: begins at ${shown[0]!.timestamp - startMs}`,
    );
    t.ok(
      shown.every(({ timestamp }, index) => timestamp === shown[0]!.timestamp + index * FRAME_MS),
      'and all times are kept',
    );
    await stage.transcoder.close();
  }
});

t.test('after a pause, output of a constant rate goes on where the source does', async (t) => {
  const stage = new Stage(small, { height: 90, fps: 25 });
  await stage.until('the first frames', () => stage.shown.length > 20);
  await waitFor('all frames', () => stage.shown.at(-1)!.timestamp >= stage.timestamp - 3 * FRAME_MS);
  const before = stage.shown.length;
  stage.pause(600_000);
  const back = stage.timestamp;
  await stage.until('frames of now', () => stage.shown.at(-1)!.timestamp > back + 1000);
  const repeated = stage.shown.slice(before).filter(({ timestamp }) => timestamp < back);
  // Without a limit they were 15,000.
  t.ok(repeated.length < 600, `${repeated.length} frames for the pause`);
  t.ok(stage.isMonotonic);
  t.strictSame(stage.warnings, [], 'no death');
  await stage.transcoder.close();
});

t.test('each return of the publisher gets a new encoder', async (t) => {
  const stage = new Stage(small, { height: 90 });
  await stage.until('the first frames', () => stage.shown.length > 20);
  for (let times = 0; times < 6; times++) {
    const before = stage.shown.length;
    stage.emit('resumed');
    stage.pause(500);
    await stage.until('frames', () => stage.shown.length > before + 5);
  }
  t.strictSame(stage.warnings, [], 'no death');
  t.ok(stage.isMonotonic);
  await stage.transcoder.close();
});

t.test('the source changes its codec: the output goes on with the same size', async (t) => {
  const stage = new Stage(small, { height: 90 });
  stage.transcoder.on('failed', (error) => t.fail(error.message));
  await stage.until('the first frames', () => stage.shown.length > 20);
  stage.videoCodec = 'vp8';
  stage.emit('resumed');
  let before = stage.shown.length;
  await stage.until('frames from VP8', () => stage.shown.length > before + 20);
  stage.videoCodec = 'h264';
  stage.emit('resumed');
  before = stage.shown.length;
  await stage.until('frames from H.264 again', () => stage.shown.length > before + 20);
  // VP8 and H.264 describe their colours differently, so each change brings a sequence header.
  t.ok(
    stage.sizes.every((size) => size === '160x90'),
    stage.sizes.join(' '),
  );
  t.ok(stage.isMonotonic);
  t.strictSame(stage.warnings, [], 'no death');
  await stage.transcoder.close();
});

t.test('an encoder that hangs is replaced, even if its backlog is small', async (t) => {
  const stage = new Stage(small, { height: 90 });
  await stage.until('the first frames', () => stage.shown.length > 20);
  const hanging = stage.encoder!;
  process.kill(hanging, 'SIGSTOP');
  const before = stage.shown.length;
  const since = performance.now();
  await stage.until('frames of another one', () => stage.shown.length > before + 20, 30);
  t.comment(`after ${Math.round(performance.now() - since)} ms`);
  await waitFor('the hanging one to be killed', () => stage.encoder !== hanging);
  t.match(stage.warnings, [/hangs/], 'which counts as a death');
  t.strictSame(stage.sizes, ['160x90'], 'and no destination gets a new sequence header');
  t.ok(stage.isMonotonic);
  await stage.transcoder.close();
});

t.test('the level is that of the size and the rate, and the bitrate that of the settings', async (t) => {
  const stage = new Stage({ ...small, width: 320, height: 240 }, {}, 0, 'vp8');
  await stage.until('frames', () => stage.shown.length > 40);
  t.strictSame(stage.levels, ['13 13'], '320x240 at 30 frames per second with 400 kbit/s');
  const bytes = stage.shown.slice(0, 30).reduce((sum, { data }) => sum + data.length, 0);
  t.ok(bytes > 10_000, `${bytes} bytes in a second`);
  stage.frameRate = 61;
  await stage.until('another encoder', () => stage.levels.length > 1, 5);
  t.strictSame(stage.levels, ['13 13', '21 21'], 'the rate rises');
  const before = stage.shown.length;
  await stage.until('frames', () => stage.shown.length > before + 20);
  stage.frameRate = 20;
  await stage.until('frames', () => stage.shown.length > before + 60);
  t.equal(stage.levels.length, 2, 'and falls');
  t.ok(stage.isMonotonic);
  t.strictSame(stage.warnings, [], 'no death');
  await stage.transcoder.close();
});

t.test(
  'a publisher that does not heed requests: it starts with the first key frame, and goes on after a death',
  async (t) => {
    for (const fps of [undefined, 30]) {
      const stage = new Stage({ ...small, width: 320, height: 240 }, fps ? { fps } : {}, 0, 'vp8');
      stage.ignoresRequests = true;
      for (let count = 0; count < 5; count++) stage.frame();
      await waitFor('the encoder', () => stage.encoder);
      await stage.until('frames', () => stage.shown.length > 10, 50);
      t.ok(stage.shown[0]!.timestamp < FRAME_MS, 'the first frame');
      t.ok(stage.shown[0]!.keyFrame);
      const dead = stage.encoder!;
      const before = stage.shown.length;
      process.kill(dead, 'SIGKILL');
      await stage.until(
        'frames of another encoder',
        () => stage.encoder !== dead && stage.shown.length > before + 5,
        200,
      );
      t.ok(stage.timestamp < vp8.length * FRAME_MS, 'before another key frame of the publisher');
      const times = stage.shown.map(({ timestamp }) => timestamp);
      const gaps = times.slice(1).map((time, index) => time - times[index]!);
      t.ok(
        gaps.every((gap) => gap > 0 && gap < 2 * FRAME_MS),
        `no frame is missing, and none comes twice: ${gaps.join(' ')}`,
      );
      await stage.transcoder.close();
    }
  },
);

t.test('while the encoder starts, audio waits for the frames of that time', async (t) => {
  const stage = new Stage({ ...small, width: 320, height: 240 }, {}, 0, 'vp8');
  stage.ignoresRequests = true;
  for (let count = 0; count < 50; count++) stage.frame(FRAME_MS);
  await waitFor('frames', () => stage.shown.length > 10);
  await stage.until('the rest', () => stage.shown.length > 95, 50);
  const first = stage.shown.findIndex(({ type }) => type === TAG_VIDEO);
  t.ok(first <= 1, 'a frame is at the beginning');
  t.ok(stage.shown[first]!.timestamp < FRAME_MS);
  const audio = stage.shown.filter(({ type }) => type === TAG_AUDIO).map(({ timestamp }) => timestamp);
  t.strictSame(
    audio,
    audio.map((_, index) => index * FRAME_MS),
    'no audio is missing, and none comes twice',
  );
  const lead = stage.out.findIndex(({ type, timestamp }) => type === TAG_AUDIO && timestamp > 1000);
  t.ok(stage.out.slice(0, lead).some(({ type, timestamp }) => type === TAG_VIDEO && timestamp > 900));
  await stage.transcoder.close();
});

t.test('an encoder that begins within a group of frames sends none of the frames before', async (t) => {
  const before = vp8.slice(0, 40).map((data, index) => ({ data, keyFrame: index === 0, timestamp: index * FRAME_MS }));
  const stage = new Stage({ ...small, width: 320, height: 240 }, {}, 40 * FRAME_MS, 'vp8', before);
  stage.ignoresRequests = true;
  await stage.until('frames', () => stage.shown.length > 10, 50);
  t.ok(stage.shown[0]!.keyFrame);
  t.equal(stage.shown[0]!.timestamp, 40 * FRAME_MS);
  await stage.transcoder.close();
});

t.test('samples that are not square: the shape of the frame is kept, without a border', async (t) => {
  for (const [sampleWidth, sampleHeight, width] of [
    [16, 11, 874],
    [12, 11, 656],
    [7, 5, 840],
    [10, 11, 546],
    [1, 1, 600],
  ] as const) {
    const aspect = `${sampleWidth}/${sampleHeight}`;
    const source = ffmpeg(
      [...'-f lavfi -i color=white:size=720x576:rate=25 -t 1 -vf'.split(' '), `setsar=${aspect}`],
      [...'-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -f flv pipe:1'.split(' ')],
    );
    const tags = new FlvReader().push(source).filter(({ type }) => type === TAG_VIDEO);
    const header = tags.find((tag) => tag.sequenceHeader)!;
    const frames = tags.filter((tag) => !tag.sequenceHeader);
    const stage = new Stage({ width: 720, height: 576, header, frames }, { height: 480 });
    await stage.until('frames', () => stage.shown.length > 2);
    t.strictSame(stage.sizes, [`${width}x480`], aspect);
    const out = [flvHeader({ audio: false, video: true })];
    for (const tag of stage.out) {
      const { head, tail } = flvTagParts(tag);
      out.push(head, tag.data, tail);
    }
    await stage.transcoder.close();
    const grey = ffmpeg(['-f', 'flv', '-i', 'pipe:0'], ['-frames:v', '1', ...RAW], Buffer.concat(out));
    t.equal(grey.length, width * 480);
    t.ok(Math.min(...border(grey, width)) > 220, 'no border');
    for (const maxWidth of [undefined, 400]) {
      const line = toImage('png', 'flv', 1_000_000, maxWidth);
      const image = ffmpeg([...line.inputOptions, '-i', line.input], [...line.outputOptions, line.output], source);
      const shown = Math.round((720 * sampleWidth) / sampleHeight);
      const size = [image.readUInt32BE(16), image.readUInt32BE(20)];
      t.strictSame(size, maxWidth ? [400, 2 * Math.round((400 * 576) / shown / 2)] : [shown, 576]);
    }
  }
});
