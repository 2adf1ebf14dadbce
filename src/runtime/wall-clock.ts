/* eslint no-restricted-syntax: off -- the only file that reads the wall clock. */

/**
 * The wall clock, which may step: an operator or a time server corrects it. It serves the ends of tokens, dates that are
 * shown, stored or sent, and keys that are ordered by date. Durations are measured with `performance.now()`.
 *
 * @returns milliseconds since 1970
 */
export const wallClockMs = (): number => Date.now();

/** The time of `performance.now()` at a date, as the wall clock is now: it stays when the clock steps. */
export const monotonicMsOf = (dateMs: number, nowMs = performance.now()): number => nowMs + dateMs - Date.now();

export const wallClockDate = (): Date => new Date();
