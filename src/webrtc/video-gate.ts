import type { Logger } from '../observe/logger.ts';
import { ALL_FLOWS, nextShare, type QueueSample, type ShareState } from './video-share.ts';

/** A video track that the gateway reads from a media worker. */
export interface GatedTrack {
  /** The worker writes no more packets of the track. */
  pause(): void;
  /** The worker goes on with the next key frame. */
  resume(): void;
}

/**
 * Pauses video tracks of one media worker while the gateway does not keep up with reading: what is not written into the
 * worker's queue costs no memory and no time. The loss is even: the track that has flowed for the longest time is
 * paused next, and the one that has been paused for the longest time returns next.
 */
export class VideoGate {
  readonly #logger: Logger;
  /** In the order in which they began to flow. */
  readonly #flowing = new Set<GatedTrack>();
  /** In the order in which they were paused. */
  readonly #paused = new Set<GatedTrack>();
  #state: ShareState = ALL_FLOWS;
  #missedFrames = 0;
  #missedBefore = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Number of tracks that are paused. */
  get paused(): number {
    return this.#paused.size;
  }

  /** Number of frames that were not read because their track was paused. */
  get missedFrames(): number {
    return this.#missedFrames;
  }

  countMissed(frames: number): void {
    this.#missedFrames += frames;
  }

  /** @returns the function that removes the track; idempotent */
  add(track: GatedTrack): () => void {
    this.#flowing.add(track);
    return () => {
      this.#flowing.delete(track);
      this.#paused.delete(track);
    };
  }

  update(sample: QueueSample): void {
    const before = this.#state.share;
    this.#state = nextShare(this.#state, sample);
    const { share } = this.#state;
    // Tracks come and go: the number changes without the share.
    if (share === 1 && this.#paused.size === 0) return this.#report(before, sample);
    const wanted = Math.round(share * (this.#flowing.size + this.#paused.size));
    while (this.#flowing.size > wanted) this.#pause(first(this.#flowing));
    while (this.#flowing.size < wanted) this.#resume(first(this.#paused));
    this.#report(before, sample);
  }

  #pause(track: GatedTrack): void {
    this.#flowing.delete(track);
    this.#paused.add(track);
    track.pause();
  }

  #resume(track: GatedTrack): void {
    this.#paused.delete(track);
    this.#flowing.add(track);
    track.resume();
  }

  #report(before: number, { delayMs }: QueueSample): void {
    const { share } = this.#state;
    if (before === 1 && share < 1) {
      this.#missedBefore = this.#missedFrames;
      this.#logger.warn(
        { delayMs: Math.round(delayMs), paused: this.#paused.size, flowing: this.#flowing.size },
        'video is paused: the gateway does not keep up with its media worker',
      );
    } else if (before < 1 && share === 1)
      this.#logger.info({ missedFrames: this.#missedFrames - this.#missedBefore }, 'video is no longer paused');
  }
}

const first = (tracks: ReadonlySet<GatedTrack>): GatedTrack => tracks.values().next().value!;
