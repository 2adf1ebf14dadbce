import assert from 'node:assert/strict';
import t from 'tap';
import type { Test } from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { AAC_FORMAT } from '../../../../src/renditions/audio-format.ts';
import { EncoderPool } from '../../../../src/renditions/encoder-pool.ts';
import {
  ContinuousRendition,
  type ContinuousRenditionOptions,
} from '../../../../src/renditions/standby/continuous-rendition.ts';
import type { LiveStream } from '../../../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import {
  fakePublisher,
  FakeSubscription,
  H264_FRAME,
  H264_KEY_FRAME,
  H264_PARAMETER_SETS,
} from '../../../helpers/fake-publisher.ts';
import { CLIP_HEADER, CLIP_MARK, FakeStandbyClips } from '../../../helpers/fake-standby-clips.ts';
import { waitFor } from '../../../helpers/wait.ts';

const FROZEN_MARK = 0x99;
/** Of live video. */
const FRAME_MS = 20;
const done = new GatewayError('STREAM_STOPPED', 'done');
const COLOR = { source: 'color', color: '#102030' } as const;

async function setUp(t: Test, options: Partial<ContinuousRenditionOptions> = {}, resumeWindowMs = 60_000) {
  const registry = new StreamRegistry({ resumeWindowMs, maxStreams: 10 });
  const encoders = new EncoderPool({
    audioBitrate: 128,
    audioBatchMs: 40,
    videoBitrate: 0,
    keyFrameIntervalMs: 2000,
    transcodingDisabled: true,
    maxEncoders: 1,
    logger: silentLogger,
  });
  const clips = new FakeStandbyClips();
  const timers: NodeJS.Timeout[] = [];
  let rendition: ContinuousRendition | undefined;
  t.teardown(async () => {
    for (const timer of timers) clearInterval(timer);
    await rendition?.close();
    registry.close(done);
    assert.deepEqual(encoders.counts, { sources: 0, videoEncoders: 0 }, 'everything is released');
    assert.equal(registry.listenerCount('started'), 0);
  });
  const tags: FlvTag[] = [];
  return {
    registry,
    encoders,
    clips,
    tags,
    /** Publishes 50 frames per second, with key frames on request. */
    publish(key?: string): { stream: LiveStream; publisher: ReturnType<typeof fakePublisher>; stopVideo(): void } {
      const video = new FakeSubscription();
      let wantsKeyFrame = false;
      video.onKeyFrameRequest = () => (wantsKeyFrame = true);
      const start = performance.now();
      let sent = 0;
      const timer = setInterval(() => {
        // A late timer makes frames late, not fewer.
        for (; sent * FRAME_MS <= performance.now() - start; sent++) {
          const timestamp = sent * FRAME_MS * 90;
          if (wantsKeyFrame) {
            for (const set of H264_PARAMETER_SETS) video.packet(timestamp, set, false);
            video.packet(timestamp, H264_KEY_FRAME);
          } else video.packet(timestamp, H264_FRAME);
          wantsKeyFrame = false;
        }
      }, FRAME_MS);
      timers.push(timer);
      const publisher = fakePublisher({ video });
      return { stream: registry.publish('show', publisher, key), publisher, stopVideo: () => clearInterval(timer) };
    },
    async start(): Promise<ContinuousRendition> {
      rendition = await ContinuousRendition.create({
        streamName: 'show',
        profile: { audioCodec: 'aac' },
        freezeMs: 300,
        picture: COLOR,
        holdMs: 0,
        keyFrameIntervalMs: 1000,
        registry,
        acquire: (stream) => encoders.acquire(stream, { audioCodec: 'aac' }),
        audio: AAC_FORMAT,
        clips,
        freezeFrames: () => ({ next: () => Buffer.of(0x27, 1, 0, 0, 0, FROZEN_MARK) }),
        logger: silentLogger,
        ...options,
      });
      let header: FlvTag | undefined;
      rendition.on('format', () => (header = rendition!.videoHeader));
      rendition.on('tags', (group) => {
        for (const tag of group.tags)
          if (tag.type === TAG_VIDEO && tag.sequenceHeader) t.equal(tag, header, 'a header is announced by `format`');
        tags.push(...group.tags);
      });
      return rendition;
    },
    marks: (): number[] => tags.filter(({ type }) => type === TAG_VIDEO).map(({ data }) => data.at(-1)!),
  };
}

