import type { Settings } from '../../config/schema.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { encodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { LateGroups, type LoadSignal } from '../late-groups.ts';
import { OutputSet } from '../output-set.ts';
import { Packager } from './packager.ts';
import { ViewerSessions, type ViewerSession } from './viewer-sessions.ts';

export interface PackagersParts {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly overload: LoadSignal;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const SWEEP_MS = 1000;

/** All HLS packagers, one for each stream that has viewers, and the sessions of the viewers. */
export class Packagers {
  readonly sessions: ViewerSessions;
  readonly #settings: Pick<Settings, 'hls_always' | 'hls_idle_s' | 'max_hls_streams'>;
  readonly #parts: PackagersParts;
  readonly #lateGroups: LateGroups;
  readonly #outputs: OutputSet<Packager>;
  readonly #starting = new Map<string, Promise<Packager>>();
  /** When each running packager was needed last. */
  readonly #neededMs = new Map<Packager, number>();
  readonly #timer: NodeJS.Timeout;
  #pastBytes = 0;
  #closed = false;

  private constructor(settings: Settings, parts: PackagersParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#lateGroups = new LateGroups(parts.overload);
    this.sessions = new ViewerSessions(settings.max_hls_viewers);
    this.#outputs = new OutputSet(parts.registry, { changed: (packager) => this.#changed(packager) });
    this.#timer = setInterval(() => this.#sweep(Date.now()), SWEEP_MS);
    this.#timer.unref();
    if (settings.hls && settings.hls_always)
      parts.registry.on('started', ({ name }) => {
        this.#ensure(name).catch((error: unknown) => {
          const { code, message } = toGatewayError(error);
          parts.logger.warn({ stream: name, code, reason: message }, 'HLS packager refused');
        });
      });
  }

  /** Creates the packagers of the gateway from its settings, and registers their metrics. */
  static create(settings: Settings, parts: PackagersParts): Packagers {
    const packagers = new Packagers(settings, parts);
    const { metrics } = parts;
    const running = (): Packager[] => packagers.#outputs.list();
    metrics.gauge('gateway_hls_streams', 'Streams that are packaged as HLS.', () => running().length);
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
   * Opens a session of a viewer, and starts the packager of the stream if it does not run.
   *
   * @throws {GatewayError} STREAM_NOT_FOUND, LIMIT_REACHED, OVERLOADED, SHUTTING_DOWN; what encoders throw
   */
  async open(asked: string, streamName: string, endsAt: number | undefined): Promise<ViewerSession> {
    this.sessions.check();
    const packager = await this.#ensure(streamName);
    this.#neededMs.set(packager, Date.now());
    return this.sessions.open(asked, packager, endsAt, Date.now());
  }

  /** Idempotent. */
  async close(reason: GatewayError): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.allSettled(this.#starting.values());
    await this.#outputs.close(reason);
  }

  async #ensure(streamName: string): Promise<Packager> {
    const running = this.#outputs.list().find((packager) => packager.streamName === streamName);
    if (running) return running;
    let starting = this.#starting.get(streamName);
    if (!starting) {
      starting = this.#start(streamName).finally(() => this.#starting.delete(streamName));
      this.#starting.set(streamName, starting);
    }
    return starting;
  }

  async #start(streamName: string): Promise<Packager> {
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
    const packager = Packager.start(streamName, lease, { lateGroups: this.#lateGroups, logger });
    this.#neededMs.set(packager, Date.now());
    this.#outputs.add(packager);
    logger.info({ packager: packager.id, stream: streamName }, 'HLS started');
    return packager;
  }

  #changed(packager: Packager): void {
    if (packager.status !== 'ended') return;
    this.#neededMs.delete(packager);
    this.#pastBytes += packager.counters.bytesSent;
    const { code, message } = packager.failure!;
    this.#parts.logger.info({ packager: packager.id, stream: packager.streamName, code, reason: message }, 'HLS ended');
  }

  #sweep(nowMs: number): void {
    this.sessions.sweep(nowMs);
    if (this.#settings.hls_always) return;
    for (const [packager, neededMs] of this.#neededMs) {
      if (this.sessions.isWatched(packager)) this.#neededMs.set(packager, nowMs);
      else if (nowMs - neededMs > this.#settings.hls_idle_s * 1000)
        void packager.stop(new GatewayError('TERMINATED', 'Nobody watches the stream over HLS.'));
    }
  }
}

const shuttingDown = (): GatewayError => new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
