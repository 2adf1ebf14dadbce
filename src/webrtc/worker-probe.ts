import type { types } from 'mediasoup';
import type { Logger } from '../observe/logger.ts';
import type { WorkerLoad } from '../runtime/overload-state.ts';
import { QueueDelay } from '../runtime/queue-delay.ts';
import { VideoGate } from './video-gate.ts';

export interface WorkerProbeOptions {
  readonly worker: Pick<types.Worker, 'getResourceUsage' | 'pid'>;
  /** Whether media can flow; without, nothing is measured, so that an idle gateway is not woken. */
  readonly isBusy: () => boolean;
  readonly logger: Logger;
}

/** Milliseconds between two probes. */
export const PROBE_MS = 500;
/** Video that the gateway reads later than this is dropped. Milliseconds. */
const LATE_MS = 1000;
/** Once video is dropped, all of it is until packets wait less than this. Milliseconds. */
const RECOVERED_MS = 250;

/**
 * Measures how long packets wait between a mediasoup worker and the gateway: its answers come through the same pipe.
 * When the gateway does not keep up, the worker queues packets in its memory without a limit. So video tracks are
 * paused in the worker ({@link VideoGate}), and late video that is queued already is read and dropped, of all streams
 * alike, which costs little; audio stays.
 */
export class WorkerProbe {
  readonly #options: WorkerProbeOptions;
  /** The video tracks that are read from the worker. */
  readonly gate: VideoGate;
  readonly #delay = new QueueDelay({ lateMs: LATE_MS, recoveredMs: RECOVERED_MS });
  readonly #timer: NodeJS.Timeout;
  #cpuShare = 0;
  #usage: { readonly atMs: number; readonly cpuMs: number } | undefined;
  #dropped = 0;
  #droppedBefore = 0;
  #isDropping = false;

  constructor(options: WorkerProbeOptions) {
    this.#options = options;
    this.gate = new VideoGate(options.logger.child({ pid: options.worker.pid }));
    this.#timer = setInterval(() => this.#probe(), PROBE_MS).unref();
  }

  get load(): WorkerLoad {
    return {
      delayMs: this.#delay.delayMs(performance.now()),
      cpuShare: this.#cpuShare,
      pausedTracks: this.gate.paused,
    };
  }

  /** Packets that were dropped because they were read too late. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether a video packet that is read now is to be dropped; counts it. */
  drops(nowMs: number): boolean {
    const isLate = this.#delay.isLate(nowMs);
    if (isLate !== this.#isDropping) this.#changed(isLate, nowMs);
    if (isLate) this.#dropped++;
    return isLate;
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#delay.reset();
  }

  #changed(isDropping: boolean, nowMs: number): void {
    this.#isDropping = isDropping;
    const { logger, worker } = this.#options;
    if (isDropping) {
      this.#droppedBefore = this.#dropped;
      logger.warn(
        { pid: worker.pid, delayMs: Math.round(this.#delay.delayMs(nowMs)) },
        'video is late and dropped: the gateway does not keep up with its media worker',
      );
    } else logger.info({ pid: worker.pid, packets: this.#dropped - this.#droppedBefore }, 'video is no longer dropped');
  }

  #probe(): void {
    const nowMs = performance.now();
    if (!this.#options.isBusy()) {
      this.#usage = undefined;
      this.#cpuShare = 0;
      return this.gate.update({ waitingMs: 0, delayMs: 0, nowMs });
    }
    this.gate.update({ waitingMs: this.#delay.waitingMs(nowMs), delayMs: this.#delay.delayMs(nowMs), nowMs });
    this.#delay.sent(nowMs);
    this.#options.worker.getResourceUsage().then(
      // mediasoup emits packets in immediates, unless the gateway reads the pipe itself: those that were written before
      // the answer are emitted before this one.
      ({ ru_utime: user, ru_stime: system }) => setImmediate(() => this.#answered(user + system)),
      () => this.close(), // The worker has died or was closed.
    );
  }

  #answered(cpuMs: number): void {
    const atMs = performance.now();
    this.#delay.answered(atMs);
    if (this.#usage && atMs > this.#usage.atMs)
      this.#cpuShare = (cpuMs - this.#usage.cpuMs) / (atMs - this.#usage.atMs);
    this.#usage = { atMs, cpuMs };
  }
}
