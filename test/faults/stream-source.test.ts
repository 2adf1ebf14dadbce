import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { DirectRendition } from '../../src/renditions/direct-rendition.ts';
import { StreamSource } from '../../src/renditions/stream-source.ts';
import { aacFrame, silentAacFrame } from '../../src/media/codecs/aac.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { LiveStream, type Publisher } from '../../src/streams/live-stream.ts';
import {
  fakePublisher,
  FakeSubscription,
  H264_FRAME as frame,
  H264_KEY_FRAME as keyFrame,
  H264_PARAMETER_SETS as parameterSets,
  type Subscribe,
} from '../helpers/fake-publisher.ts';
import { opusPackets } from '../helpers/opus.ts';
import { waitFor } from '../helpers/wait.ts';

const silence = aacFrame(silentAacFrame(2));
const speech = opusPackets('sine=frequency=440', 1);
const OPUS_MS = 20;
const FRAME_MS = 40;

const OPTIONS = { audioBitrate: 128, audioBatchMs: 60, keyFrameIntervalMs: 2000, logger: silentLogger };
const program = process.env['OPUS_TO_AAC_BIN'];
/** Used if they were built: they start at once, while an ffmpeg takes seconds on a busy machine, and the audio of these tests is timed. */
const sharedEncoders = program
  ? await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: OPTIONS.audioBatchMs, logger: silentLogger })
  : undefined;

/** A publisher of video without audio. */
const publisher = (subscribe: Subscribe): Publisher => fakePublisher({ video: subscribe });

const noEncoder = (): never => {
  throw new Error('no video is encoded here');
};

/**
 * A publisher of H.264 and Opus in real time.
 *
 * @param arrivalMs arrival time for a capture time, in milliseconds from the beginning
 * @param audioLateMs how much later audio arrives than the frame of the same moment
 * @returns the tags, with the time of their arrival
 */
async function publish(
  forMs: number,
  arrivalMs: (captureMs: number) => number,
  audioLateMs = 0,
): Promise<Array<{ atMs: number; tag: FlvTag }>> {
  const audio = new FakeSubscription();
  const video = new FakeSubscription();
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ audio, video }));
  const source = await StreamSource.create(stream, { ...OPTIONS, ...(sharedEncoders && { sharedEncoders }) });
  const rendition = new DirectRendition(source, noEncoder);
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
      atMs: arrivalMs(ms + OPUS_MS) + audioLateMs,
      act: () => audio.packet(ms * 48, speech[(ms / OPUS_MS) % speech.length]!, false),
    });
  for (let ms = 400; ms < forMs; ms += 1000) {
    events.push({ atMs: arrivalMs(ms), act: () => video.report(ms, 90_000) });
    events.push({ atMs: arrivalMs(ms) + audioLateMs, act: () => audio.report(ms, 48_000) });
  }
  events.sort((a, b) => a.atMs - b.atMs);
  for (const { atMs, act } of events) {
    const waitMs = atMs - (performance.now() - startMs);
    if (waitMs > 1) await sleep(waitMs);
    act();
  }
  await rendition.close();
  await source.close();
  return tags;
}

const isSilence = ({ tag }: { tag: FlvTag }): boolean =>
  tag.type === TAG_AUDIO && !tag.sequenceHeader && tag.data.equals(silence);
const isAudible = ({ tag }: { tag: FlvTag }): boolean =>
  tag.type === TAG_AUDIO && !tag.sequenceHeader && !tag.data.equals(silence);
const isMonotonic = (tags: ReadonlyArray<{ tag: FlvTag }>, type: number): boolean => {
  const times = tags.filter(({ tag }) => tag.type === type).map(({ tag }) => tag.timestamp);
  return times.every((time, index) => index === 0 || time >= times[index - 1]!);
};

t.jobs = 4;

t.test('after a loss no frame is sent until the next key frame, which is requested until it arrives', async (t) => {
  const video = new FakeSubscription();
  const stream = new LiveStream('camera', undefined);
  stream.attach(publisher(() => Promise.resolve(video)));
  const source = await StreamSource.create(stream, OPTIONS);
  const rendition = new DirectRendition(source, noEncoder);
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
  const asked = video.keyFramesRequested;
  show(false);
  await waitFor('a key frame to be requested, and again', () => video.keyFramesRequested > asked + 1);
  [false, true, false].forEach(show);
  await waitFor('frames', () => out.length >= 5);
  t.equal(
    out.map((tag) => (tag.sequenceHeader ? 'header' : tag.keyFrame ? 'key' : 'frame')).join(),
    'header,key,frame,key,frame',
  );
  const shown = out.filter(({ sequenceHeader }) => !sequenceHeader);
  t.ok(
    shown.slice(1).every(({ timestamp }, index) => timestamp > shown[index]!.timestamp),
    'no two frames have the same time',
  );

  t.ok(rendition.recent);
  stream.lose(15_000);
  stream.attach(publisher(() => Promise.resolve(new FakeSubscription())));
  t.equal(rendition.recent, undefined, 'frames after a return do not refer to those before');
  await rendition.close();
  await source.close();
});

t.test('a publisher that returns and is gone before its tracks can be read is only lost once more', async (t) => {
  const stream = new LiveStream('camera', undefined);
  stream.attach(publisher(() => Promise.resolve(new FakeSubscription())));
  const source = await StreamSource.create(stream, OPTIONS);
  const failures: string[] = [];
  source.on('failed', (error) => failures.push(error.message));
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
  await source.close();
});

t.test('the network delay grows by 800 ms: silence for two seconds at most', async (t) => {
  const tags = await publish(9000, (ms) => ms + 20 + 800 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const after = tags.filter(({ atMs }) => atMs > 6500 && atMs < 9000);
  t.ok(after.some(isAudible));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('the network delay grows by 400 ms: no silence', async (t) => {
  const tags = await publish(6000, (ms) => ms + 20 + 400 * Math.min(1, Math.max(0, (ms - 2500) / 800)));
  const played = tags.filter(({ atMs }) => atMs > 500 && atMs < 6000);
  t.ok(played.some(isAudible));
  t.notOk(played.some(isSilence), `${played.filter(isSilence).length} frames of silence`);
});

t.test('a push that begins during a stall has audio as soon as the stall is over', async (t) => {
  const tags = await publish(4000, (ms) => Math.max(ms, 1200) + 20);
  const after = tags.filter(({ atMs }) => atMs > 2200 && atMs < 4000);
  t.ok(after.some(isAudible));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO) && isMonotonic(tags, TAG_VIDEO));
});

t.test('audio that sender reports place 700 ms behind the video is waited for', async (t) => {
  const tags = await publish(7000, (ms) => ms + 20, 700);
  const after = tags.filter(({ atMs }) => atMs > 5000 && atMs < 7000);
  t.ok(after.some(isAudible));
  t.notOk(after.some(isSilence), `${after.filter(isSilence).length} frames of silence`);
  t.ok(isMonotonic(tags, TAG_AUDIO));
});
