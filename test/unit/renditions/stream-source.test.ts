import { once } from 'node:events';
import t from 'tap';
import { parseSps } from '../../../src/media/codecs/avc.ts';
import { TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import type { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { DirectRendition } from '../../../src/renditions/direct-rendition.ts';
import type { SourceFrame } from '../../../src/renditions/media-source.ts';
import { StreamSource } from '../../../src/renditions/stream-source.ts';
import { LiveStream, type Publisher } from '../../../src/streams/live-stream.ts';
import {
  fakePublisher,
  FakeSubscription,
  H264_FRAME,
  H264_KEY_FRAME,
  H264_PARAMETER_SETS,
  VP8_FRAME,
  vp8KeyFrame,
} from '../../helpers/fake-publisher.ts';
import { waitFor } from '../../helpers/wait.ts';

const OPTIONS = { audioBitrate: 128, audioBatchMs: 60, keyFrameIntervalMs: 2000, logger: silentLogger };

interface Read {
  readonly source: StreamSource;
  readonly stream: LiveStream;
  /** What it has emitted since the last call: tags, frames and events. */
  seen(): string[];
  /** Loses the publisher, and attaches another one. */
  resume(publisher: Publisher): Promise<void>;
}

async function read(publisher: Publisher, options: object = {}): Promise<Read> {
  const stream = new LiveStream('camera', undefined);
  stream.attach(publisher);
  const source = await StreamSource.create(stream, { ...OPTIONS, ...options });
  const events: string[] = [];
  source.on('video', ({ sequenceHeader, keyFrame }: FlvTag) =>
    events.push(sequenceHeader ? 'header' : keyFrame ? 'key' : 'frame'),
  );
  source.on('frame', ({ codec, keyFrame }: SourceFrame) => events.push(`${codec} ${keyFrame ? 'key' : 'frame'}`));
  source.on('sized', () => events.push(`${source.metadata.width}x${source.metadata.height}`));
  source.on('resumed', () => events.push(`resumed with ${source.videoCodec}`));
  source.on('failed', ({ code }) => events.push(code));
  return {
    source,
    stream,
    seen: () => events.splice(0),
    async resume(next) {
      stream.lose(15_000);
      stream.attach(next);
      await new Promise(setImmediate);
    },
  };
}

function sendH264(track: FakeSubscription, rtpTimestamp: number, sps: Buffer = H264_PARAMETER_SETS[0]!): void {
  for (const set of [sps, H264_PARAMETER_SETS[1]!]) track.packet(rtpTimestamp, set, false);
  track.packet(rtpTimestamp, H264_KEY_FRAME);
  track.packet(rtpTimestamp + 3000, H264_FRAME);
}

function sendVp8(track: FakeSubscription, rtpTimestamp: number, width: number, height: number): void {
  track.packet(rtpTimestamp, vp8KeyFrame(width, height));
  track.packet(rtpTimestamp + 3000, VP8_FRAME);
}

t.test('the publisher returns with another codec, without video, and with the first codec', async (t) => {
  const first = new FakeSubscription();
  const { source, seen, resume } = await read(fakePublisher({ video: first }));
  sendH264(first, 0);
  t.strictSame(seen(), ['1920x1080', 'header', 'key', 'frame']);
  t.match(source.metadata, { width: 1920, videoCodecId: 7 });
  const keyFrame = source.lastKeyFrame!;
  t.match(keyFrame, { codec: 'h264', size: { width: 1920, height: 1080 } });
  t.ok(keyFrame.data.subarray(-H264_KEY_FRAME.length).equals(H264_KEY_FRAME), 'the bytes of the key frame');
  t.not(source.lastKeyFrame!.data, keyFrame.data, 'a copy that the next key frame does not overwrite');

  const second = new FakeSubscription();
  await resume(fakePublisher({ video: second, videoCodec: 'vp8' }));
  t.strictSame(seen(), ['resumed with vp8']);
  t.equal(source.videoHeader, undefined);
  t.equal(source.metadata.width, undefined, 'the old size says nothing about the new codec');
  t.equal(source.lastKeyFrame, undefined);
  sendVp8(second, 0, 320, 240);
  t.strictSame(seen(), ['320x240', 'vp8 key', 'vp8 frame']);

  await resume(fakePublisher({}));
  t.strictSame(seen(), ['resumed with undefined']);

  const third = new FakeSubscription();
  await resume(fakePublisher({ video: third }));
  sendH264(third, 0);
  t.strictSame(seen(), ['resumed with h264', '1920x1080', 'header', 'key', 'frame'], 'the header is announced again');
  await source.close();
});

t.test('a frame that a pause cuts off is dropped, and video goes on at a key frame', async (t) => {
  const track = new FakeSubscription();
  const { source, seen } = await read(fakePublisher({ video: track }));
  sendH264(track, 0);
  seen();
  track.packet(9000, H264_FRAME, false);
  // The sequence numbers go on without a gap.
  track.emit('interrupted');
  track.packet(270_000, H264_FRAME);
  t.strictSame(seen(), [], 'neither the first slice of a frame nor what refers to it');
  sendH264(track, 273_000);
  t.strictSame(seen(), ['key', 'frame']);
  await source.close();
});

t.test('a return with the same codec and size repeats no header', async (t) => {
  const first = new FakeSubscription();
  const { source, seen, resume } = await read(fakePublisher({ video: first }));
  const times: number[] = [];
  source.on('video', ({ timestamp }) => times.push(timestamp));
  sendH264(first, 0);
  const second = new FakeSubscription();
  await resume(fakePublisher({ video: second }));
  seen();
  sendH264(second, 12_345);
  t.strictSame(seen(), ['key', 'frame']);
  t.ok(
    times.slice(2).every((time, index) => time > times[index + 1]!),
    `time goes on: ${times.join(' ')}`,
  );
  await source.close();
});

t.test('a stream that is held when it is first read may resume with any codec', async (t) => {
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video: new FakeSubscription() }));
  stream.lose(15_000);
  const source = await StreamSource.create(stream, OPTIONS);
  t.equal(source.videoCodec, 'h264');
  const resumed = once(source, 'resumed');
  stream.attach(fakePublisher({ video: new FakeSubscription(), videoCodec: 'vp9' }));
  await resumed;
  t.equal(source.videoCodec, 'vp9');
  await source.close();
});

