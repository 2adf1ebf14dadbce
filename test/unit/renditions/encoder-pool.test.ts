import { once } from 'node:events';
import t from 'tap';
import type { FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { encodeProfile } from '../../../src/renditions/encode-profile.ts';
import { EncoderPool } from '../../../src/renditions/encoder-pool.ts';
import { LiveStream } from '../../../src/streams/live-stream.ts';
import {
  fakePublisher,
  FakeSubscription,
  H264_FRAME,
  H264_KEY_FRAME,
  H264_PARAMETER_SETS,
  vp8KeyFrame,
} from '../../helpers/fake-publisher.ts';
import { waitFor } from '../../helpers/wait.ts';

const createPool = (overrides: object = {}): EncoderPool =>
  new EncoderPool({
    audioBitrate: 128,
    audioBatchMs: 120,
    videoBitrate: 0,
    keyFrameIntervalMs: 2000,
    transcodingDisabled: false,
    maxEncoders: 1,
    logger: silentLogger,
    ...overrides,
  });

function publish(video: FakeSubscription, videoCodec: 'h264' | 'vp8' = 'h264'): LiveStream {
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video, videoCodec }));
  return stream;
}

function sendH264(track: FakeSubscription): void {
  for (const set of H264_PARAMETER_SETS) track.packet(0, set, false);
  track.packet(0, H264_KEY_FRAME);
}

const direct = encodeProfile({}, true, 'aac');

t.test('frames above the limit end every rendition of the stream with the reason', async (t) => {
  const pool = createPool({ maxEncoders: 2, maxFrameSize: { width: 1280, height: 720 } });
  for (const profile of [direct, encodeProfile({ height: 360 }, true, 'aac')]) {
    const track = new FakeSubscription();
    const { rendition, release } = await pool.acquire(publish(track, 'vp8'), profile);
    const failed = once(rendition, 'failed');
    track.packet(0, vp8KeyFrame(1920, 1080));
    t.match(await failed, [{ code: 'FRAME_TOO_LARGE', message: /1920x1080.*1280x720.*max_frame_size/ }]);
    await release();
  }
  t.strictSame(pool.counts, { sources: 0, videoEncoders: 0 });
});

t.test('a rendition without a profile takes an encoder while the codec needs one', async (t) => {
  const pool = createPool();
  const stream = publish(new FakeSubscription());
  const { rendition, release } = await pool.acquire(stream, direct);
  t.equal(pool.counts.videoEncoders, 0);
  stream.lose(1000);
  stream.attach(fakePublisher({ video: new FakeSubscription(), videoCodec: 'vp8' }));
  t.equal(pool.counts.videoEncoders, 1);
  const other = publish(new FakeSubscription(), 'vp8');
  await t.rejects(pool.acquire(other, direct), { code: 'LIMIT_REACHED' }, 'it counts for other streams');
  stream.lose(1000);
  const track = new FakeSubscription();
  stream.attach(fakePublisher({ video: track }));
  t.equal(pool.counts.videoEncoders, 0);
  await new Promise(setImmediate);
  const tags: FlvTag[] = [];
  rendition.on('tags', (group) => tags.push(...group.tags));
  sendH264(track);
  await waitFor('passed frames', () => tags.some(({ keyFrame }) => keyFrame), { every: 5 });
  await release();
  t.strictSame(pool.counts, { sources: 0, videoEncoders: 0 });
});

t.test(
  'transcoding is disabled, and the publisher returns with VP8: the rendition fails with the reason',
  async (t) => {
    const pool = createPool({ transcodingDisabled: true });
    const stream = publish(new FakeSubscription());
    const { rendition, release } = await pool.acquire(stream, direct);
    const failed = once(rendition, 'failed');
    stream.lose(1000);
    stream.attach(fakePublisher({ video: new FakeSubscription(), videoCodec: 'vp8' }));
    t.match(await failed, [{ code: 'TRANSCODING_DISABLED' }]);
    await release();
  },
);

t.test('the audio codecs of one stream are encoded separately', async (t) => {
  const pool = createPool();
  const stream = publish(new FakeSubscription());
  const aac = await pool.acquire(stream, direct);
  const g711 = await pool.acquire(stream, encodeProfile({}, true, 'pcmu'));
  t.match(aac.rendition.metadata, { audioCodecId: 10, audioSampleRate: 48_000, audioBitrate: 128 });
  t.match(g711.rendition.metadata, { audioCodecId: 8, audioSampleRate: 8000, audioChannels: 1 });
  t.notOk('audioBitrate' in g711.rendition.metadata);
  t.ok(aac.rendition.audioHeader);
  t.equal(g711.rendition.audioHeader, undefined);
  t.equal(pool.counts.sources, 1);
  for (const { release } of [aac, g711]) await release();
  t.equal(pool.counts.sources, 0);
});

t.test('the last key frame of a stream that is read', async (t) => {
  const pool = createPool();
  const track = new FakeSubscription();
  const stream = publish(track);
  t.equal(pool.lastKeyFrame(stream), undefined);
  const { release } = await pool.acquire(stream, direct);
  t.equal(pool.lastKeyFrame(stream), undefined);
  sendH264(track);
  track.packet(3000, H264_FRAME);
  t.match(pool.lastKeyFrame(stream), { codec: 'h264', size: { width: 1920, height: 1080 } });
  await release();
  t.equal(pool.lastKeyFrame(stream), undefined);
});
