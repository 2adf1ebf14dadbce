import type { StandbyAbsence } from './standby-state.ts';
import { wallClockDate, wallClockMs } from '../../runtime/wall-clock.ts';

export interface HoldTimeOptions {
  /** Milliseconds; 0: without an end. */
  readonly holdMs: number;
  /** Since when there has been no publisher, if that was before. */
  readonly awaySince: Date | undefined;
  readonly onExpired: () => void;
}

/** Since when a publisher has been away, and for how long it is waited for. */
export class HoldTime {
  readonly #holdMs: number;
  readonly #onExpired: () => void;
  /** Of the first absence. */
  #awaySince: Date | undefined;
  #absence: StandbyAbsence | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ holdMs, awaySince, onExpired }: HoldTimeOptions) {
    this.#holdMs = holdMs;
    this.#awaySince = awaySince;
    this.#onExpired = onExpired;
  }

  /** Set while there is no publisher. */
  get absence(): StandbyAbsence | undefined {
    return this.#absence;
  }

  /** @returns whether that is a change */
  update(isAway: boolean): boolean {
    const isChange = isAway !== (this.#absence !== undefined);
    if (isChange) {
      this.close();
      this.#absence = isAway ? this.#begin(this.#awaySince ?? wallClockDate()) : undefined;
    }
    this.#awaySince = undefined;
    return isChange;
  }

  /** The time does not expire any more. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #begin(since: Date): StandbyAbsence {
    if (this.#holdMs === 0) return { since };
    const until = new Date(since.getTime() + this.#holdMs);
    this.#timer = setTimeout(this.#onExpired, Math.max(0, until.getTime() - wallClockMs()));
    return { since, until };
  }
}
