import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../../config/schema.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { bitrateForHeight, encodeProfile, type EncodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { LateGroups, type LoadSignal } from '../late-groups.ts';
import { OutputSet } from '../output-set.ts';
import { Ladder, type Rung } from './ladder.ts';
import type { PackagerEnvironment } from './packager.ts';
import { ViewerSessions, type Viewer, type ViewerSession } from './viewer-sessions.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { monotonicMsOf } from '../../runtime/wall-clock.ts';
import { SingleFlight } from '../../runtime/async.ts';

export interface PackagersParts {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly overload: LoadSignal;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Milliseconds of a clock that does not step. */
  readonly now?: () => number;
}

const SWEEP_MS = 1000;
const MEGABYTE = 1024 * 1024;
/** In `state_dir`: the segments that viewers can rewind to. */
const DVR_FOLDER = 'hls-segments';

/** All HLS packagers, one for each stream that has viewers, and the sessions of the viewers. */
export class Packagers {
  readonly sessions: ViewerSessions;
  readonly now: () => number;
  readonly #settings: Pick<
    Settings,
    'hls_always' | 'hls_idle_s' | 'max_hls_streams' | 'hls_ladder' | 'transcoder_video_bitrate'
  >;
  readonly #parts: PackagersParts;
  readonly #environment: PackagerEnvironment;
  readonly #dvrFolder: string;
  /** Ladders that have ended, and whose segments viewers may still ask for. */
  readonly #ended = new Set<Ladder>();
  readonly #outputs: OutputSet<Ladder>;
  readonly #starting = new SingleFlight<string, Ladder>();
  /** When each running ladder was needed last, in milliseconds of {@link now}. */
  readonly #neededMs = new Map<Ladder, number>();
  readonly #timer: NodeJS.Timeout;
  #pastBytes = 0;
  #closed = false;

  private constructor(settings: Settings, parts: PackagersParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.now = parts.now ?? (() => performance.now());
    this.#dvrFolder = join(settings.state_dir, DVR_FOLDER);
    // Of a gateway that was killed.
    if (settings.hls_dvr_s > 0) rmSync(this.#dvrFolder, { recursive: true, force: true });
    const { logger, overload } = parts;
    this.#environment = {
      lateGroups: new LateGroups(overload),
      logger,
      ...(settings.hls_dvr_s > 0 && {
        dvr: {
          dvrMs: settings.hls_dvr_s * 1000,
          folder: this.#dvrFolder,
          minFreeBytes: settings.record_min_free_mb * MEGABYTE,
          logger,
        },
      }),
    };
    this.sessions = new ViewerSessions({
      total: settings.max_hls_viewers,
      perClient: settings.max_hls_viewers_per_client,
    });
    this.#outputs = new OutputSet(parts.registry, { changed: (ladder) => this.#changed(ladder) });
    this.#timer = setInterval(() => this.#sweep(this.now()), SWEEP_MS);
    this.#timer.unref();
    if (settings.hls && settings.hls_always)
      parts.registry.on('started', ({ name }) => {
        this.#ensure(name).catch((error: unknown) => {
          const { code, message } = toGatewayError(error);
          parts.logger.warn({ stream: name, code, reason: message }, 'HLS refused');
        });
      });
  }

  /** Creates the packagers of the gateway from its settings, and registers their metrics. */
  static create(settings: Settings, parts: PackagersParts): Packagers {
    const packagers = new Packagers(settings, parts);
    const { metrics } = parts;
    const running = (): Ladder[] => packagers.#outputs.list();
    metrics.gauge('gateway_hls_streams', 'Streams that are packaged as HLS.', () => running().length);
    metrics.gauge('gateway_hls_lower_qualities', 'Lower qualities of HLS streams that are encoded.', () =>
      running().reduce((sum, { lowerCount }) => sum + lowerCount, 0),
    );
    metrics.gauge('gateway_hls_viewers', 'HLS viewers.', () => packagers.sessions.size);
    metrics.gauge('gateway_hls_memory_bytes', 'Bytes of HLS segments in memory.', () =>
      running().reduce((sum, { bytesHeld }) => sum + bytesHeld, 0),
    );
    metrics.total('gateway_hls_packaged_bytes_total', 'Bytes of HLS segments made, once for all viewers.', () =>
      running().reduce((sum, { counters }) => sum + counters.bytesSent, packagers.#pastBytes),
    );
    return packagers;
  }

  /**
   * Opens a session of a viewer, and starts the ladder of the stream if it does not run.
   *
   * @param endsAt milliseconds since 1970
   * @throws {GatewayError} STREAM_NOT_FOUND, LIMIT_REACHED, OVERLOADED, SHUTTING_DOWN; what encoders throw
   */
  async open(asked: string, streamName: string, endsAt: number | undefined, viewer: Viewer): Promise<ViewerSession> {
    this.sessions.check(viewer);
    const ladder = await this.#ensure(streamName);
    const nowMs = this.now();
    this.#neededMs.set(ladder, nowMs);
    const endsMs = endsAt === undefined ? undefined : monotonicMsOf(endsAt, nowMs);
    return this.sessions.open(asked, ladder, endsMs, nowMs, viewer);
  }

  /** Idempotent. */
  async close(reason: GatewayError): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#starting.settled();
    await this.#outputs.close(reason);
    await Promise.all([...this.#ended].map((ladder) => this.#dispose(ladder)));
    if (this.#environment.dvr) await rm(this.#dvrFolder, { recursive: true, force: true });
  }

  async #ensure(streamName: string): Promise<Ladder> {
    const running = this.#outputs.list().find((ladder) => ladder.streamName === streamName);
    return running ?? this.#starting.run(streamName, () => this.#start(streamName));
  }

  async #start(streamName: string): Promise<Ladder> {
    const { registry, encoders, overload, logger } = this.#parts;
    const { max_hls_streams: max } = this.#settings;
    if (this.#closed) throw shuttingDown();
    const stream = registry.find(streamName);
    if (!stream)
      throw new GatewayError('STREAM_NOT_FOUND', `Stream not found: ${JSON.stringify(streamName)} is not published.`);
    if (overload.overloaded)
      throw new GatewayError(
        'OVERLOADED',
        'The gateway is overloaded and packages no further stream. Try again later.',
      );
    if (this.#outputs.list().length + this.#starting.size >= max)
      throw new GatewayError(
        'LIMIT_REACHED',
        `The gateway already packages ${max} streams as HLS (max_hls_streams). Try again later.`,
      );
    const lease = await encoders.acquire(stream, encodeProfile({}, true, 'aac')).catch((error: unknown) => {
      throw stream.endedBy ?? error;
    });
    if (this.#closed || stream.endedBy) {
      await lease.release();
      throw stream.endedBy ?? shuttingDown();
    }
    const ladder = Ladder.start(streamName, lease, this.#environment, {
      rungs: this.#settings.hls_ladder,
      acquire: (rung) => encoders.acquire(stream, this.#profileOf(rung)),
    });
    this.#neededMs.set(ladder, this.now());
    this.#outputs.add(ladder);
    logger.info({ ladder: ladder.id, stream: streamName }, 'HLS started');
    return ladder;
  }

  /** Without a bitrate of its own where that is the usual one, so that pushes of this height share the encoder. */
  #profileOf({ height, kbps }: Rung): EncodeProfile {
    const usual = this.#settings.transcoder_video_bitrate || bitrateForHeight(height, 30);
    return { ...encodeProfile({ height }, true, 'aac'), ...(kbps !== usual && { bitrate: kbps }) };
  }

  #changed(ladder: Ladder): void {
    if (ladder.status !== 'ended') return;
    this.#neededMs.delete(ladder);
    this.#ended.add(ladder);
    this.#pastBytes += ladder.counters.bytesSent;
    const { code, message } = ladder.failure!;
    this.#parts.logger.info({ ladder: ladder.id, stream: ladder.streamName, code, reason: message }, 'HLS ended');
  }

  async #dispose(ladder: Ladder): Promise<void> {
    this.#ended.delete(ladder);
    await ladder.dispose();
  }

  #sweep(nowMs: number): void {
    this.sessions.sweep(nowMs);
    for (const ladder of this.#ended) if (!this.sessions.isWatched(ladder)) inBackground(this.#dispose(ladder));
    if (this.#settings.hls_always) return;
    for (const [ladder, neededMs] of this.#neededMs) {
      if (this.sessions.isWatched(ladder)) this.#neededMs.set(ladder, nowMs);
      else if (nowMs - neededMs > this.#settings.hls_idle_s * 1000)
        inBackground(ladder.stop(new GatewayError('TERMINATED', 'Nobody watches the stream over HLS.')));
    }
  }
}

const shuttingDown = (): GatewayError => new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
