import t from 'tap';
import { learnFrameSize } from '../../../src/renditions/frame-size.ts';
import { KeyFrameReader } from '../../../src/renditions/key-frame-reader.ts';
import type { KeyFrame } from '../../../src/renditions/media-source.ts';
import { LiveStream } from '../../../src/streams/live-stream.ts';
import { fakePublisher, FakeSubscription, vp8KeyFrame } from '../../helpers/fake-publisher.ts';

const unread = { lastKeyFrame: () => undefined };

t.test('the size of a stream that is not read is learned, and learned again', async (t) => {
  const track = new FakeSubscription();
  let width = 640;
  let rtpTimestamp = 0;
  track.onKeyFrameRequest = () => setImmediate(() => track.packet((rtpTimestamp += 3000), vp8KeyFrame(width, 360)));
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video: track, videoCodec: 'vp8' }));
  const reader = new KeyFrameReader();
  await Promise.all([learnFrameSize(stream, unread, reader), learnFrameSize(stream, unread, reader)]);
  t.strictSame(stream.frameSize, { width: 640, height: 360 });
  t.equal(track.keyFramesRequested, 1, 'one request for both');
  t.ok(track.closed);
  width = 480;
  await learnFrameSize(stream, unread, reader);
  t.strictSame(stream.frameSize, { width: 480, height: 360 });
});

t.test('a stream that is read anyway, and one without video, cost nothing', async (t) => {
  const track = new FakeSubscription();
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video: track }));
  await learnFrameSize(stream, { lastKeyFrame: () => ({}) as KeyFrame }, new KeyFrameReader());
  t.equal(track.keyFramesRequested, 0);
  const silent = new LiveStream('silent', undefined);
  silent.attach(fakePublisher({}));
  await learnFrameSize(silent, unread, new KeyFrameReader());
});
