import { EventEmitter, once } from 'node:events';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { DirectRendition } from '../../../src/renditions/direct-rendition.ts';
import type { MediaSource, MediaSourceEvents } from '../../../src/renditions/media-source.ts';
import type { VideoTranscoder } from '../../../src/renditions/video-transcoder.ts';
import type { VideoCodec } from '../../../src/streams/live-stream.ts';

class FakeSource extends EventEmitter<MediaSourceEvents> implements MediaSource {
  metadata = { width: 640, height: 480 };
  videoHeader: FlvTag | undefined;
  readonly audioHeader = undefined;
  videoCodec: VideoCodec | undefined = 'h264';
  frameRate: number | undefined;
  requestKeyFrame(): void {}

  resume(codec: VideoCodec | undefined): void {
    this.videoCodec = codec;
    this.emit('resumed');
  }
}

class FakeTranscoder extends EventEmitter {
  readonly metadata = { width: 320, height: 240 };
  readonly videoHeader = video(0, { sequenceHeader: true });
  closed = false;
  async close(): Promise<void> {
    this.closed = true;
  }
}

const video = (timestamp: number, extra: Partial<FlvTag> = {}): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.alloc(1),
  keyFrame: false,
  sequenceHeader: false,
  ...extra,
});
const audio = (timestamp: number): FlvTag => ({ ...video(timestamp), type: TAG_AUDIO });

function setUp(source = new FakeSource(), passes?: 'vp8' | 'vp9' | 'av1') {
  const transcoders: FakeTranscoder[] = [];
  let refusal: GatewayError | undefined;
  const rendition = new DirectRendition(
    source,
    () => {
      if (refusal) throw refusal;
      const transcoder = new FakeTranscoder();
      transcoders.push(transcoder);
      return transcoder as unknown as VideoTranscoder;
    },
    passes,
  );
  const events: string[] = [];
  rendition.on('format', () => events.push('format'));
  rendition.on('tags', ({ tags }) =>
    events.push(tags.map(({ type, timestamp }) => `${type === TAG_AUDIO ? 'A' : 'V'}${timestamp}`).join(' ')),
  );
  return {
    source,
    rendition,
    transcoders,
    refuse: (error: GatewayError) => (refusal = error),
    /** What it has emitted at the end of this tick. */
    seen: async (): Promise<string[]> => {
      await new Promise(setImmediate);
      return events.splice(0);
    },
  };
}

t.test('frames do not wait for each other, however many outputs there are', async (t) => {
  const { source, rendition, seen } = setUp();
  for (let count = 0; count < 100; count++) rendition.on('tags', () => {});
  source.emit('video', video(0, { keyFrame: true }));
  t.strictSame(await seen(), ['V0']);
  for (const ms of [33, 66]) {
    source.emit('audio', audio(ms - 10));
    source.emit('video', video(ms));
    t.strictSame(await seen(), [`A${ms - 10} V${ms}`]);
  }
  await rendition.close();
});

t.test('a new sequence header is announced before its tags', async (t) => {
  const { source, rendition, seen } = setUp();
  source.emit('video', video(0, { sequenceHeader: true }));
  source.emit('audio', audio(0));
  source.emit('video', video(0, { keyFrame: true }));
  t.strictSame(await seen(), ['format', 'V0 A0 V0']);
  source.emit('video', video(40));
  t.strictSame(await seen(), ['V40']);
  await rendition.close();
});

t.test('another codec is encoded while it lasts, in the same rendition', async (t) => {
  const { source, rendition, transcoders, seen } = setUp();
  rendition.on('failed', (error) => t.fail(error.message));
  source.emit('video', video(0, { keyFrame: true }));
  await seen();

  source.resume('vp8');
  t.equal(transcoders.length, 1);
  source.emit('audio', audio(900));
  t.strictSame(await seen(), [], 'audio comes through the encoder');
  transcoders[0]!.emit(
    'tags',
    new TagGroup([video(1000, { sequenceHeader: true }), video(1000, { keyFrame: true }), audio(1000)]),
  );
  t.strictSame(await seen(), ['format', 'V1000 V1000 A1000']);
  t.match(rendition.metadata, { width: 320 });
  t.ok(rendition.videoHeader);

  source.resume('vp8');
  t.equal(transcoders.length, 1, 'the same codec again: the same encoder');

  source.resume('h264');
  t.ok(transcoders[0]!.closed);
  transcoders[0]!.emit('tags', new TagGroup([video(1500)]));
  source.emit('video', video(2000, { keyFrame: true }));
  t.strictSame(await seen(), ['V2000'], 'nothing from the old encoder');
  await rendition.close();
});

