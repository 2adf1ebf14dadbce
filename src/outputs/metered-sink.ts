import { TAG_VIDEO } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import { tickMs } from '../runtime/tick.ts';
import type { TagSink } from './output.ts';
import { RateMeter } from './rate-meter.ts';

/**
 * Measures the rates of what a sink is given. What servers acknowledge is too coarse for that: some acknowledge only
 * every few hundred kilobytes.
 */
export class MeteredSink implements TagSink {
  readonly #sink: TagSink;
  readonly #now: () => number;
  readonly #byteRate = new RateMeter();
  readonly #frameRate = new RateMeter();
  #bytes = 0;
  #frames = 0;

  constructor(sink: TagSink, now: () => number = tickMs) {
    this.#sink = sink;
    this.#now = now;
  }

  get writable(): boolean {
    return this.#sink.writable;
  }

  write(group: TagGroup): void {
    for (const { type, sequenceHeader, data } of group.tags) {
      if (type === TAG_VIDEO && !sequenceHeader) this.#frames++;
      this.#bytes += data.length;
    }
    const nowMs = this.#now();
    this.#frameRate.note(this.#frames, nowMs);
    this.#byteRate.note(this.#bytes, nowMs);
    this.#sink.write(group);
  }

  /** Recent kilobits per second. */
  bitrate(nowMs: number): number {
    return Math.round((this.#byteRate.perSecond(this.#bytes, nowMs) * 8) / 1000);
  }

  /** Recent frames per second. */
  frameRate(nowMs: number): number {
    return Math.round(this.#frameRate.perSecond(this.#frames, nowMs) * 10) / 10;
  }
}
