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
  /** Milliseconds of processor time that the main thread has used; for tests. */
  readonly cpuMs?: () => number;
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
  readonly #timer: NodeJS.Timeout;
  #state: OverloadState = NOT_OVERLOADED;
  #sampledMs: number;
  #cpuMs: number;

  constructor({ now = () => performance.now(), cpuMs = mainThreadMs, ...options }: OverloadMonitorOptions) {
    super();
    this.#options = { ...options, now, cpuMs };
    this.#sampledMs = now();
    this.#cpuMs = cpuMs();
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
      `The gateway is overloaded: ${this.#state.reason}. Try again in some seconds, end other streams, or use a faster machine; with several cores set rtc_workers.`,
    );
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const { now, cpuMs, workers, logger } = this.#options;
    const [nowMs, usedMs] = [now(), cpuMs()];
    const elapsedMs = Math.max(1, nowMs - this.#sampledMs);
    const cpuShare = (usedMs - this.#cpuMs) / elapsedMs;
    this.#sampledMs = nowMs;
    this.#cpuMs = usedMs;
    const before = this.#state;
    const sample = { loopDelayMs: elapsedMs - SAMPLE_MS, cpuShare, workers: workers() };
    this.#state = nextOverloadState(before, sample, nowMs);
    if (this.#state.overloaded === before.overloaded) return;
    if (this.#state.overloaded)
      logger.warn({ reason: this.#state.reason }, 'overloaded: new publications are refused until the load is lower');
    else logger.info('no longer overloaded: new publications are accepted');
    this.emit('change', this.#state.overloaded, this.#state.reason);
  }
}

function mainThreadMs(): number {
  const { user, system } = (process.threadCpuUsage ?? process.cpuUsage)();
  return (user + system) / 1000;
}