t.test('the frame rate of frames that are passed through is announced once it is known', async (t) => {
  const source = new FakeSource();
  source.videoCodec = 'vp8';
  const { rendition, seen } = setUp(source, 'vp8');
  const frame = (timestamp: number) =>
    source.emit('frame', { codec: 'vp8', data: Buffer.from([0x10, 0, 0]), keyFrame: timestamp === 0, timestamp });
  frame(0);
  t.strictSame(await seen(), ['format', 'V0 V0'], 'its sequence header');
  t.notOk('frameRate' in rendition.metadata);
  source.frameRate = 29.97;
  frame(33);
  frame(66);
  t.strictSame(await seen(), ['format', 'V33 V66']);
  t.match(rendition.metadata, { frameRate: 30 });
  source.frameRate = undefined;
  source.resume('vp8');
  frame(100);
  source.frameRate = 15;
  frame(133);
  t.equal((await seen()).filter((event) => event === 'format').length, 1, 'again for the publisher that returns');
  t.match(rendition.metadata, { frameRate: 15 });
  await rendition.close();
});

t.test('video is removed and added', async (t) => {
  const { source, rendition, seen } = setUp();
  source.resume(undefined);
  t.notOk(rendition.hasVideo);
  source.emit('audio', audio(100));
  t.strictSame(await seen(), ['format', 'A100'], 'audio goes on and waits for no frame');
  source.resume('h264');
  t.ok(rendition.hasVideo);
  t.strictSame(await seen(), ['format']);
  await rendition.close();
});

t.test('no encoder is free for the new codec: the rendition fails with the reason', async (t) => {
  const { source, rendition, refuse } = setUp();
  refuse(new GatewayError('LIMIT_REACHED', 'All 1 video encoders are in use (max_encoders).'));
  const failed = once(rendition, 'failed');
  source.resume('vp8');
  t.match(await failed, [{ code: 'LIMIT_REACHED' }]);
  await rendition.close();
});

t.test('a closed rendition sends nothing and closes its encoder', async (t) => {
  const { source, rendition, transcoders, seen } = setUp();
  source.resume('vp8');
  await seen();
  await rendition.close();
  await rendition.close();
  t.ok(transcoders[0]!.closed);
  for (const event of ['audio', 'video', 'resumed', 'failed'] as const) t.equal(source.listenerCount(event), 0);
});

/** Frames of VP8: all that its sequence header has of one is the version. */
const vp8 = (timestamp: number, keyFrame = false, version = 0) =>
  ({ codec: 'vp8', timestamp, keyFrame, data: Buffer.of((version << 1) | (keyFrame ? 0 : 1), 1, 2, 3) }) as const;

t.test('frames of a second codec are passed through, with a sequence header when its bytes change', async (t) => {
  const source = new FakeSource();
  source.videoCodec = 'vp8';
  const { rendition, transcoders, seen } = setUp(source, 'vp8');
  const bodies: string[] = [];
  rendition.on('tags', ({ tags }) =>
    bodies.push(...tags.filter(({ type }) => type === TAG_VIDEO).map(({ data }) => data.toString('latin1', 0, 5))),
  );
  source.emit('frame', vp8(0));
  t.strictSame(await seen(), [], 'nothing before the first key frame');
  source.emit('frame', vp8(33, true));
  t.strictSame(await seen(), ['format', 'V33 V33']);
  source.emit('audio', audio(40));
  source.emit('frame', vp8(66));
  t.strictSame(await seen(), ['A40 V66'], 'audio goes out with the next frame');
  source.emit('frame', vp8(99, true));
  t.strictSame(await seen(), ['V99'], 'the same header is not sent again');
  source.emit('frame', vp8(132, true, 1));
  t.strictSame(await seen(), ['format', 'V132 V132']);
  t.strictSame(bodies, ['\x90vp08', '\x91vp08', '\xa1vp08', '\x91vp08', '\x90vp08', '\x91vp08']);
  t.match(rendition.metadata, { videoCodecId: 0x76703038, width: 640, height: 480 });
  t.ok(rendition.videoHeader?.sequenceHeader);
  t.strictSame(transcoders, []);

  source.metadata = { width: 320, height: 240 };
  source.emit('sized');
  source.emit('frame', vp8(165, true, 1));
  t.strictSame(await seen(), ['format', 'V165'], 'another size is told without a header');

  source.resume('vp9');
  t.equal(transcoders.length, 1, 'a third codec is encoded');
  source.emit('frame', { ...vp8(200, true), codec: 'vp9' });
  t.strictSame(await seen(), []);
  source.resume('vp8');
  t.ok(transcoders[0]!.closed);
  source.emit('frame', vp8(300, true, 1));
  t.strictSame(await seen(), ['format', 'V300 V300'], 'the header is announced again');
  await rendition.close();
});

t.test('a key frame that cannot be read ends the rendition', async (t) => {
  const source = new FakeSource();
  source.videoCodec = 'av1';
  const { rendition } = setUp(source, 'av1');
  const failed = once(rendition, 'failed');
  source.emit('frame', { codec: 'av1', timestamp: 0, keyFrame: true, data: Buffer.of(0x12, 0) });
  t.match((await failed)[0], { code: 'ENCODER_FAILED' });
  await rendition.close();
});
