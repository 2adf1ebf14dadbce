import { TAG_VIDEO } from '../../media/containers/flv-tag.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Pusher } from './pusher.ts';
import { tickMs } from '../../runtime/tick.ts';
import type { TagSink } from './out-buffer.ts';
import { RateMeter } from './rate-meter.ts';

/** A pusher, with the frames and bytes counted that it gets. Not by what the server has confirmed: some do that every few hundred kilobytes only. */
export class MeteredSink implements TagSink {
  readonly #pusher: Pusher;
  readonly #byteRate = new RateMeter();
  readonly #frameRate = new RateMeter();
  #bytes = 0;
  #frames = 0;

  constructor(pusher: Pusher) {
    this.#pusher = pusher;
  }

  get writable(): boolean {
    return this.#pusher.writable;
  }

  write(group: TagGroup): void {
    for (const { type, sequenceHeader, data } of group.tags) {
      if (type === TAG_VIDEO && !sequenceHeader) this.#frames++;
      this.#bytes += data.length;
    }
    const nowMs = tickMs();
    this.#frameRate.note(this.#frames, nowMs);
    this.#byteRate.note(this.#bytes, nowMs);
    this.#pusher.write(group);
  }

  /** Kilobits per second, of late. */
  bitrate(nowMs: number): number {
    return Math.round((this.#byteRate.perSecond(this.#bytes, nowMs) * 8) / 1000);
  }

  /** Frames per second, of late. */
  frameRate(nowMs: number): number {
    return Math.round(this.#frameRate.perSecond(this.#frames, nowMs) * 10) / 10;
  }
}
