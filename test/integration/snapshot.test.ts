import { execFileSync } from 'node:child_process';
import t from 'tap';
import { TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { KeyFrameReader } from '../../src/renditions/key-frame-reader.ts';
import type { KeyFrame } from '../../src/renditions/media-source.ts';
import { SnapshotService } from '../../src/renditions/snapshot.ts';
import { LiveStream, type FrameSize } from '../../src/streams/live-stream.ts';
import { tickMs } from '../../src/runtime/tick.ts';
import { fakePublisher, FakeSubscription } from '../helpers/fake-publisher.ts';
import { ffprobe } from '../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../helpers/flv-source.ts';

const SIZE = { width: 320, height: 180 };
const IVF_HEADERS = 32 + 12;

/** The first frame of a red clip. */
function encodeFrame(encoder: string): Buffer {
  const args = ['-loglevel', 'error', '-f', 'lavfi', '-i', `color=red:size=${SIZE.width}x${SIZE.height}`];
  const ivf = execFileSync('ffmpeg', [...args, '-frames:v', '1', '-c:v', encoder, '-f', 'ivf', 'pipe:1']);
  return ivf.subarray(IVF_HEADERS);
}

async function h264KeyFrame(): Promise<KeyFrame> {
  const tags = (await createFlvTags({ seconds: 1, size: `${SIZE.width}x${SIZE.height}` })).filter(
    ({ type }) => type === TAG_VIDEO,
  );
  return {
    codec: 'h264',
    size: SIZE,
    header: tags.find(({ sequenceHeader }) => sequenceHeader)!.data,
    data: tags.find(({ keyFrame, sequenceHeader }) => keyFrame && !sequenceHeader)!.data,
    arrivedMs: tickMs(),
  };
}

const service = (lastKeyFrame?: KeyFrame, maxFrameSize?: FrameSize): SnapshotService =>
  new SnapshotService({
    running: { lastKeyFrame: () => lastKeyFrame },
    keyFrames: new KeyFrameReader(),
    ...(maxFrameSize && { maxFrameSize }),
    logger: silentLogger,
  });

const probe = (jpeg: Buffer): Promise<unknown> =>
  ffprobe(['-f', 'jpeg_pipe', '-i', 'pipe:0'], 'stream=codec_name,width,height', jpeg);

t.test('VP8 that is read for the snapshot', async (t) => {
  const track = new FakeSubscription();
  const frame = encodeFrame('libvpx');
  track.onKeyFrameRequest = () => setImmediate(() => track.packet(0, Buffer.concat([Buffer.of(0x10), frame])));
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video: track, videoCodec: 'vp8' }));
  const jpeg = await service().take(stream);
  t.match(await probe(jpeg), { streams: [{ codec_name: 'mjpeg', ...SIZE }] });
  const raw = ['-loglevel', 'error', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
  const [red = 0, green = 0] = execFileSync('ffmpeg', raw, { input: jpeg, maxBuffer: Infinity });
  t.ok(red > 200 && green < 50, `red: ${red}, ${green}`);
  t.strictSame(stream.frameSize, SIZE, 'the size of the stream is known afterwards');
});

t.test('H.264 that is there', async (t) => {
  const jpeg = await service(await h264KeyFrame()).take(new LiveStream('camera', undefined));
  t.match(await probe(jpeg), { streams: [{ codec_name: 'mjpeg', ...SIZE }] });
});

t.test('a decoder refuses what is larger than the limit, should a header not have said so', async (t) => {
  const limit = { width: 64, height: 64 };
  const frames: KeyFrame[] = [
    await h264KeyFrame(),
    { codec: 'vp8', size: SIZE, data: encodeFrame('libvpx'), arrivedMs: tickMs() },
    { codec: 'vp9', size: SIZE, data: encodeFrame('libvpx-vp9'), arrivedMs: tickMs() },
    { codec: 'av1', size: SIZE, data: encodeFrame('libaom-av1'), arrivedMs: tickMs() },
  ];
  for (const frame of frames) {
    const stream = new LiveStream(frame.codec, undefined);
    // Encoding takes longer than a key frame counts as recent.
    const recent = (): KeyFrame => ({ ...frame, arrivedMs: performance.now() });
    await t.rejects(
      service(recent(), limit).take(stream),
      { code: 'ENCODER_FAILED', message: /decoder|larger|limit|ffmpeg/i },
      `${frame.codec} above the limit`,
    );
    t.ok((await service(recent()).take(stream)).length > 100, `${frame.codec} below it`);
  }
});
