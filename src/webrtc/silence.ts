/** How often it is looked, in milliseconds; see {@link Silence}. */
export const SILENCE_POLL_MS = 5000;
/** Polls in a row without a single byte. */
const SILENT_POLLS = 2;
/** Bytes in two polls. Less is ICE checks and reports of somebody who has nothing to send. */
const LEAST_MEDIA = 5000;

/**
 * Tells that who sent media is gone, long before consent expires: nobody is to see silence for half a minute before anybody is told. Who sends none may well be
 * silent for ten seconds, when one of the ICE checks is lost that some make every five.
 */
export class Silence {
  #received = 0;
  /** Of the last poll that brought any. Whoever vanishes in his first moments had come to send media. */
  #bytes = LEAST_MEDIA;
  #sentMedia = true;
  #polls = 0;

  /**
   * To be called every {@link SILENCE_POLL_MS}.
   *
   * @param received bytes of any kind since the beginning
   * @returns whether the other side is gone
   */
  poll(received: number): boolean {
    const bytes = received - this.#received;
    this.#received = received;
    this.#polls = bytes === 0 ? this.#polls + 1 : 0;
    if (bytes > 0) {
      // With the poll before: in the last one he may have vanished after a moment.
      this.#sentMedia = this.#bytes + bytes >= LEAST_MEDIA;
      this.#bytes = bytes;
    }
    return this.#sentMedia && this.#polls >= SILENT_POLLS;
  }
}
