export interface BackoffRules {
  /** Milliseconds before the first reconnect, and before every reconnect if there is no cap. */
  readonly intervalMs: number;
  /** Longest interval of the exponential backoff, in milliseconds; 0: the interval is fixed, as in WCS. */
  readonly capMs: number;
}

/**
 * Milliseconds to wait before reconnect number `attempt` (from 0).
 *
 * @param random 0 to 1, for the jitter that keeps many destinations from reconnecting at the same moment
 */
export function retryDelayMs({ intervalMs, capMs }: BackoffRules, attempt: number, random: number): number {
  if (capMs === 0) return intervalMs;
  const doubled = Math.min(capMs, intervalMs * 2 ** attempt);
  // Half fixed, half random: reconnects are spread, and none comes at once.
  return Math.round(doubled / 2 + (doubled / 2) * random);
}
