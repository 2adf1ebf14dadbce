const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Milliseconds before each retry. After the last one the event is given up. */
export const RETRY_DELAYS_MS: readonly number[] = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR];
/** Each delay is up to this share longer, so that the retries of many streams do not arrive together. */
const JITTER = 0.2;
/** A receiver cannot stop deliveries for longer. */
const LONGEST_RETRY_AFTER_MS = 24 * HOUR;

/**
 * The delay before the next attempt; `undefined`: no further one.
 *
 * @param attempts attempts that have failed
 * @param random from 0 to 1
 */
export function retryDelayMs(attempts: number, random: number): number | undefined {
  const delay = RETRY_DELAYS_MS[attempts - 1];
  return delay === undefined ? undefined : Math.round(delay * (1 + JITTER * random));
}

/** The `Retry-After` header (RFC 9110, 10.2.3), in milliseconds from now. `undefined` if there is none, or it is not valid. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * SECOND : Date.parse(header) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}