t.test('follows the stream of its name from publisher to publisher', async (t) => {
  // A process that stands still for a while is no camera that has stopped.
  const stage = await setUp(t, { freezeMs: 2000 });
  const first = stage.publish();
  const rendition = await stage.start();
  await waitFor('live frames', () => stage.marks().length > 30);
  t.equal(rendition.standby, undefined);
  t.equal(rendition.absence, undefined);
  t.match(rendition.metadata, { width: 1920, height: 1080, audioCodecId: 10 });
  t.equal(rendition.audioHeader?.data, AAC_FORMAT.header);
  const changes: unknown[] = [];
  rendition.changes.on('change', () => changes.push(rendition.standby?.picture));
  await waitFor('a clip', () => stage.clips.orders.length > 0);
  t.match(stage.clips.orders[0], {
    picture: COLOR,
    format: { width: 1920, height: 1080, fps: Number, keyFrameIntervalMs: 1000 },
  });

  stage.registry.end(first.stream, done);
  t.ok(rendition.absence?.since);
  t.match(rendition.standby, { reason: 'publisher', picture: 'freeze' });
  await waitFor('the encoder to end', () => stage.encoders.counts.sources === 0);
  await waitFor('the clip', () => stage.marks().at(-1) === CLIP_MARK);
  await waitFor('its report', () => rendition.standby?.picture === 'color');
  t.ok(stage.marks().includes(FROZEN_MARK));
  t.equal(rendition.videoHeader?.data, CLIP_HEADER);
  t.equal(rendition.recent, undefined);
  const before = stage.tags.length;
  rendition.requestKeyFrame();
  await waitFor('a key frame', () => stage.tags.slice(before).some(({ keyFrame }) => keyFrame));

  stage.publish();
  await waitFor('live frames', () => rendition.standby === undefined && stage.marks().at(-1) === 0x55);
  t.equal(rendition.absence, undefined);
  t.strictSame(changes.at(-1), undefined);
  await waitFor('recent tags', () => {
    rendition.requestKeyFrame();
    return rendition.recent;
  });
  const { recent } = rendition;
  t.ok(
    recent!.tags.every(({ timestamp }) => Math.abs(timestamp - stage.tags.at(-1)!.timestamp) < 1500),
    'on the same clock',
  );
  const times = stage.tags.filter(({ type }) => type === TAG_VIDEO).map(({ timestamp }) => timestamp);
  t.strictSame(
    times,
    [...times].sort((a, b) => a - b),
  );
  const gaps = stage.tags
    .filter(({ type }) => type === TAG_AUDIO)
    .map(({ timestamp }, index, all) => timestamp - (all[index - 1]?.timestamp ?? timestamp - 21));
  t.ok(Math.max(...gaps) < 34, `audio without holes: ${Math.max(...gaps)} ms`);
});

t.test('a held stream, and a publisher that returns to it', async (t) => {
  const stage = await setUp(t);
  const { stream, publisher } = stage.publish('key');
  const rendition = await stage.start();
  await waitFor('live frames', () => stage.marks().length > 10);
  stage.registry.lose(stream, publisher);
  t.match(rendition.standby, { reason: 'publisher' });
  await waitFor('the clip', () => stage.marks().at(-1) === CLIP_MARK);
  stage.publish('key');
  t.equal(rendition.absence, undefined);
  await waitFor('live frames', () => rendition.standby === undefined && stage.marks().at(-1) === 0x55);
});

t.test('a camera that stops', async (t) => {
  const stage = await setUp(t);
  const { stopVideo } = stage.publish();
  const rendition = await stage.start();
  await waitFor('live frames', () => stage.marks().length > 10);
  stopVideo();
  await waitFor('the clip', () => stage.marks().at(-1) === CLIP_MARK);
  await waitFor('its report', () => rendition.standby !== undefined);
  t.match(rendition.standby, { reason: 'video', picture: 'color' });
  t.equal(rendition.absence, undefined);
});

t.test('a publisher without a camera', async (t) => {
  const stage = await setUp(t);
  stage.registry.publish('show', fakePublisher({ audio: new FakeSubscription() }));
  const rendition = await stage.start();
  t.ok(rendition.hasVideo);
  await waitFor('the clip', () => stage.marks().at(-1) === CLIP_MARK);
  await waitFor('its report', () => rendition.standby !== undefined);
  t.match(rendition.standby, { reason: 'video', picture: 'color' });
  // A stream of audio alone, whose push has no picture either, misses nothing.
  rendition.changePicture(undefined);
  await waitFor('the end of standby', () => rendition.standby === undefined);
  t.equal(rendition.hasVideo, false);
});

