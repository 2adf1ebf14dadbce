/** Timestamps that go further back have begun anew; no encoder holds pictures back so long. A second of video's RTP clock. */
const MAX_BACK_TICKS = 90_000;

/**
 * Notices pictures that are shown before some that came before them: B-frames. The time at which a picture is to be decoded is not known
 * then, until those after it have come, and waiting for them would delay every stream for the few that have any; they are only told of.
 */
export class PictureOrder {
  #latest: number | undefined;
  #noticed = false;

  /**
   * To be called for each picture.
   *
   * @returns `true` for the first that goes back, once
   */
  goesBack(rtpTimestamp: number): boolean {
    const ticks = this.#latest === undefined ? 0 : (rtpTimestamp - this.#latest) | 0;
    if (ticks >= 0 || ticks < -MAX_BACK_TICKS) this.#latest = rtpTimestamp;
    else if (!this.#noticed) return (this.#noticed = true);
    return false;
  }
}