/** A sequence parameter set of the baseline profile: sizes in macroblocks, and what is cropped on the right and at the bottom, in units of 2 pixels. */
function sps(widthMbs: number, heightMbs: number, crop?: { right: number; bottom: number }): Buffer {
  const ue = (value: number): string => {
    const bits = (value + 1).toString(2);
    return '0'.repeat(bits.length - 1) + bits;
  };
  const cropping = crop ? `1${ue(0)}${ue(crop.right)}${ue(0)}${ue(crop.bottom)}` : '0';
  const bits = `${ue(0)}${ue(0)}${ue(2)}${ue(1)}0${ue(widthMbs - 1)}${ue(heightMbs - 1)}11${cropping}01`;
  const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, '0').match(/.{8}/g)!;
  return Buffer.from([0x67, 66, 0xc0, 51, ...bytes.map((byte) => parseInt(byte, 2))]);
}

t.test('frames above the limit are dropped, and the source fails with a reason', async (t) => {
  t.match(parseSps(sps(40, 30)), { width: 640, height: 480 }, 'the parameter sets of this test are valid');
  for (const [claimed, isAccepted] of [
    ['8192x8192', false],
    ['4096x2304', true],
    ['2304x4096', true],
    ['4096x2400', false],
    ['4112x2304', false],
  ] as const) {
    const [width, height] = claimed.split('x').map(Number) as [number, number];
    for (const videoCodec of ['vp8', 'h264'] as const) {
      const track = new FakeSubscription();
      const { source, stream, seen } = await read(fakePublisher({ video: track, videoCodec }));
      const failed = once(source, 'failed').catch(() => {});
      if (videoCodec === 'vp8') sendVp8(track, 0, width, height);
      else sendH264(track, 0, sps(width / 16, height / 16));
      const frames = videoCodec === 'vp8' ? ['vp8 key', 'vp8 frame'] : ['header', 'key', 'frame'];
      t.strictSame(seen(), isAccepted ? [claimed, ...frames] : ['FRAME_TOO_LARGE'], `${videoCodec} ${claimed}`);
      if (!isAccepted) {
        const [error] = (await failed) as [Error];
        t.match(error.message, `frames of ${claimed}, and at most 4096x2304 are accepted (max_frame_size)`);
        t.equal(stream.frameSize, undefined);
      }
      await source.close();
    }
  }
});

