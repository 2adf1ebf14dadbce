import { EventEmitter } from 'node:events';
import type { Logger } from '../../../observe/logger.ts';
import type { Platform } from './catalogue.ts';
import type { MeterLease } from './rendition-meters.ts';
import { isMeasured, judge } from './rules.ts';
import { judgeSession } from './session-limit.ts';
import { NO_BREACHES, warningsOf, watch, type WatchEvent, type WatchState } from './watch-state.ts';
import { wallClockDate } from '../../../runtime/wall-clock.ts';
import type { PushWarning } from '../../../views/push-view.ts';

export interface PushWatchOptions {
  readonly platform: Platform;
  readonly transport: 'rtmp' | 'rtmps';
  /** Of what the push sends. Released by {@link PushWatch.close}. */
  readonly measured: MeterLease;
  /** Whether the publisher is away: what is sent then is the gateway's. */
  readonly isAway: () => boolean;
  readonly logger: Logger;
  /** Runs a function every second with the wall clock. Returns a function that stops it. */
  readonly everySecond: (tick: (nowMs: number) => void) => () => void;
}

interface PushWatchEvents {
  /** A warning was raised or is over. */
  change: [];
}

/** Watches one push by the rules of its platform while it is live. */
export class PushWatch extends EventEmitter<PushWatchEvents> {
  readonly #options: PushWatchOptions;
  readonly #stop: () => void;
  #state: WatchState = NO_BREACHES;
  #pushing = false;
  /** When the push began to push: the session of the platform goes on when it reconnects. */
  #sessionMs: number | undefined;

  private constructor(options: PushWatchOptions) {
    super();
    this.#options = options;
    this.#stop = options.everySecond((nowMs) => this.#tick(nowMs));
  }

  static start(options: PushWatchOptions): PushWatch {
    return new PushWatch(options);
  }

  get platform(): string {
    return this.#options.platform.id;
  }

  get warnings(): PushWarning[] {
    return warningsOf(this.#state);
  }

  /** Tells whether the server takes the stream at the moment. */
  setPushing(pushing: boolean): void {
    this.#pushing = pushing;
  }

  /** Idempotent. */
  close(): void {
    this.#stop();
    this.#options.measured.release();
  }

  #tick(nowMs: number): void {
    const { platform, transport, isAway, measured } = this.#options;
    if (isAway()) {
      measured.meter.reset();
      return this.#handle({ type: 'paused' });
    }
    if (!this.#pushing) return this.#handle({ type: 'paused' });
    this.#sessionMs ??= nowMs;
    const measure = measured.meter.measure();
    if (!isMeasured(measure)) return this.#handle({ type: 'paused' });
    const verdicts = [...judge(platform, { measure, transport }), ...judgeSession(platform, nowMs - this.#sessionMs)];
    this.#handle({ type: 'judged', verdicts, nowMs, date: wallClockDate() });
  }

  #handle(event: WatchEvent): void {
    const { state, effects } = watch(this.#state, event);
    this.#state = state;
    const { logger, platform } = this.#options;
    for (const effect of effects) {
      if (effect.type === 'clear') {
        logger.info({ platform: platform.id, check: effect.check }, 'the push keeps the rule of its platform again');
        continue;
      }
      const { check, level, measured, rule, remedy } = effect.warning;
      logger.warn(
        { platform: platform.id, check, level, measured, rule, remedy },
        'the push breaks a rule of its platform',
      );
    }
    if (effects.length > 0) this.emit('change');
  }
}
