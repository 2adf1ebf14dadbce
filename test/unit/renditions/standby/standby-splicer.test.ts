import fc from 'fast-check';
import t from 'tap';
import { readSequenceHeader } from '../../../../src/media/codecs/avc-nal.ts';
import { avcFrame, avcSequenceHeader } from '../../../../src/media/codecs/avc.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { AAC_FORMAT } from '../../../../src/renditions/audio-format.ts';
import { OutputClock } from '../../../../src/renditions/standby/output-clock.ts';
import type { StandbyClip } from '../../../../src/renditions/standby/standby-clip.ts';
import { StandbySplicer } from '../../../../src/renditions/standby/standby-splicer.ts';

const header = (level: number): Buffer =>
  avcSequenceHeader(Buffer.of(0x67, 0x42, 0xc0, level, 0xda), [Buffer.of(0x68, 0xce, 0x3c, 0x80)]);
const LIVE_HEADER = header(31);
const CLIP_HEADER = header(40);
const frame = (kind: number, keyFrame: boolean): Buffer =>
  avcFrame([[Buffer.of(keyFrame ? 0x65 : 0x41, kind)]], keyFrame);
const LIVE = 1;
const CLIP = 2;
const FROZEN = 3;
const LIVE_SOUND = Buffer.of(0xaf, 1, 0x21);

const CLIP_FPS = 25;
const clip = (clipHeader = CLIP_HEADER, fps = CLIP_FPS): StandbyClip => ({
  format: { width: 640, height: 360, fps, keyFrameIntervalMs: 400 },
  header: clipHeader,
  frames: Array.from({ length: 20 }, (_, index) => ({
    data: frame(CLIP, index % 10 === 0),
    keyFrame: index % 10 === 0,
  })),
});

const videoTag = (timestamp: number, keyFrame = false): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: frame(LIVE, keyFrame),
  keyFrame,
  sequenceHeader: false,
});
const headerTag = (data: Buffer, timestamp: number): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data,
  keyFrame: false,
  sequenceHeader: true,
});
const audioTag = (timestamp: number): FlvTag => ({
  type: TAG_AUDIO,
  timestamp,
  data: LIVE_SOUND,
  keyFrame: false,
  sequenceHeader: false,
});

/** A publisher and a splicer on one clock, driven in steps of 10 ms; the ticker has 40 ms. */
class Stage {
  nowMs = 1000;
  readonly out: FlvTag[] = [];
  keyFrameRequests = 0;
  readonly splicer: StandbySplicer;
  video = false;
  audio = false;
  /** Milliseconds by which audio is late. */
  audioLagMs = 250;
  liveFps = 30;
  liveHeader = LIVE_HEADER;
  /** Stream time is this far behind `nowMs`. */
  #originMs = 0;
  #nextVideo = 0;
  #nextAudio = 0;
  #wantsKeyFrame = true;
  #keyFrameAt = Infinity;
  /** What the last call of `take` returned, and was given. */
  passed: [readonly FlvTag[], readonly FlvTag[]] | undefined;

