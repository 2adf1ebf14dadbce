/** Whether the media of a rendition is sent, or dropped because the gateway is too late with it. */
export type LateState =
  /** `remeasure`: what was taken for lateness is the normal delay by now. */
  | { readonly status: 'on-time'; readonly remeasure?: true }
  /** Late, but perhaps only because of one long event-loop tick, after which everything is sent at once. */
  | { readonly status: 'late'; readonly sinceMs: number }
  | { readonly status: 'dropping'; readonly calmSinceMs: number | undefined };

export interface LateSample {
  readonly latenessMs: number;
  /**
   * Whether the gateway has more work than its event loop can do. A publisher's slow network makes media late as well,
   * and is not a reason to drop.
   */
  readonly overloaded: boolean;
  readonly nowMs: number;
}

export const ON_TIME: LateState = { status: 'on-time' };

/** A viewer of a live stream notices a second; buffers of servers and players absorb less. */
export const TOO_LATE_MS = 1000;
/** Lateness for this long is not one long tick: media that waited during a tick is sent within a few ticks. */
export const LATE_FOR_MS = 500;
/** Sending goes on when the media is nearly on time, so that it is not too late again at once. */
export const RECOVERED_MS = 250;
/** If media is still late after the gateway was not overloaded for this long, the gateway is not the cause. */
export const CALM_FOR_MS = 2000;

export function nextLateState(state: LateState, { latenessMs, overloaded, nowMs }: LateSample): LateState {
  switch (state.status) {
    case 'on-time':
      return overloaded && latenessMs > TOO_LATE_MS ? { status: 'late', sinceMs: nowMs } : ON_TIME;
    case 'late':
      if (!overloaded || latenessMs <= TOO_LATE_MS) return ON_TIME;
      return nowMs - state.sinceMs >= LATE_FOR_MS ? { status: 'dropping', calmSinceMs: undefined } : state;
    case 'dropping': {
      if (latenessMs <= RECOVERED_MS) return ON_TIME;
      if (overloaded) return state.calmSinceMs === undefined ? state : { status: 'dropping', calmSinceMs: undefined };
      const calmSinceMs = state.calmSinceMs ?? nowMs;
      return nowMs - calmSinceMs >= CALM_FOR_MS
        ? { status: 'on-time', remeasure: true }
        : { status: 'dropping', calmSinceMs };
    }
  }
}
