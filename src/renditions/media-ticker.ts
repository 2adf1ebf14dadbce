import { Ticker } from '../runtime/ticker.ts';

/** Handles late packets, silence, key frames and delayed writes of all streams, in one timer. Milliseconds. */
const TICK_MS = 40;

export const mediaTicker = Ticker.every(TICK_MS);