t.test('H.264 is checked before cropping, which saves a decoder no memory', async (t) => {
  const track = new FakeSubscription();
  const { source, seen } = await read(fakePublisher({ video: track }));
  const cropped = sps(512, 512, { right: 4000, bottom: 4000 });
  t.match(parseSps(cropped), { width: 192, height: 192, codedWidth: 8192, codedHeight: 8192 });
  sendH264(track, 0, cropped);
  t.strictSame(seen(), ['FRAME_TOO_LARGE']);
  await source.close();
});

t.test('a limit of 1080 lines accepts the 1088 lines that H.264 codes', async (t) => {
  const track = new FakeSubscription();
  const { source, seen } = await read(fakePublisher({ video: track }), {
    maxFrameSize: { width: 1920, height: 1080 },
  });
  sendH264(track, 0, sps(120, 68, { right: 0, bottom: 4 }));
  t.strictSame(seen(), ['1920x1080', 'header', 'key', 'frame']);
  await source.close();
});

t.test('H.264 with an unreadable parameter set is not passed on', async (t) => {
  const track = new FakeSubscription();
  const { source, seen } = await read(fakePublisher({ video: track }));
  const requested = track.keyFramesRequested;
  sendH264(track, 0, Buffer.from([0x67, 66, 0xc0, 31, 0, 0, 0, 0, 0, 0]));
  t.strictSame(seen(), []);
  t.equal(track.keyFramesRequested, requested, 'the request that was sent at the start is still open');
  await source.close();
});

t.test('after a loss no frame is sent until the next key frame, which is requested until it arrives', async (t) => {
  const video = new FakeSubscription();
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video }));
  const source = await StreamSource.create(stream, OPTIONS);
  const rendition = new DirectRendition(source, () => {
    throw new Error('no video is encoded here');
  });
  const out: FlvTag[] = [];
  let recent: TagGroup | undefined;
  rendition.on('tags', ({ tags }) => {
    out.push(...tags.filter(({ type }) => type === TAG_VIDEO));
    recent = rendition.recent;
  });
  let rtpTimestamp = 0;
  const show = (isKey: boolean): void => {
    if (isKey) for (const set of H264_PARAMETER_SETS) video.packet(rtpTimestamp, set, false);
    video.packet(rtpTimestamp, isKey ? H264_KEY_FRAME : H264_FRAME);
    rtpTimestamp += 20; // less than a millisecond
  };
  [false, true, false].forEach(show);
  video.lose();
  const asked = video.keyFramesRequested;
  show(false);
  await waitFor('a key frame to be requested, and again', () => video.keyFramesRequested > asked + 1, {
    timeout: 60_000,
  });
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

  t.ok(recent);
  stream.lose(15_000);
  stream.attach(fakePublisher({ video: new FakeSubscription() }));
  t.equal(rendition.recent, undefined, 'frames after a return do not refer to those before');
  await rendition.close();
  await source.close();
});

t.test('a publisher that returns and is gone before its tracks can be read is only lost once more', async (t) => {
  const stream = new LiveStream('camera', undefined);
  stream.attach(fakePublisher({ video: new FakeSubscription() }));
  const source = await StreamSource.create(stream, OPTIONS);
  const failures: string[] = [];
  source.on('failed', (error) => failures.push(error.message));
  const comeBack = async (subscribe: () => Promise<unknown>, stays: boolean): Promise<void> => {
    stream.lose(15_000);
    stream.attach(fakePublisher({ video: subscribe }));
    if (!stays) stream.lose(15_000);
    await new Promise(setImmediate);
  };
  await comeBack(() => Promise.reject(new Error('its worker died')), false);
  t.strictSame(failures, []);
  await comeBack(() => Promise.reject(new Error('it cannot be read')), true);
  t.strictSame(failures, ['it cannot be read']);
  await source.close();
});
