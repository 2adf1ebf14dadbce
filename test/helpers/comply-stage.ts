import platformsFile from '../../config/platforms.json' with { type: 'json' };
import { GatewayError } from '../../src/errors.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import type { PushCodecsOptions } from '../../src/outputs/push/codecs/push-codecs.ts';
import { PlatformCatalogue } from '../../src/outputs/push/platforms/catalogue.ts';
import { PushPlatforms } from '../../src/outputs/push/platforms/push-platforms.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import type { SoundLibrary } from '../../src/outputs/push/sound-library.ts';
import { TransponderHistory } from '../../src/outputs/push/transponder-history.ts';
import { TransponderManager } from '../../src/outputs/push/transponder-manager.ts';
import { EncoderPool } from '../../src/renditions/encoder-pool.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { SecretBox } from '../../src/store/secret-box.ts';
import type { VideoCodec } from '../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { fakePublisher, FakeSubscription } from './fake-publisher.ts';
import { usualCodecs } from './usual-codecs.ts';
import { waitFor } from './wait.ts';

/** Pushes to a platform with rules, of a stream whose bitrate and key frames a test chooses. */

export const FPS = 30;
const KEY_FRAME_MS = 1000;
export const MAX_KBPS = 1000;
const done = new GatewayError('SHUTTING_DOWN', 'done');

/** One second or more of video that can be repeated: the RTP payloads of each frame, the first of which is a key frame. */
export type Clip = readonly (readonly Buffer[])[];

/**
 * What an ffmpeg is to encode.
 *
 * @param noise how much of it keeps an encoder from saving bits
 */
export const clipSource = (seconds: number, noise = 30): string[] => [
  ...['-f', 'lavfi', '-i', `testsrc2=size=320x240:rate=${FPS}:duration=${seconds},noise=alls=${noise}:allf=t`],
];

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
      const payloads = this.#clip[this.#next++ % this.#clip.length]!;
      const rtpTime = Math.round((this.#frames++ * 90_000) / FPS);
      payloads.forEach((payload, index) => this.track.packet(rtpTime, payload, index === payloads.length - 1));
    }
  }
}

interface ComplyOptions {
  readonly first: Clip;
  readonly videoCodec: VideoCodec;
  readonly codecs?: PushCodecsOptions;
}

export async function setComplyStage(
  t: { teardown(end: () => Promise<void>): void },
  { first, videoCodec, codecs = usualCodecs }: ComplyOptions,
) {
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
    codecs,
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
  registry.publish('show', fakePublisher({ video: publisher.track, videoCodec }));
  t.teardown(async () => {
    publisher.stop();
    await manager.close(done);
    registry.close(done);
    clearInterval(clock);
  });
  return {
    ...{ encoders, manager, publisher },
    /** Lets the judges of rules believe that time has passed. */
    skip: (ms: number) => (skippedMs += ms),
    /** Waits until a push is sent as it is published, or encoded. */
    reaches: (mediaSessionId: string, state: 'passing' | 'encoding') =>
      waitFor(
        state,
        () => {
          const { comply, status, reason } = manager.find({ mediaSessionId })[0]!;
          if (comply?.state === state) return true;
          throw new Error(`${status} ${reason} ${JSON.stringify(comply)}`);
        },
        { timeout: 40_000 },
      ),
  };
}
