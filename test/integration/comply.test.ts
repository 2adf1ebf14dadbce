import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import platformsFile from '../../config/platforms.json' with { type: 'json' };
import { GatewayError } from '../../src/errors.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import { PlatformCatalogue } from '../../src/outputs/push/platforms/catalogue.ts';
import { PushPlatforms } from '../../src/outputs/push/platforms/push-platforms.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import type { SoundLibrary } from '../../src/outputs/push/sound-library.ts';
import { TransponderHistory } from '../../src/outputs/push/transponder-history.ts';
import { TransponderManager } from '../../src/outputs/push/transponder-manager.ts';
import { EncoderPool } from '../../src/renditions/encoder-pool.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { SecretBox } from '../../src/store/secret-box.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { fakePublisher, FakeSubscription } from '../helpers/fake-publisher.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recordedUntil } from '../helpers/recording.ts';
import { waitFor } from '../helpers/wait.ts';
import { usualCodecs } from '../helpers/usual-codecs.ts';

const FPS = 30;
const KEY_FRAME_MS = 1000;
const MAX_KBPS = 1000;
const done = new GatewayError('SHUTTING_DOWN', 'done');

/** One second or more of video that can be repeated: it begins with a key frame. */
interface Clip {
  readonly header: FlvTag;
  readonly frames: readonly FlvTag[];
}

async function clip({ kbps, keyEvery, seconds }: { kbps: number; keyEvery: number; seconds: number }): Promise<Clip> {
  const file = await ffmpeg([
    ...['-f', 'lavfi', '-i', `testsrc2=size=320x240:rate=${FPS}:duration=${seconds},noise=alls=30:allf=t`],
    ...[
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-tune',
      'zerolatency',
      '-profile:v',
      'baseline',
      '-pix_fmt',
      'yuv420p',
    ],
    ...[
      '-g',
      String(keyEvery),
      '-sc_threshold',
      '0',
      '-b:v',
      `${kbps}k`,
      '-maxrate',
      `${kbps}k`,
      '-bufsize',
      `${kbps}k`,
    ],
    ...['-f', 'flv', '-'],
  ]);
  const tags = new FlvReader().push(file).filter((tag) => tag.type === TAG_VIDEO && tag.data.length > 5);
  return { header: tags.find((tag) => tag.sequenceHeader)!, frames: tags.filter((tag) => !tag.sequenceHeader) };
}

/** The NAL units of a frame; of a key frame with its parameter sets before. */
function nalUnits(frame: FlvTag, header: FlvTag): Buffer[] {
  const units: Buffer[] = [];
  if (frame.keyFrame) {
    const { data } = header;
    const sps = data.readUInt16BE(11);
    const pps = data.readUInt16BE(13 + sps + 1);
    units.push(data.subarray(13, 13 + sps), data.subarray(16 + sps, 16 + sps + pps));
  }
  for (let at = 5; at + 4 <= frame.data.length;) {
    const end = at + 4 + frame.data.readUInt32BE(at);
    units.push(frame.data.subarray(at + 4, end));
    at = end;
  }
  return units;
}

/** Publishes clips in real time, without obeying requests for key frames. */
class ClipPublisher {
  readonly track = new FakeSubscription();
  #clip: Clip;
  #next = 0;
  #frames = 0;
  readonly #startMs = performance.now();
  readonly #timer = setInterval(() => this.#play(), 10);

  constructor(first: Clip) {
    this.#clip = first;
  }

