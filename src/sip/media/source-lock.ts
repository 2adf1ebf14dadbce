/** Where packets come from. */
export interface Source {
  readonly address: string;
  readonly port: number;
}

/** Milliseconds of silence after which the same address may send from another port. */
const SILENCE_MS = 2000;

/**
 * Decides whose packets are those of the peer. The SDP says an address, but behind NAT another one sends (symmetric
 * RTP). The first packet from an expected address decides, so that nobody else can put media into the call.
 */
export class SourceLock {
  #expected: readonly string[];
  #locked: Source | undefined;
  /** Where the peer sent from before. */
  #left: Source | undefined;
  #lastMs = -Infinity;
  /** Set by a new SDP: the next source may be another one. */
  #isOpen = true;
  /** Packets from elsewhere. */
  refused = 0;

  constructor(expected: readonly string[]) {
    this.#expected = expected;
  }

  get source(): Source | undefined {
    return this.#locked;
  }

  /** A new SDP was exchanged. @param hasMoved the peer sends from somewhere else now: late packets do not count */
  expect(addresses: readonly string[], hasMoved: boolean): void {
    this.#expected = addresses;
    this.#isOpen = true;
    if (!hasMoved) return;
    this.#left = this.#locked;
    this.#locked = undefined;
  }

  takes({ address, port }: Source, nowMs: number): boolean {
    const locked = this.#locked;
    if (locked?.address === address && locked.port === port) {
      this.#lastMs = nowMs;
      return true;
    }
    const isSilent = nowMs - this.#lastMs >= SILENCE_MS;
    const isLeft = this.#left?.address === address && this.#left.port === port;
    const mayMove =
      !isLeft && (this.#isOpen ? this.#expected.includes(address) : isSilent && locked?.address === address);
    if (!mayMove) {
      this.refused++;
      return false;
    }
    this.#isOpen = false;
    this.#lastMs = nowMs;
    this.#locked = { address, port };
    return true;
  }
}
