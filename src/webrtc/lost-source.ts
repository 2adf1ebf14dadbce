/** What has arrived over a transport since its beginning, in bytes. */
export interface TransportBytes {
  readonly received: number;
  /** RTP that belongs to a track. */
  readonly matched: number;
}

/** Milliseconds between two polls. */
export const SOURCE_POLL_MS = 250;
/** A track without packets for this time may have lost its source. Milliseconds. */
const SILENT_MS = 500;
/** Bytes between two polls that belong to no track: more than ICE checks, RTCP, and what SRTP adds to packets. */
const LEAST_BYTES = 500;
const SRTP_SHARE = 0.1;
/** Polls in a row that show it. */
const CONFIRMATIONS = 2;
/** After so many polls that show nothing, the publisher has paused, and polls become rare. */
const BUSY_POLLS = 8;
const RARE_POLLS = 8;

/** @param silentMs time since the last packet of a track */
export const isFlowing = (silentMs: number): boolean => silentMs < SILENT_MS;

/**
 * Detects that a publisher sends a track under another SSRC than before, which mediasoup drops: packets of the track
 * stop, and bytes arrive that belong to no track.
 */
export class LostSource {
  #last: TransportBytes | undefined;
  #confirmations = 0;
  #polls = 0;

  /**
   * To be called every {@link SOURCE_POLL_MS}.
   *
   * @param silentMs time since the track's last packet; `undefined`: it is not read
   * @returns whether {@link poll} is to be called
   */
  isSuspect(silentMs: number | undefined): boolean {
    if (silentMs === undefined || isFlowing(silentMs)) {
      this.reset();
      return false;
    }
    this.#polls++;
    return this.#polls <= BUSY_POLLS || this.#polls % RARE_POLLS < CONFIRMATIONS + 1;
  }

  /** @returns whether the packets of the track are among those that belong to none */
  poll(bytes: TransportBytes): boolean {
    const last = this.#last;
    this.#last = bytes;
    if (!last) return false;
    const matched = bytes.matched - last.matched;
    const unmatched = bytes.received - last.received - matched;
    this.#confirmations = unmatched >= LEAST_BYTES + matched * SRTP_SHARE ? this.#confirmations + 1 : 0;
    return this.#confirmations >= CONFIRMATIONS;
  }

  reset(): void {
    this.#last = undefined;
    this.#confirmations = 0;
    this.#polls = 0;
  }
}