  /** From the next frame on. */
  show(next: Clip): void {
    this.#clip = next;
    this.#next = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #play(): void {
    while ((this.#frames * 1000) / FPS <= performance.now() - this.#startMs) {
      const frame = this.#clip.frames[this.#next++ % this.#clip.frames.length]!;
      const units = nalUnits(frame, this.#clip.header);
      const rtpTime = Math.round((this.#frames++ * 90_000) / FPS);
      units.forEach((unit, index) => this.track.packet(rtpTime, unit, index === units.length - 1));
    }
  }
}

async function setUp(t: { teardown(end: () => Promise<void>): void }, first: Clip) {
  const nginx = await startNginxRtmp();
  const registry = new StreamRegistry({ resumeWindowMs: 15_000, maxStreams: 1 });
  const encoders = new EncoderPool({
    audioBitrate: 128,
    audioBatchMs: 120,
    videoBitrate: 0,
    keyFrameIntervalMs: KEY_FRAME_MS,
    transcodingDisabled: false,
    maxEncoders: 1,
    logger: silentLogger,
  });
  let skippedMs = 0;
  const ticks = new Set<(nowMs: number) => void>();
  const clock = setInterval(() => ticks.forEach((tick) => tick(Date.now() + skippedMs)), 1000);
  const rule = (check: string, max: number) => ({ check, limit: 'recommended', max, source: 'obs' });
  const catalogue = PlatformCatalogue.create({
    sources: platformsFile.sources,
    platforms: [
      {
        id: 'strict',
        name: 'Strict',
        hosts: { patterns: ['127.0.0.1'], source: 'obs' },
        rules: [rule('keyFrameInterval', 2), rule('videoBitrate', MAX_KBPS)],
      },
    ],
  });
  const manager = new TransponderManager({
    registry,
    encoders,
    sounds: {} as SoundLibrary,
    platforms: new PushPlatforms({
      catalogue,
      everySecond: (tick) => {
        ticks.add(tick);
        return () => ticks.delete(tick);
      },
    }),
    wire: { check: async () => [] },
    addressing: { streamNamePrefix: '', fullUrl: false },
    preserveAspectRatio: true,
    codecs: usualCodecs,
    maxTransponders: 1,
    maxPerStream: 1,
    history: await TransponderHistory.create({
      store: new MemoryStore({ logger: silentLogger }),
      box: SecretBox.withRandomKey(),
      kept: 1,
      logger: silentLogger,
    }),
    autoStartUrl: '',
    logger: silentLogger,
    environment: {
      createPusher: createRtmpPusher(),
      resolve: async () => ({ addresses: ['127.0.0.1'] }),
      retry: { enabled: false, attempts: 0, intervalMs: 1, capMs: 0 },
      outBuffer: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
      pollingMs: 50,
      lateGroups: new LateGroups({ overloaded: false }),
      sendMetadata: true,
      silence: Buffer.alloc(5),
      flashVersion: 'FMLE/3.0',
      stallTimeoutMs: 10_000,
      logger: silentLogger,
      onInvalidTransition: (status, event) => {
        throw new Error(`${status} ${event}`);
      },
    },
  });
  const publisher = new ClipPublisher(first);
  registry.publish('show', fakePublisher({ video: publisher.track }));
  t.teardown(async () => {
    publisher.stop();
    await manager.close(done);
    registry.close(done);
    clearInterval(clock);
    await nginx.stop();
  });
  return { nginx, encoders, manager, publisher, skip: (ms: number) => (skippedMs += ms) };
}

t.test('the publisher leaves the rules and comes back: one connection, no gap, every frame decodes', async (t) => {
  const good = await clip({ kbps: 300, keyEvery: FPS, seconds: 2 });
  const breaches: [string, Clip][] = [
    ['videoBitrate', await clip({ kbps: 2500, keyEvery: FPS, seconds: 2 })],
    ...(process.env['LONG_TESTS']
      ? [['keyFrameInterval', await clip({ kbps: 300, keyEvery: FPS * 5, seconds: 5 })] as [string, Clip]]
      : []),
  ];
  const { nginx, encoders, manager, publisher, skip } = await setUp(t, good);
  const { mediaSessionId } = await manager.start({ streamName: 'show', rtmpUrl: nginx.rtmpUrl, comply: 'auto' });
  const view = () => manager.find({ mediaSessionId })[0]!;
  const states: string[] = [];
  manager.onChange(({ comply }) => {
    if (comply && comply.state !== states.at(-1)) states.push(comply.state);
  });
  const reaches = (state: 'passing' | 'encoding') =>
    waitFor(
      state,
      () => {
        const { comply, status, reason } = view();
        if (comply?.state === state) return true;
        throw new Error(`${status} ${reason} ${JSON.stringify(comply)}`);
      },
      { timeout: 40_000 },
    );
  await waitFor('the push', () => view().status === 'pushing');
  t.match(view(), { platform: 'strict', comply: { mode: 'auto', state: 'passing', because: [] } });
  await sleep(3000);
  t.equal(encoders.counts.videoEncoders, 0);

  for (const [check, bad] of breaches) {
    publisher.show(bad);
    await reaches('encoding');
    t.match(view().comply, { because: [check] });
    t.equal(encoders.counts.videoEncoders, 1);
    await sleep(4000);
    publisher.show(good);
    // What was measured before must have left the window; then the minute of compliance passes.
    await sleep(12_000);
    t.equal(view().comply?.state, 'encoding');
    skip(61_000);
    await reaches('passing');
    await waitFor('the end of the encoder', () => encoders.counts.videoEncoders === 0);
    await sleep(2000);
  }
  t.match(view(), { status: 'pushing', attempt: 0, framesDropped: 0 });
  await manager.terminate(mediaSessionId);

  const file = await findRecording(nginx, 'show');
  const endMs = (await recordedUntil(file)).video;
  await waitFor('the whole recording', async () => (await recordedUntil(file)).video >= endMs);
  const { video, decodeErrors, frames, keyFrameIntervals } = await analyse(file);
  t.strictSame(states, ['passing', ...breaches.flatMap(() => ['encoding', 'passing'])]);
  t.strictSame(video.stepsBack, []);
  t.ok(video.largestGap <= 120, `largest gap ${video.largestGap} ms at ${video.largestGapAt}`);
  t.strictSame(decodeErrors, []);
  t.ok(frames.length >= video.count - 1, `${frames.length} frames of ${video.count}`);
  t.ok(Math.abs(video.count - ((video.last - video.first) * FPS) / 1000) < FPS, `${video.count} frames`);
  t.ok(Math.max(...keyFrameIntervals) > 1900, 'the key frames of the encoding');
  t.equal(nginx.output.match(/publish: name='show'/g)?.length, 1, 'one publish');
});
