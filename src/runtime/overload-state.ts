/** One sample of the load. */
export interface LoadSample {
  /** By how much the event loop is late, in milliseconds. */
  readonly loopDelayMs: number;
  /** The share of the time since the last sample in which the event loop had work. */
  readonly busyShare: number;
  readonly workers: readonly WorkerLoad[];
}

export interface WorkerLoad {
  /** How long the worker's packets wait until the gateway reads them, in milliseconds. */
  readonly delayMs: number;
  /** The worker's share of a core since the last sample. */
  readonly cpuShare: number;
  /** Video tracks that are paused because the gateway does not keep up. */
  readonly pausedTracks: number;
}

export interface OverloadState {
  readonly overloaded: boolean;
  /** The limit that is or was last exceeded, in words; empty if none was. */
  readonly reason: string;
  /** Since when all samples say the opposite of `overloaded`; nothing while they agree with it. Milliseconds. */
  readonly contraryMs: number | undefined;
}

export const NOT_OVERLOADED: OverloadState = { overloaded: false, reason: '', contraryMs: undefined };

/** A limit is exceeded above the first figure; it is kept again below the second. */
const LOOP_DELAY_MS = [100, 50] as const;
const BUSY_SHARE = [0.95, 0.85] as const;
const CPU_SHARE = [0.9, 0.8] as const;
const WORKER_DELAY_MS = [500, 200] as const;

/**
 * Milliseconds for which a limit is exceeded before the gateway is overloaded: starting an encoder or a player is
 * short.
 */
const OVERLOADED_AFTER_MS = 3000;
/** Milliseconds for which all limits are kept before it has recovered. */
const RECOVERED_AFTER_MS = 5000;

/**
 * The state after a sample. Pure: overload begins and ends only after some seconds, and ends at lower limits than it
 * begins at.
 */
export function nextOverloadState(state: OverloadState, sample: LoadSample, nowMs: number): OverloadState {
  const reason = exceeded(sample, state.overloaded ? 1 : 0);
  if ((reason !== undefined) === state.overloaded)
    return { ...state, reason: reason ?? state.reason, contraryMs: undefined };
  const contraryMs = state.contraryMs ?? nowMs;
  const enoughMs = state.overloaded ? RECOVERED_AFTER_MS : OVERLOADED_AFTER_MS;
  if (nowMs - contraryMs < enoughMs) return { ...state, contraryMs };
  return { overloaded: !state.overloaded, reason: reason ?? '', contraryMs: undefined };
}

/** The first limit that is exceeded, in words. */
function exceeded({ loopDelayMs, busyShare, workers }: LoadSample, level: 0 | 1): string | undefined {
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  if (loopDelayMs > LOOP_DELAY_MS[level]) return `its event loop is ${Math.round(loopDelayMs)} ms late`;
  if (busyShare > BUSY_SHARE[level]) return `its event loop is busy ${percent(busyShare)} of the time`;
  for (const worker of workers) {
    if (worker.pausedTracks > 0) return `video of ${worker.pausedTracks} streams is paused`;
    if (worker.delayMs > WORKER_DELAY_MS[level]) return `media packets wait ${Math.round(worker.delayMs)} ms`;
    if (worker.cpuShare > CPU_SHARE[level]) return `a media worker uses ${percent(worker.cpuShare)} of a core`;
  }
  return undefined;
}
