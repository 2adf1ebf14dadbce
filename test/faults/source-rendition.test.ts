import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { SourceRendition } from '../../src/renditions/source-rendition.ts';
import { aacFrame, silentAacFrame } from '../../src/media/codecs/aac.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import {
  LiveStream,
  type AudioTrack,
  type Publisher,
  type TrackSubscription,
  type VideoTrack,
} from '../../src/streams/live-stream.ts';
import { opusPackets } from '../helpers/opus.ts';
import { waitFor } from '../helpers/wait.ts';

const silence = aacFrame(silentAacFrame(2));
const sound = opusPackets('sine=frequency=440', 1);
const OPUS_MS = 20;
const FRAME_MS = 40;
const parameterSets = ['6742c01fda01e0089f961000000300100000030320f1832a', '68ce3c80'].map((hex) =>
  Buffer.from(hex, 'hex'),
);
const keyFrame = Buffer.concat([Buffer.of(0x65, 0x88), Buffer.alloc(300, 0x55)]);
const frame = Buffer.concat([Buffer.of(0x41, 0x9a), Buffer.alloc(100, 0x55)]);

/** A track subscription. */
class Subscription extends EventEmitter {
  readonly roundTripMs = 20;
  #sequence = 0;
  keyFramesAsked = 0;
  requestKeyFrame(): void {
    this.keyFramesAsked++;
  }
  close(): void {}

  packet(rtpTimestamp: number, payload: Buffer, marker = true): void {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = (marker ? 0x80 : 0) | 96;
    header.writeUInt16BE(this.#sequence++ & 0xffff, 2);
    header.writeUInt32BE(rtpTimestamp >>> 0, 4);
    header.writeUInt32BE(1, 8);
    this.emit('rtp', Buffer.concat([header, payload]));
  }

  /** Skips a packet. */
  lose(): void {
    this.#sequence++;
  }

  report(captureMs: number, clockRate: number): void {
    this.emit('senderReport', { ntpMs: 3.9e12 + captureMs, rtpTimestamp: (captureMs * clockRate) / 1000 });
  }
}

const OPTIONS = { audioBitrate: 128, audioBatchMs: 60, keyFrameIntervalMs: 2000, logger: silentLogger };
const program = process.env['OPUS_TO_AAC_BIN'];
/** If they were built: a shared encoder starts at once, an ffmpeg needs seconds on a busy machine, and these tests depend on the time of the audio. */
const sharedEncoders = program
  ? await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: OPTIONS.audioBatchMs, logger: silentLogger })
  : undefined;

/** A publisher of video only. */
const publisher = (subscribe: () => Promise<unknown>, codec = 'h264'): Publisher =>
  ({
    id: 'publisher',
    video: { kind: 'video', codec, clockRate: 90_000, subscribe },
    close() {},
  }) as unknown as Publisher;

/**
 * A publisher of H.264 and Opus in real time.
 *
 * @param arrivalMs arrival of what is captured at a time; both in milliseconds from the start
 * @param soundLateMs how much later audio arrives than video captured at the same time
 * @returns the tags and when they came out
 */
async function publish(
  forMs: number,
  arrivalMs: (captureMs: number) => number,
  soundLateMs = 0,
): Promise<Array<{ atMs: number; tag: FlvTag }>> {
  const audio = new Subscription();
  const video = new Subscription();
  const subscribed = (subscription: Subscription): Promise<TrackSubscription> =>
    Promise.resolve(subscription as unknown as TrackSubscription);
  const stream = new LiveStream('camera', undefined);
  stream.attach({
    id: 'publisher',
    audio: {
      kind: 'audio',
      codec: 'opus',
      clockRate: 48_000,
      subscribe: () => subscribed(audio),
    } as unknown as AudioTrack,
    video: {
      kind: 'video',
      codec: 'h264',
      clockRate: 90_000,
      subscribe: () => subscribed(video),
    } as unknown as VideoTrack,
    close() {},
  } as unknown as Publisher);
  const rendition = await SourceRendition.create(stream, { ...OPTIONS, ...(sharedEncoders && { sharedEncoders }) });
  if (!sharedEncoders) await sleep(500); // an ffmpeg starts
  const tags: Array<{ atMs: number; tag: FlvTag }> = [];
  const startMs = performance.now();
  rendition.on('tags', (group) => tags.push(...group.tags.map((tag) => ({ atMs: performance.now() - startMs, tag }))));

  const events: Array<{ atMs: number; act: () => void }> = [];
  for (let ms = 0; ms < forMs; ms += FRAME_MS)
    events.push({
      atMs: arrivalMs(ms),
      act: () => {
        if (ms % 1000 === 0) for (const parameterSet of parameterSets) video.packet(ms * 90, parameterSet, false);
        video.packet(ms * 90, ms % 1000 === 0 ? keyFrame : frame);
      },
    });
  for (let ms = 0; ms < forMs; ms += OPUS_MS)
    events.push({
      atMs: arrivalMs(ms + OPUS_MS) + soundLateMs,
      act: () => audio.packet(ms * 48, sound[(ms / OPUS_MS) % sound.length]!, false),
    });
  for (let ms = 400; ms < forMs; ms += 1000) {
    events.push({ atMs: arrivalMs(ms), act: () => video.report(ms, 90_000) });
    events.push({ atMs: arrivalMs(ms) + soundLateMs, act: () => audio.report(ms, 48_000) });
  }
  events.sort((a, b) => a.atMs - b.atMs);
  for (const { atMs, act } of events) {
    const waitMs = atMs - (performance.now() - startMs);
    if (waitMs > 1) await sleep(waitMs);
    act();
  }
  await rendition.close();
  return tags;
}

