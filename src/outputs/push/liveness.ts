import { KERNELS_HOLD, type AcknowledgementRhythm } from '../../rtmp/acknowledgements.ts';

/** The progress of a connection at one moment, in bytes since its beginning. */
export interface TakenBytes {
  readonly handed: number;
  /** Not yet passed to the kernel. */
  readonly queued: number;
  /** What the peer has acknowledged; `undefined` if it never acknowledges, or with numbers that are not totals. */
  readonly acknowledged: number | undefined;
  /** When its acknowledgements arrive, whatever their numbers are. */
  readonly rhythm: AcknowledgementRhythm;
}

export interface LivenessOptions {
  /** Milliseconds without a sign of life after which a peer counts as dead. */
  readonly timeoutMs: number;
  /** The silence of a peer that has acknowledged does not count: it was wrongly taken for dead before. */
  readonly ignoresSilence?: boolean;
}

/** A peer may acknowledge one interval late, and another interval may be in transit at that moment. */
const INTERVALS_BEHIND = 2;
/** After so many a peer is not expected to stop acknowledging without reason. */
const STEADY_COUNT = 16;
/** The timeout of a peer that has acknowledged less often, as a multiple. */
const PATIENCE = 2;

/**
 * Decides whether a peer still takes data. Only outstanding bytes can stall: a stream that pauses is not a dead peer.
 * There are two ways to find a dead one:
 *
 * - bytes wait for the kernel, and nothing leaves. This takes time, because the kernels in between accept megabytes for
 *   a process that hangs;
 * - the peer has acknowledged in a rhythm and is silent. The arrival of acknowledgements counts, not their numbers, which
 *   are wrong with some servers. Its silence means nothing once more has left than the kernels can hold.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  #taken = 0;
  #passed = 0;
  #acknowledged = 0;
  #count = 0;
  /** When bytes last left for the kernel or were acknowledged, or none were waiting. */
  #movedMs: number;
  /** When an acknowledgement last arrived, or none was due. */
  #heardMs: number;

  constructor(options: LivenessOptions, nowMs: number) {
    this.#options = options;
    this.#movedMs = nowMs;
    this.#heardMs = nowMs;
  }

  /** Total of bytes taken. Never decreases, even if the first acknowledgement is lower than the estimate before. */
  get taken(): number {
    return this.#taken;
  }

  /** Updates the state. @returns whether the peer is dead: for the timeout there was no sign of life */
  update({ handed, queued, acknowledged, rhythm }: TakenBytes, nowMs: number): boolean {
    const passed = handed - queued;
    if (passed > this.#passed || queued === 0 || (acknowledged ?? 0) > this.#acknowledged) this.#movedMs = nowMs;
    if (rhythm.count !== this.#count || !isDue(rhythm, passed)) this.#heardMs = nowMs;
    this.#passed = passed;
    this.#acknowledged = Math.max(this.#acknowledged, acknowledged ?? 0);
    this.#count = rhythm.count;
    this.#taken = Math.max(this.#taken, acknowledged ?? passed);

    const { timeoutMs, ignoresSilence = false } = this.#options;
    const patienceMs = rhythm.count >= STEADY_COUNT ? timeoutMs : PATIENCE * timeoutMs;
    return nowMs - this.#movedMs >= timeoutMs || (!ignoresSilence && nowMs - this.#heardMs >= patienceMs);
  }
}

/** Whether an acknowledgement should have arrived. */
function isDue({ count, passed: before, longest }: AcknowledgementRhythm, passed: number): boolean {
  const since = passed - before;
  return count > 0 && since > INTERVALS_BEHIND * longest && since <= KERNELS_HOLD;
}
