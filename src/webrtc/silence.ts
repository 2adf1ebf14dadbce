/** Milliseconds between two polls; see {@link Silence}. */
export const SILENCE_POLL_MS = 5000;
/** Polls in a row without a single byte. */
const SILENT_POLLS = 2;
/** Bytes in two polls. Fewer are ICE checks and RTCP reports of a client that sends no media. */
const LEAST_MEDIA = 5000;

/**
 * Detects a vanished sender before ICE consent expires, which takes half a minute. A client that sends no media may be
 * silent for ten seconds, because some clients send an ICE check every five seconds, and a check can get lost.
 */
export class Silence {
  #received = 0;
  /** Of the last poll with any bytes. A client that vanishes in its first moments is taken for a sender. */
  #bytes = LEAST_MEDIA;
  #sentMedia = true;
  #polls = 0;

  /**
   * To be called every {@link SILENCE_POLL_MS}.
   *
   * @param received bytes of any kind since the beginning
   * @returns whether the client is gone
   */
  poll(received: number): boolean {
    const bytes = received - this.#received;
    this.#received = received;
    this.#polls = bytes === 0 ? this.#polls + 1 : 0;
    if (bytes > 0) {
      // Together with the poll before: the client may have vanished shortly after the last one began.
      this.#sentMedia = this.#bytes + bytes >= LEAST_MEDIA;
      this.#bytes = bytes;
    }
    return this.#sentMedia && this.#polls >= SILENT_POLLS;
  }
}
