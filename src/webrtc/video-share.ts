/** How a media worker's queue to the gateway looks at one moment. Milliseconds. */
export interface QueueSample {
  /** The age of the oldest message that is known to be in the queue; 0 if none is. */
  readonly waitingMs: number;
  /** How long messages wait: {@link waitingMs}, or longer if the last one that left the queue had waited longer. */
  readonly delayMs: number;
  readonly nowMs: number;
}

/** Which share of a worker's video tracks flows, 0 to 1. */
export interface ShareState {
  readonly share: number;
  /** The share that flows after a time in which none did. */
  readonly returnsAt: number;
  /** Since when the queue is too long; `undefined` while it is not. */
  readonly longSinceMs: number | undefined;
  /** The last change needs until then to show its effect. */
  readonly settledAtMs: number;
}

/** Above this delay the queue is too long. */
export const LONG_MS = 400;
/** It must be too long for this time: packets that waited during one long event-loop tick are read soon after it. */
export const LONG_FOR_MS = 400;
/** Above this delay no video flows. */
export const FAR_TOO_LONG_MS = 1000;
/** What was queued before a reduction has to be read before the queue shows its effect. */
export const REDUCED_FOR_MS = 1000;
/** Video returns while messages wait less than this. */
export const SHORT_MS = 150;
/** Video returns step by step, so that the key frames that tracks begin with do not arrive together. */
export const STEP = 1 / 8;
export const STEP_MS = 500;

export const ALL_FLOWS: ShareState = { share: 1, returnsAt: STEP, longSinceMs: undefined, settledAtMs: 0 };

/** Smaller shares are 0. */
const LEAST_SHARE = 1 / 16;

/**
 * The share of the video tracks that flows after a sample: half of it is paused while the queue is too long. When it is
 * far too long, what is read is too late anyway, so all is paused until the queue is short, then half of it returns.
 * Further steps follow. Pure.
 */
export function nextShare(state: ShareState, { waitingMs, delayMs, nowMs }: QueueSample): ShareState {
  const { share, settledAtMs } = state;
  const longSinceMs = waitingMs > LONG_MS ? (state.longSinceMs ?? nowMs) : undefined;
  if (longSinceMs !== undefined) {
    if (nowMs - longSinceMs < LONG_FOR_MS || share === 0) return { ...state, longSinceMs };
    const half = share / 2;
    const reduced = { returnsAt: Math.max(STEP, half), longSinceMs, settledAtMs: nowMs + REDUCED_FOR_MS };
    if (waitingMs > FAR_TOO_LONG_MS) return { ...reduced, share: 0 };
    if (nowMs < settledAtMs) return { ...state, longSinceMs };
    return { ...reduced, share: half < LEAST_SHARE ? 0 : half };
  }
  if (share === 1 || delayMs >= SHORT_MS || nowMs < settledAtMs) return { ...state, longSinceMs };
  const larger = share === 0 ? state.returnsAt : Math.min(1, share + STEP);
  return { ...state, share: larger, longSinceMs, settledAtMs: nowMs + STEP_MS };
}