  constructor(options: { freezeMs?: number; hasPicture?: boolean; canFreeze?: boolean } = {}) {
    const { freezeMs = 500, hasPicture = true, canFreeze = true } = options;
    this.splicer = new StandbySplicer(
      {
        freezeMs,
        hasPicture,
        silence: AAC_FORMAT,
        freezeFrames: () => (canFreeze ? { next: () => frame(FROZEN, false) } : undefined),
        requestKeyFrame: () => {
          this.keyFrameRequests++;
          if (this.#keyFrameAt === Infinity) this.#keyFrameAt = this.nowMs + 100;
        },
      },
      this.nowMs,
    );
  }

  publish({ originMs = this.nowMs - 20, video = true, audio = true } = {}): void {
    this.#originMs = originMs;
    this.#nextVideo = this.#nextAudio = this.nowMs - originMs;
    this.#wantsKeyFrame = true;
    this.video = video;
    this.audio = audio;
    this.splicer.attach(undefined, this.nowMs);
  }

  unpublish(): void {
    this.video = this.audio = false;
    this.out.push(...this.splicer.detach(this.nowMs));
  }

  /** Frames that were not sent are gone. */
  resumeVideo(): void {
    this.#nextVideo = Math.max(this.#nextVideo, this.nowMs - this.#originMs);
    this.video = true;
    this.#wantsKeyFrame = false;
  }

  run(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs;) {
      this.nowMs += 10;
      const tags: FlvTag[] = [];
      const streamMs = this.nowMs - this.#originMs;
      if (this.nowMs >= this.#keyFrameAt) {
        this.#keyFrameAt = Infinity;
        this.#wantsKeyFrame = true;
      }
      for (; this.video && this.#nextVideo <= streamMs; this.#nextVideo += 1000 / this.liveFps) {
        const at = Math.round(this.#nextVideo);
        if (this.#wantsKeyFrame && this.liveHeader) tags.push(headerTag(this.liveHeader, at));
        tags.push(videoTag(at, this.#wantsKeyFrame));
        this.#wantsKeyFrame = false;
      }
      for (; this.audio && this.#nextAudio <= streamMs - this.audioLagMs; this.#nextAudio += AAC_FORMAT.frameMs)
        tags.push(audioTag(Math.round(this.#nextAudio)));
      if (tags.length > 0) {
        const taken = this.splicer.take(tags, this.nowMs);
        this.passed = [taken, tags];
        this.out.push(...taken);
      }
      if (this.nowMs % 40 === 0) this.out.push(...this.splicer.tick(this.nowMs));
    }
  }

  get frames(): FlvTag[] {
    return this.out.filter(({ type, sequenceHeader }) => type === TAG_VIDEO && !sequenceHeader);
  }

  get sounds(): FlvTag[] {
    return this.out.filter(({ type }) => type === TAG_AUDIO);
  }

  /** What is shown, as runs of the same kind. */
  get shown(): string[] {
    const kinds = this.frames.map(({ data }) => ['', 'live', 'clip', 'frozen'][data.at(-1)!]!);
    return kinds.filter((kind, index) => kind !== kinds[index - 1]);
  }
}

const isLive = (tag: FlvTag | undefined): boolean => tag?.data.at(-1) === LIVE;
/** After this time live video counts as absent at the latest; and the time until that is found. */
const LONGEST_PAUSE_MS = 3000 + 100;

/** The rules that hold at all times. @returns what is broken */
function broken(stage: Stage, maxGapMs: number): string[] {
  const found: string[] = [];
  const { frames, sounds } = stage;
  frames.forEach(({ timestamp }, index) => {
    const gap = timestamp - (frames[index - 1]?.timestamp ?? timestamp - 1);
    if (gap <= 0) found.push(`frame ${index} at ${timestamp} goes back by ${-gap}`);
    // Live video that pauses for a moment is sent as it is.
    const isPause = isLive(frames[index - 1]) && isLive(frames[index]) && gap <= LONGEST_PAUSE_MS;
    if (gap > maxGapMs && !isPause) found.push(`gap of ${gap} before frame ${index} at ${timestamp}`);
  });
  sounds.forEach(({ timestamp }, index) => {
    if (index === 0) return;
    const gap = timestamp - sounds[index - 1]!.timestamp;
    if (gap < 10 || gap > 33) found.push(`audio: ${gap} ms before ${timestamp}`);
  });
  let inForce: Buffer | undefined;
  let last: string | undefined;
  for (const tag of stage.out) {
    if (tag.type !== TAG_VIDEO) continue;
    if (tag.sequenceHeader) {
      if (inForce?.equals(tag.data)) found.push(`the same header again at ${tag.timestamp}`);
      inForce = tag.data;
      continue;
    }
    const kind = ['', 'live', 'clip', 'frozen'][tag.data.at(-1)!]!;
    const wanted = kind === 'clip' ? CLIP_HEADER : LIVE_HEADER;
    if (!inForce?.equals(wanted)) found.push(`${kind} at ${tag.timestamp} with the wrong header`);
    if (kind !== last && kind !== 'frozen' && !tag.keyFrame) found.push(`${kind} begins without a key frame`);
    if (kind === 'frozen' && last === 'clip') found.push('a clip is frozen');
    last = kind;
  }
  return found;
}

const TWO_FRAMES_MS = 2 * Math.ceil(1000 / CLIP_FPS);

t.test('live, freeze, standby, live: of another publisher with another clock', async (t) => {
  const stage = new Stage();
  stage.publish({ originMs: -3_600_000 });
  stage.run(2000);
  stage.splicer.setClip(clip());
  t.equal(stage.passed?.[0], stage.passed?.[1], 'groups pass as they are');
  t.equal(stage.frames[0]!.timestamp > 3_600_000, true, 'with the times of the stream');
  stage.unpublish();
  stage.run(3000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip']);
  const frozen = stage.frames.filter(({ data }) => data.at(-1) === FROZEN);
  t.equal(frozen.length, 15 - 1, 'half a second at 30 frames per second');
  stage.publish();
  stage.run(2000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip', 'live']);
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
  const back = stage.frames.find(
    ({ data, timestamp }) => data.at(-1) === LIVE && timestamp > stage.frames[0]!.timestamp + 3000,
  )!;
  t.ok(back.data.includes(readSequenceHeader(LIVE_HEADER).sps[0]!), 'the parameter sets are in the key frame too');
  const seconds = (stage.frames.at(-1)!.timestamp - stage.frames[0]!.timestamp) / 1000;
  t.ok(Math.abs(seconds - 7) < 0.2, `7 s of real time are 7 s of media: ${seconds}`);
});

t.test('audio and video are looked after separately', async (t) => {
  const stage = new Stage();
  stage.publish();
  stage.run(2000);
  stage.splicer.setClip(clip());
  stage.video = false;
  const before = stage.sounds.length;
  stage.run(5000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip']);
  const during = stage.sounds.slice(before);
  t.ok(during.length > 200 && during.every(({ data }) => data === LIVE_SOUND), 'the microphone goes on');
  stage.resumeVideo();
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip', 'live']);
  t.ok(stage.keyFrameRequests > 0, 'a key frame was requested');
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);

  stage.audio = false;
  stage.run(4000);
  t.strictSame(stage.shown.slice(4), [], 'the camera goes on');
  t.ok(
    stage.sounds.slice(-50).every(({ data }) => data === AAC_FORMAT.silence),
    'silence takes the place of audio',
  );
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
});

t.test('begins with standby', async (t) => {
  const stage = new Stage();
  stage.splicer.lost(stage.nowMs);
  stage.run(500);
  t.strictSame(stage.frames, [], 'the clip is not ready yet');
  stage.splicer.setClip(clip());
  stage.run(2000);
  t.equal(stage.frames[0]!.keyFrame, true);
  t.ok(stage.frames[0]!.timestamp < 1000);
  stage.publish();
  stage.run(1000);
  t.strictSame(stage.shown, ['clip', 'live']);
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
});

t.test('switched by hand, and another picture while on air', async (t) => {
  const stage = new Stage();
  stage.publish();
  stage.run(1000);
  stage.splicer.setClip(clip());
  stage.out.push(...stage.splicer.hold(true, stage.nowMs));
  const sounds = stage.sounds.length;
  stage.run(2000);
  t.strictSame(stage.shown, ['live', 'clip'], 'at once, although the publisher sends');
  t.ok(
    stage.sounds.slice(sounds + 1).every(({ data }) => data === AAC_FORMAT.silence),
    'a break in the show is silent',
  );
  stage.splicer.setClip(clip());
  const frames = stage.frames.length;
  stage.run(40);
  t.equal(stage.frames[frames]!.keyFrame, true, 'another clip begins at its key frame');
  stage.out.push(...stage.splicer.hold(false, stage.nowMs));
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'clip', 'live']);
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
});

t.test('the last frame is repeated until the clip is ready', async (t) => {
  const stage = new Stage();
  stage.publish();
  stage.run(1000);
  stage.unpublish();
  stage.run(3000);
  t.strictSame(stage.shown, ['live', 'frozen']);
  stage.splicer.setClip(clip());
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip']);
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
});

t.test('video that cannot be frozen', async (t) => {
  const stage = new Stage({ canFreeze: false });
  stage.publish();
  stage.run(1000);
  stage.unpublish();
  stage.run(1000);
  t.strictSame(stage.shown, ['live'], 'nothing to show');
  stage.splicer.setClip(clip());
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'clip']);
  t.strictSame(broken(stage, TWO_FRAMES_MS), [], 'the clip fills the hole');
});

t.test('without a picture the video stops, and audio goes on', async (t) => {
  const stage = new Stage({ hasPicture: false });
  stage.publish();
  stage.run(1000);
  stage.unpublish();
  stage.run(5000);
  t.strictSame(stage.shown, ['live', 'frozen']);
  t.ok(stage.sounds.at(-1)!.timestamp - stage.frames.at(-1)!.timestamp > 4000);
  stage.publish();
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'frozen', 'live']);
  t.strictSame(broken(stage, 6000), []);
});

t.test('a clip with the same parameter sets needs no header', async (t) => {
  const stage = new Stage();
  stage.publish();
  stage.run(1000);
  stage.splicer.setClip(clip(LIVE_HEADER));
  stage.unpublish();
  stage.run(2000);
  stage.publish();
  stage.run(1000);
  t.strictSame(stage.shown, ['live', 'frozen', 'clip', 'live']);
  t.equal(stage.out.filter(({ type, sequenceHeader }) => type === TAG_VIDEO && sequenceHeader).length, 1);
});

t.test('a slow or irregular publisher is not taken for an absent one', async (t) => {
  const stage = new Stage();
  stage.liveFps = 5;
  stage.publish();
  stage.run(3000);
  stage.splicer.setClip(clip());
  stage.run(10_000);
  stage.liveFps = 1;
  stage.run(2500);
  // The rate has dropped without a warning: that may cost one interruption, and no more.
  const { length } = stage.shown;
  stage.run(20_000);
  t.equal(stage.shown.length, length);
});

t.test('many publishers, one after the other, do not push the output ahead of real time', async (t) => {
  const stage = new Stage({ freezeMs: 100 });
  stage.publish();
  stage.splicer.setClip(clip());
  const startMs = stage.nowMs;
  for (let publisher = 0; publisher < 60; publisher++) {
    stage.audioLagMs = [20, 350, 200][publisher % 3]!;
    stage.run(3500);
    if (publisher % 2 === 0) stage.out.push(...stage.splicer.lost(stage.nowMs));
    stage.run(300);
    stage.unpublish();
    stage.run(700);
    stage.publish({ originMs: stage.nowMs - 50 * publisher });
    // Its first frame is late.
    const { video } = stage;
    stage.video = false;
    stage.run(120);
    stage.video = video;
  }
  const mediaMs = stage.frames.at(-1)!.timestamp - stage.frames[0]!.timestamp;
  const aheadMs = mediaMs - (stage.nowMs - startMs);
  t.ok(Math.abs(aheadMs) < 700, `ahead by ${aheadMs} ms after ${Math.round((stage.nowMs - startMs) / 1000)} s`);
  t.strictSame(broken(stage, TWO_FRAMES_MS), []);
});

t.test('the clock of the publisher is followed', async (t) => {
  for (const drift of [0.999, 1.001]) {
    const clock = new OutputClock(0);
    clock.begin(5000, 1000);
    // A quarter of an hour of video, then of audio alone, whose delay is longer.
    for (const [source, delay] of [
      ['video', 0],
      ['audio', 250],
    ] as const) {
      const from = source === 'video' ? 0 : 900_000;
      for (let ms = from; ms < from + 900_000; ms += 20)
        clock.follow(source, 5000 + ms * drift - delay - (ms % 7) * 5, 1000 + ms);
    }
    const expected = 5000 + 1_800_000 * drift;
    const outMs = clock.outMs(1000 + 1_800_000);
    t.ok(Math.abs(outMs - expected) < 50, `${drift}: ${outMs} instead of ${expected}`);
  }
});

t.test('an output that begins during standby gets a key frame', async (t) => {
  const stage = new Stage();
  stage.splicer.setClip(clip());
  stage.splicer.lost(stage.nowMs);
  stage.run(1100);
  const { length } = stage.frames;
  stage.splicer.needKeyFrame();
  stage.run(50);
  t.equal(stage.frames[length]!.keyFrame, true);
});

t.test('whatever happens, time goes forward, gaps are short, and headers precede what they describe', async (t) => {
  const action = fc.record({
    what: fc.constantFrom(
      'publish',
      'unpublish',
      'video',
      'audio',
      'hold',
      'release',
      'lost',
      'clip',
      'key-frame',
      'lag',
    ),
    ms: fc.integer({ min: 0, max: 1800 }),
    value: fc.integer({ min: 0, max: 400 }),
  });
  const run = (
    actions: readonly { what: string; ms: number; value: number }[],
    freezeMs: number,
    fps: number,
  ): Stage => {
    const stage = new Stage({ freezeMs });
    stage.liveFps = fps;
    stage.publish();
    stage.splicer.setClip(clip(CLIP_HEADER, fps));
    stage.run(300);
    let isPublished = true;
    for (const { what, ms, value } of actions) {
      if (what === 'unpublish' && isPublished) stage.unpublish();
      if (what === 'publish' && isPublished) stage.unpublish();
      if (what === 'publish') stage.publish({ originMs: stage.nowMs - value * 1000 - 20 });
      if (what === 'publish' || what === 'unpublish') isPublished = what === 'publish';
      if (what === 'video' && isPublished) {
        if (stage.video) stage.video = false;
        else stage.resumeVideo();
      }
      if (what === 'lost' && isPublished) {
        stage.video = false;
        stage.out.push(...stage.splicer.lost(stage.nowMs));
      }
      if (what === 'audio' && isPublished) stage.audio = !stage.audio;
      if (what === 'lag') stage.audioLagMs = value;
      if (what === 'hold' || what === 'release') stage.out.push(...stage.splicer.hold(what === 'hold', stage.nowMs));
      if (what === 'clip') stage.splicer.setClip(clip(CLIP_HEADER, fps));
      if (what === 'key-frame') stage.splicer.needKeyFrame();
      stage.run(ms);
    }
    return stage;
  };
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(0, 300, 2000),
      fc.constantFrom(15, 25, 60),
      (actions, freezeMs, fps) => {
        const found = broken(run(actions, freezeMs, fps), Math.ceil(2000 / fps));
        if (found.length > 0) throw new Error(found.slice(0, 5).join('; '));
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});
