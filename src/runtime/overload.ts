import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { nextOverloadState, NOT_OVERLOADED, type OverloadState, type WorkerLoad } from './overload-state.ts';

export interface OverloadMonitorOptions {
  readonly workers: () => readonly WorkerLoad[];
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
  /** Milliseconds in which the event loop had work; for tests. */
  readonly busyMs?: () => number;
}

export interface OverloadMonitorEvents {
  change: [overloaded: boolean, reason: string];
}

/** Milliseconds between two samples. */
export const SAMPLE_MS = 1000;

/**
 * Watches whether the gateway keeps up with its streams. While it does not, new publications are refused and running
 * ones continue.
 */
export class OverloadMonitor extends EventEmitter<OverloadMonitorEvents> {
  readonly #options: Required<OverloadMonitorOptions>;
  #timer: NodeJS.Timeout | undefined;
  #state: OverloadState = NOT_OVERLOADED;
  #sampledMs = 0;
  #busyMs = 0;

  constructor({ now = () => performance.now(), busyMs = eventLoopMs, ...options }: OverloadMonitorOptions) {
    super();
    this.#options = { ...options, now, busyMs };
  }

  /** Begins to watch, once the gateway serves: its start keeps the event loop busy without any stream. */
  start(): void {
    this.#sampledMs = this.#options.now();
    this.#busyMs = this.#options.busyMs();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS).unref();
  }

  get overloaded(): boolean {
    return this.#state.overloaded;
  }

  /** The limit that is exceeded, in words; empty while none is. */
  get reason(): string {
    return this.overloaded ? this.#state.reason : '';
  }

  /** @throws {GatewayError} OVERLOADED while the gateway takes no new streams */
  check(): void {
    if (!this.overloaded) return;
    throw new GatewayError(
      'OVERLOADED',
      `The gateway is overloaded: ${this.#state.reason}. Try again in some seconds, end other streams, or use ` +
        'a faster machine; with several cores set rtc_workers.',
    );
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const { now, busyMs, workers, logger } = this.#options;
    const [nowMs, totalMs] = [now(), busyMs()];
    const elapsedMs = Math.max(1, nowMs - this.#sampledMs);
    const busyShare = Math.min(1, (totalMs - this.#busyMs) / elapsedMs);
    this.#sampledMs = nowMs;
    this.#busyMs = totalMs;
    const before = this.#state;
    const sample = { loopDelayMs: elapsedMs - SAMPLE_MS, busyShare, workers: workers() };
    this.#state = nextOverloadState(before, sample, nowMs);
    if (this.#state.overloaded === before.overloaded) return;
    if (this.#state.overloaded)
      logger.warn({ reason: this.#state.reason }, 'overloaded: new publications are refused until the load is lower');
    else logger.info('no longer overloaded: new publications are accepted');
    this.emit('change', this.#state.overloaded, this.#state.reason);
  }
}

/**
 * The time in which the event loop did not wait for work. Unlike processor time, it includes the time in which other
 * processes had the core.
 */
const eventLoopMs = (): number => performance.eventLoopUtilization().active;