t.test('begins before anybody publishes', async (t) => {
  const stage = await setUp(t);
  const rendition = await stage.start();
  t.match(rendition.standby, { reason: 'publisher' });
  t.ok(rendition.hasVideo);
  await waitFor('the clip', () => stage.marks().at(-1) === CLIP_MARK);
  t.match(stage.clips.orders, [{ format: { width: 1280, height: 720, fps: 30 } }]);
  t.match(rendition.metadata, { width: 1280, height: 720, frameRate: 30 });
  stage.publish();
  await waitFor('live frames', () => stage.marks().at(-1) === 0x55);
});

t.test('ends when the hold time is over', async (t) => {
  const stage = await setUp(t, { holdMs: 300 });
  const { stream } = stage.publish();
  const rendition = await stage.start();
  let failure: GatewayError | undefined;
  rendition.on('failed', (error) => (failure = error));
  stage.registry.end(stream, done);
  const { since, until } = rendition.absence!;
  t.equal(until!.getTime() - since.getTime(), 300);
  const back = stage.publish();
  await new Promise((resolve) => setTimeout(resolve, 400));
  t.equal(failure, undefined, 'the publisher was back in time');
  stage.registry.end(back.stream, done);
  await waitFor('the end', () => failure);
  t.equal(failure!.code, 'PUBLISHER_LOST');
});

t.test('the hold time ends while the live rendition is waited for: creating it fails with the reason', async (t) => {
  const acquiring = Promise.withResolvers<never>();
  const stage = await setUp(t, { holdMs: 20, acquire: () => acquiring.promise });
  const { stream } = stage.publish();
  const starting = stage.start();
  stage.registry.end(stream, done);
  setTimeout(() => acquiring.resolve({ rendition: {}, release: async () => {} } as never), 100);
  await t.rejects(starting, { code: 'PUBLISHER_LOST' });
});

t.test('the hold time goes on after a restart', async (t) => {
  const awaySince = new Date(Date.now() - 58_000);
  const stage = await setUp(t, { holdMs: 60_000, awaySince });
  const rendition = await stage.start();
  t.equal(rendition.absence!.since, awaySince);
  const failed = new Promise<GatewayError>((resolve) => rendition.once('failed', resolve));
  t.equal((await failed).code, 'PUBLISHER_LOST');
});

t.test('by hand, and with another picture', async (t) => {
  const stage = await setUp(t);
  stage.publish();
  const rendition = await stage.start();
  await waitFor('a clip', () => stage.clips.orders.length === 1);
  rendition.hold(true);
  t.match(rendition.standby, { reason: 'manual', picture: 'color' });
  rendition.changePicture({ source: 'image', file: 'a.png' });
  await waitFor('the picture', () => rendition.standby?.picture === 'image');
  t.match(stage.clips.orders[1]!.format, stage.clips.orders[0]!.format);
  rendition.changePicture(undefined);
  t.match(rendition.standby, { reason: 'manual', picture: 'none' });
  const { length } = stage.marks();
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.equal(stage.marks().length, length, 'no video');
  rendition.hold(false);
  await waitFor('live frames', () => rendition.standby === undefined && stage.marks().at(-1) === 0x55);
});

t.test('a live stream that cannot be used, and a clip that cannot be encoded', async (t) => {
  const stage = await setUp(t);
  const rendition = await stage.start();
  stage.clips.fail = new GatewayError('ENCODER_FAILED', 'broken');
  rendition.changePicture({ source: 'image', file: 'b.png' });
  stage.registry.publish('show', fakePublisher({ video: new FakeSubscription(), videoCodec: 'vp8' }));
  await waitFor('the failure', () => rendition.failure);
  t.equal(rendition.failure!.code, 'TRANSCODING_DISABLED');
  t.match(rendition.standby, { reason: 'video' });
  await t.rejects(
    ContinuousRendition.create({
      streamName: 'show',
      profile: { audioCodec: 'aac' },
      freezeMs: 0,
      holdMs: 0,
      keyFrameIntervalMs: 1000,
      registry: stage.registry,
      acquire: (stream) => stage.encoders.acquire(stream, { audioCodec: 'aac' }),
      audio: AAC_FORMAT,
      clips: stage.clips,
      freezeFrames: () => undefined,
      logger: silentLogger,
    }),
    { code: 'TRANSCODING_DISABLED' },
    'at the start it is an error',
  );
  await rendition.close();
});
