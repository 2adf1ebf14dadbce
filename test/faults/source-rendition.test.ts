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

/** What a worker hands on of one track. */
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

  /** A packet that never comes. */
  lose(): void {
    this.#sequence++;
  }

  report(captureMs: number, clockRate: number): void {
    this.emit('senderReport', { ntpMs: 3.9e12 + captureMs, rtpTimestamp: (captureMs * clockRate) / 1000 });
  }
}

const OPTIONS = { audioBitrate: 128, audioBatchMs: 60, keyFrameIntervalMs: 2000, logger: silentLogger };
const program = process.env['OPUS_TO_AAC_BIN'];
/** Where they were built: one is there at once, while an ffmpeg takes seconds to start on a busy machine, and the sound of these tests is timed. */
const sharedEncoders = program
  ? await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: OPTIONS.audioBatchMs, logger: silentLogger })
  : undefined;

/** A publisher of frames alone. */
const publisher = (subscribe: () => Promise<unknown>, codec = 'h264'): Publisher =>
  ({
    id: 'publisher',
    video: { kind: 'video', codec, clockRate: 90_000, subscribe },
    close() {},
  }) as unknown as Publisher;

/**
 * A publisher of H.264 and Opus in real time.
 *
 * @param arrivalMs of what is captured at a time, in milliseconds from the beginning
 * @param soundLateMs by how much sound comes later than the frame of the same moment
 * @returns the tags, with the time when they came
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

t.test('a loss: no frame until the next key frame, which is asked for until it comes', async (t) => {
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
  await waitFor('a key frame to be asked for, and again', () => video.keyFramesAsked > asked + 1);
  [false, true, false].forEach(show);
  await waitFor('frames', () => out.length >= 5);
  t.equal(
    out.map((tag) => (tag.sequenceHeader ? 'header' : tag.keyFrame ? 'key' : 'frame')).join(),
    'header,key,frame,key,frame',
  );
  const shown = out.filter(({ sequenceHeader }) => !sequenceHeader);
  t.ok(
    shown.slice(1).every(({ timestamp }, index) => timestamp > shown[index]!.timestamp),
    'none at the time of another',
  );

  t.ok(rendition.recent);
  stream.lose(15_000);
  stream.attach(publisher(() => Promise.resolve(new Subscription())));
  t.equal(rendition.recent, undefined, 'what comes after a return does not follow from what was before');
  stream.lose(15_000);
  const failure = once(rendition, 'failed');
  stream.attach(publisher(() => Promise.resolve(new Subscription()), 'vp8'));
  t.match(await failure, [{ code: 'ENCODER_FAILED' }], 'nor can it be another codec');
  await rendition.close();
});

t.test('a publisher that comes back and is gone before its tracks can be read was only lost once more', async (t) => {
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
  await comeBack(() => Promise.reject(new Error('its worker died')), false);
  t.strictSame(failures, []);
  await comeBack(() => Promise.reject(new Error('it cannot be read')), true);
  t.strictSame(failures, ['it cannot be read']);
  await rendition.close();
});

t.test('the network takes 800 ms longer than before: silence for two seconds at most', async (t) => {
  const tags = await publish(9000, (ms) => ms + 20 + 800 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const after = tags.filter(({ atMs }) => atMs > 6500 && atMs < 9000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('the network takes 400 ms longer: never silent', async (t) => {
  const tags = await publish(6000, (ms) => ms + 20 + 400 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const played = tags.filter(({ atMs }) => atMs > 500 && atMs < 6000);
  t.ok(played.some(isSound));
  t.notOk(played.some(isSilence), `${played.filter(isSilence).length} frames of silence`);
});

t.test('a push that begins in a stall is heard as soon as it is over', async (t) => {
  const tags = await publish(4000, (ms) => Math.max(ms, 1200) + 20);
  const after = tags.filter(({ atMs }) => atMs > 2200 && atMs < 4000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('sound that reports put 700 ms behind the frame is waited for', async (t) => {
  const tags = await publish(7000, (ms) => ms + 20, 700);
  const after = tags.filter(({ atMs }) => atMs > 5000 && atMs < 7000);
  t.ok(after.some(isSound));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO));
});
