export interface PacerOptions {
  /** `media_rest_ms`: the longest rest, in milliseconds; 0: none. */
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
 * of all streams, what encoders have written, what servers acknowledge. The more packets come, the shorter the rest.
 */
export class Pacer {
  readonly #longestMs: number;
  readonly #sleep: (ms: number) => void;
  readonly #now: () => number;
  #restMs: number;
  /** Since the last rest. */
  #packets = 0;
  #isScheduled = false;
  #hurryUntil = -Infinity;

  constructor({ restMs, sleep = block, now = () => performance.now() }: PacerOptions) {
    this.#longestMs = restMs;
    this.#restMs = restMs;
    this.#sleep = sleep;
    this.#now = now;
  }

  /** To be told of packets that have been read; the loop rests at the end of this turn. */
  took(packets: number): void {
    if (this.#longestMs === 0) return;
    this.#packets += packets;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#rest);
  }

  /** Somebody waits for an answer: no rest for a moment. */
  hurry(): void {
    this.#hurryUntil = this.#now() + HURRY_MS;
  }

  readonly #rest = (): void => {
    this.#isScheduled = false;
    const packets = this.#packets;
    this.#packets = 0;
    if (this.#now() < this.#hurryUntil) return;
    this.#restMs = Math.min(this.#longestMs, (Math.max(this.#restMs, SHORTEST_REST_MS) * PACKETS_PER_REST) / packets);
    if (packets < FULL_PIPE_PACKETS && this.#restMs >= SHORTEST_REST_MS) this.#sleep(this.#restMs);
  };
}

const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Nobody ever notifies the cell: this is a sleep that does not burn time. */
function block(ms: number): void {
  Atomics.wait(cell, 0, 0, ms);
}

/** For parts that run on their own, in tests. */
export const RESTLESS = new Pacer({ restMs: 0 });
