import { performance } from 'node:perf_hooks';
import { FrameRhythm } from './frame-rhythm.ts';
import { atVeryEndOfTick, tickMs } from './tick.ts';

export interface PacerOptions {
  /** `media_rest_ms`: the longest rest for which a frame may have to wait, in milliseconds; 0: no rests. */
  readonly restMs: number;
  /** Blocks the thread for so many milliseconds; for tests. */
  readonly sleep?: (ms: number) => void;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/**
 * Packets that may wait while the loop rests. A worker's pipe holds 85 packets of 1200 bytes (`net.core.wmem_default`, 208 KiB, of which each
 * takes twice its size); a worker that finds it full must queue and be woken again.
 */
const PACKETS_PER_REST = 64;
/** So many may have been all that a pipe held: its worker has more, of a key frame of 4K for one, and it is not to wait. */
const FULL_PIPE_PACKETS = 80;
/** A shorter rest costs more than it saves. Milliseconds. */
const SHORTEST_REST_MS = 2;
/** Milliseconds without rest after somebody asked for something: an answer takes several turns, most of them to a worker and back. */
const HURRY_MS = 300;

/**
 * Interrupt moderation, as network cards do it, for the event loop. Each packet would wake the process, and being woken costs several times
 * what a packet costs. So while media flows, the loop rests after each turn that brought packets, and finds together what came meanwhile: packets
 * of all streams, what encoders have written, what servers acknowledge. The more packets come, the shorter the rest. A single stream is rested
 * for in step with its frames (`frame-rhythm.ts`), which then wait for nothing.
 */
export class Pacer {
  readonly #longestMs: number;
  readonly #sleep: (ms: number) => void;
  readonly #now: () => number;
  readonly #tickMs: () => number;
  readonly #rhythm = new FrameRhythm();
  #restMs: number;
  /** Before this turn. */
  #rested = false;
  /** When the first packets of this turn were read. */
  #beganMs = 0;
  /** In this turn. */
  #packets = 0;
  #frames = 0;
  #partial = false;
  #hurryUntil = -Infinity;

  constructor({ restMs, sleep = block, now }: PacerOptions) {
    this.#longestMs = restMs;
    this.#restMs = restMs;
    this.#sleep = sleep;
    this.#now = now ?? (() => performance.now());
    this.#tickMs = now ?? tickMs;
  }

  /**
   * To be told of packets that have been read; the loop rests at the end of this turn.
   *
   * @param frames that are complete with these packets
   * @param partial whether there is more to come of the last frame
   */
  took(packets: number, frames: number, partial: boolean): void {
    if (this.#longestMs === 0) return;
    if (this.#packets === 0) this.#beganMs = this.#tickMs();
    this.#packets += packets;
    this.#frames += frames;
    this.#partial = partial;
    atVeryEndOfTick(this.#rest);
  }

  /** Somebody waits for an answer: no rest for a moment. */
  hurry(): void {
    this.#hurryUntil = this.#now() + HURRY_MS;
  }

  readonly #rest = (): void => {
    const [beganMs, packets, frames] = [this.#beganMs, this.#packets, this.#frames];
    this.#packets = 0;
    this.#frames = 0;
    const nowMs = this.#now();
    const rested = this.#rested;
    this.#rested = false;
    if (nowMs < this.#hurryUntil) return this.#rhythm.watch(beganMs, frames);
    const lastMs = Math.max(this.#restMs, SHORTEST_REST_MS);
    // That few packets came in no time says nothing about how long to rest for more.
    this.#restMs = Math.min(rested ? this.#longestMs : lastMs, (lastMs * PACKETS_PER_REST) / packets);
    const inStepMs = this.#rhythm.next(beganMs, frames, this.#partial);
    const restMs = inStepMs === undefined ? this.#restMs : beganMs + inStepMs - nowMs;
    if (packets >= FULL_PIPE_PACKETS || restMs < SHORTEST_REST_MS) return;
    this.#rested = true;
    this.#sleep(restMs);
  };
}

const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Nobody ever notifies the cell: this is a sleep that does not burn time. */
function block(ms: number): void {
  Atomics.wait(cell, 0, 0, ms);
}

/** For parts that run on their own, in tests. */
export const RESTLESS = new Pacer({ restMs: 0 });
