/** The timers of RFC 3261, 17, in milliseconds. */
export const T1 = 500;
export const T2 = 4000;
export const T4 = 5000;
/** Timers B, D, F, H, J, L and M. */
export const TRANSACTION_MS = 64 * T1;
/** An INVITE that nobody answers: longer than any answer timeout. */
export const INVITE_LIFE_MS = 300_000;