const isSilence = ({ tag }: { tag: FlvTag }): boolean =>
  tag.type === TAG_AUDIO && !tag.sequenceHeader && tag.data.equals(silence);
const isSound = ({ tag }: { tag: FlvTag }): boolean =>
  tag.type === TAG_AUDIO && !tag.sequenceHeader && !tag.data.equals(silence);
const isMonotonic = (tags: ReadonlyArray<{ tag: FlvTag }>, type: number): boolean => {
  const times = tags.filter(({ tag }) => tag.type === type).map(({ tag }) => tag.timestamp);
  return times.every((time, index) => index === 0 || time >= times[index - 1]!);
};

t.jobs = 4;

t.test('after a loss no frames are sent until the next key frame, which is requested until it arrives', async (t) => {
  const video = new Subscription();
  const stream = new LiveStream('camera', undefined);
  stream.attach(publisher(() => Promise.resolve(video)));
  const rendition = await SourceRendition.create(stream, OPTIONS);
  const out: FlvTag[] = [];
  rendition.on('tags', ({ tags }) => out.push(...tags.filter(({ type }) => type === TAG_VIDEO)));
  let rtpTimestamp = 0;
  const show = (isKey: boolean): void => {
    if (isKey) for (const parameterSet of parameterSets) video.packet(rtpTimestamp, parameterSet, false);
    video.packet(rtpTimestamp, isKey ? keyFrame : frame);
    rtpTimestamp += 20; // less than a millisecond
  };
  [false, true, false].forEach(show);
  video.lose();
  const asked = video.keyFramesAsked;
  show(false);
  await waitFor('a second request for a key frame', () => video.keyFramesAsked > asked + 1);
  [false, true, false].forEach(show);
  await waitFor('frames', () => out.length >= 5);
  t.equal(
    out.map((tag) => (tag.sequenceHeader ? 'header' : tag.keyFrame ? 'key' : 'frame')).join(),
    'header,key,frame,key,frame',
  );
  const shown = out.filter(({ sequenceHeader }) => !sequenceHeader);
  t.ok(
    shown.slice(1).every(({ timestamp }, index) => timestamp > shown[index]!.timestamp),
    'no timestamp occurs twice',
  );

  t.ok(rendition.recent);
  stream.lose(15_000);
  stream.attach(publisher(() => Promise.resolve(new Subscription())));
  t.equal(rendition.recent, undefined, 'frames after a return do not depend on those before');
  stream.lose(15_000);
  const failure = once(rendition, 'failed');
  stream.attach(publisher(() => Promise.resolve(new Subscription()), 'vp8'));
  t.match(await failure, [{ code: 'ENCODER_FAILED' }], 'the codec cannot change');
  await rendition.close();
});

t.test('a publisher that returns and is lost before its tracks can be read does not fail the rendition', async (t) => {
  const stream = new LiveStream('camera', undefined);
  stream.attach(publisher(() => Promise.resolve(new Subscription())));
  const rendition = await SourceRendition.create(stream, OPTIONS);
  const failures: string[] = [];
  rendition.on('failed', (error) => failures.push(error.message));
  const comeBack = async (subscribe: () => Promise<unknown>, stays: boolean): Promise<void> => {
    stream.lose(15_000);
    stream.attach(publisher(subscribe));
    if (!stays) stream.lose(15_000);
    await sleep(0);
  };
  await comeBack(() => Promise.reject(new Error('worker died')), false);
  t.strictSame(failures, []);
  await comeBack(() => Promise.reject(new Error('cannot be read')), true);
  t.strictSame(failures, ['cannot be read']);
  await rendition.close();
});

t.test('an increase of the network delay by 800 ms causes at most two seconds of silence', async (t) => {
  const tags = await publish(9000, (ms) => ms + 20 + 800 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const after = tags.filter(({ atMs }) => atMs > 6500 && atMs < 9000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('an increase of the network delay by 400 ms causes no silence', async (t) => {
  const tags = await publish(6000, (ms) => ms + 20 + 400 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const played = tags.filter(({ atMs }) => atMs > 500 && atMs < 6000);
  t.ok(played.some(isSound));
  t.notOk(played.some(isSilence), `${played.filter(isSilence).length} frames of silence`);
});

t.test('a push that begins during a network stall has audio as soon as it is over', async (t) => {
  const tags = await publish(4000, (ms) => Math.max(ms, 1200) + 20);
  const after = tags.filter(({ atMs }) => atMs > 2200 && atMs < 4000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('audio that sender reports place 700 ms behind video is waited for', async (t) => {
  const tags = await publish(7000, (ms) => ms + 20, 700);
  const after = tags.filter(({ atMs }) => atMs > 5000 && atMs < 7000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO));
});
