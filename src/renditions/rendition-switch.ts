import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import { TAG_VIDEO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { tickMs } from '../runtime/tick.ts';
import { RecentTags } from './recent-tags.ts';
import type { Rendition, RenditionEvents } from './rendition.ts';

/**
 * How long frames may be held for the frame of the other rendition that continues them, in milliseconds: the encoder's
 * delay.
 */
const MAX_HOLD_MS = 1500;
/** Times of key frames are whole milliseconds of a grid that is not. */
const GRID_MS = 5;
/** Frames held at most: what arrives in that time at 120 frames per second. */
const MAX_HELD = 256;

/** Frames of the direct rendition that wait for the other one. */
interface Hold {
  readonly fromMs: number;
  readonly tags: FlvTag[];
  /** The sequence header of the first of them. */
  readonly header: FlvTag | undefined;
  readonly cancelTimer: () => void;
}

interface Encoded {
  readonly rendition: Rendition;
  /** Milliseconds of media between two key frames, exactly. */
  readonly intervalMs: number;
  /** When the next key frame is to be expected, in stream time. */
  nextKeyFrameMs?: number;
  /** Nothing comes from it any more. */
  ended?: boolean;
}

export interface SwitchHandlers {
  /** The other rendition is on air from now on. */
  readonly onSwitched: (to: 'direct' | 'encoded') => void;
  /** The encoding was too late for a switch; its next key frame is tried. */
  readonly onMissed: () => void;
}

/**
 * A rendition that switches between a stream as it is and an encoding of the same stream, at key frames. Both have one
 * clock, and the encoding arrives later by the delay of its encoder. So that no time is skipped or sent twice, frames of
 * the direct rendition are held at a switch until the encoding has arrived there. Audio is that of the direct rendition.
 */
export class RenditionSwitch extends EventEmitter<RenditionEvents> implements Rendition {
  readonly #direct: Rendition;
  readonly #handlers: SwitchHandlers;
  readonly #clock: Clock;
  /** Of the encoding, with the audio of the direct rendition. */
  readonly #recent = new RecentTags();
  readonly #onDirect = (group: TagGroup): void => this.#takeDirect(group);
  readonly #onEncoded = (group: TagGroup): void => this.#takeEncoded(group);
  readonly #onFormat = (): void => this.#checkTracks();
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  #encoded: Encoded | undefined;
  #onAir: 'direct' | 'encoded' = 'direct';
  /** Which rendition is to be on air. */
  #wanted: 'direct' | 'encoded' = 'direct';
  #hold: Hold | undefined;
  /** What was sent last. */
  #videoHeader: FlvTag | undefined;
  #lastVideoMs = -1;
  /** The header of the direct rendition's next frame. */
  #directHeader: FlvTag | undefined;
  #hasVideo: boolean;
  #closed = false;

  constructor(direct: Rendition, handlers: SwitchHandlers, clock: Clock = systemClock) {
    super();
    this.#handlers = handlers;
    this.#clock = clock;
    this.setMaxListeners(0);
    this.#direct = direct;
    this.#hasVideo = direct.hasVideo;
    this.#directHeader = direct.videoHeader;
    this.#videoHeader = direct.videoHeader;
    direct.on('tags', this.#onDirect);
    direct.on('format', this.#onFormat);
    direct.on('failed', this.#onFailed);
  }

  get metadata(): StreamMetadata {
    return (this.#onAir === 'encoded' ? this.#encoded?.rendition.metadata : undefined) ?? this.#direct.metadata;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#videoHeader;
  }

  get audioHeader(): FlvTag | undefined {
    return this.#direct.audioHeader;
  }

  get hasVideo(): boolean {
    return this.#direct.hasVideo;
  }

  get recent(): TagGroup | undefined {
    if (this.#onAir === 'encoded') return this.#recent.since(tickMs());
    // While frames are held, the last ones of the direct rendition have not been sent.
    return this.#hold ? undefined : this.#direct.recent;
  }

  /** Which rendition is sent. */
  get onAir(): 'direct' | 'encoded' {
    return this.#onAir;
  }

  requestKeyFrame(): void {
    // The key frames of the encoding come at fixed intervals.
    if (this.#onAir === 'direct') this.#direct.requestKeyFrame();
  }

  /**
   * Switches to an encoding at its next key frame but one, whose time is known.
   *
   * @param intervalMs milliseconds of media between two of its key frames
   */
  toEncoded(rendition: Rendition, intervalMs: number): void {
    this.#wanted = 'encoded';
    if (this.#encoded?.rendition === rendition) {
      // The switch back has not happened yet: it goes on.
      if (this.#onAir === 'encoded') this.#endHold();
      return;
    }
    this.#dropEncoded();
    this.#encoded = { rendition, intervalMs };
    rendition.on('tags', this.#onEncoded);
  }

  /** Switches back at the next key frame of the direct rendition, which is requested. */
  toDirect(): void {
    this.#wanted = 'direct';
    if (this.#onAir === 'encoded') return this.#direct.requestKeyFrame();
    this.#releaseHeld();
    this.#dropEncoded();
    this.#handlers.onSwitched('direct');
  }

  /** The encoding has ended: the direct rendition goes on air at its next key frame. */
  encodedFailed(): void {
    if (!this.#encoded) return;
    this.#encoded.ended = true;
    this.toDirect();
    if (this.#onAir === 'encoded') this.#switchToDirect();
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hold?.cancelTimer();
    this.#hold = undefined;
    this.#dropEncoded();
    this.#direct.off('tags', this.#onDirect);
    this.#direct.off('format', this.#onFormat);
    this.#direct.off('failed', this.#onFailed);
  }

  #takeDirect(group: TagGroup): void {
    const isPlain = this.#onAir === 'direct' && !this.#hold && this.#encoded?.nextKeyFrameMs === undefined;
    const out: FlvTag[] = [];
    for (const tag of group.tags) {
      if (tag.type !== TAG_VIDEO) {
        out.push(tag);
        continue;
      }
      if (tag.sequenceHeader) this.#directHeader = tag;
      if (this.#onAir === 'direct') this.#takeOnAir(tag, out);
      else this.#takeOffAir(tag);
    }
    // The group itself where nothing is changed: what is computed for it serves all outputs.
    if (isPlain && out.length === group.tags.length) this.#send(group);
    else this.#sendTags(out);
  }

  /** A frame of the direct rendition while that is sent. */
  #takeOnAir(tag: FlvTag, out: FlvTag[]): void {
    const next = this.#encoded?.nextKeyFrameMs;
    if (!this.#hold && next !== undefined && !tag.sequenceHeader && tag.timestamp >= next - GRID_MS)
      this.#beginHold(tag.timestamp, this.#directHeader, () => this.#miss());
    if (this.#hold) this.#addHeld(tag, () => this.#miss(out));
    else out.push(tag);
  }

  /** A frame of the direct rendition while the encoding is sent. */
  #takeOffAir(tag: FlvTag): void {
    if (this.#wanted === 'direct' && !this.#hold && tag.keyFrame && !tag.sequenceHeader)
      this.#beginHold(tag.timestamp, this.#directHeader, () => this.#switchToDirect());
    if (this.#hold) this.#addHeld(tag, () => this.#switchToDirect());
    // Nothing follows that the held frames could wait for.
    if (this.#encoded?.ended) this.#switchToDirect();
  }

  #takeEncoded({ tags }: TagGroup): void {
    const out: FlvTag[] = [];
    for (const tag of tags) {
      // Audio is that of the direct rendition.
      if (tag.type !== TAG_VIDEO || !this.#encoded) continue;
      if (this.#onAir === 'direct') this.#takeWaiting(tag, out);
      else if (this.#hold && tag.timestamp >= this.#hold.fromMs) this.#switchToDirect(out);
      else if (!tag.sequenceHeader) out.push(tag);
      else if (!this.#videoHeader?.data.equals(tag.data)) out.push(tag);
    }
    this.#sendTags(out);
  }

  /** A frame of the encoding while the direct rendition is sent. */
  #takeWaiting(tag: FlvTag, out: FlvTag[]): void {
    const encoded = this.#encoded!;
    if (!tag.keyFrame || tag.sequenceHeader) return;
    if (tag.timestamp <= this.#lastVideoMs) {
      if (this.#hold) this.#miss(out);
      encoded.nextKeyFrameMs = tag.timestamp + encoded.intervalMs;
      // So late that its next key frame would be too late as well: the one after that is awaited.
      while (encoded.nextKeyFrameMs <= this.#lastVideoMs) encoded.nextKeyFrameMs += encoded.intervalMs;
      return;
    }
    this.#endHold();
    this.#onAir = 'encoded';
    this.#recent.clear();
    this.#pushHeader(encoded.rendition.videoHeader, tag.timestamp, out);
    out.push(tag);
    this.#handlers.onSwitched('encoded');
  }

  #switchToDirect(before: FlvTag[] = []): void {
    const hold = this.#endHold();
    if (!hold) return;
    this.#onAir = 'direct';
    this.#dropEncoded();
    const out = before;
    const [first] = hold.tags;
    this.#pushHeader(hold.header, first!.timestamp, out);
    // An encoder that hangs and wakes may have been sent further than the first of them.
    out.push(...hold.tags.filter((tag) => tag.timestamp > this.#lastVideoMs || tag.sequenceHeader));
    this.#sendTags(out.splice(0));
    this.#handlers.onSwitched('direct');
  }

  /** The encoding has not arrived in time. Its next key frame is awaited. */
  #miss(out?: FlvTag[]): void {
    this.#releaseHeld(out);
    this.#handlers.onMissed();
  }

  /** Sends held frames after all. */
  #releaseHeld(out: FlvTag[] = []): void {
    const hold = this.#endHold();
    if (!hold) return;
    if (this.#encoded) delete this.#encoded.nextKeyFrameMs;
    out.push(...hold.tags);
    this.#sendTags(out.splice(0));
  }

  #pushHeader(header: FlvTag | undefined, timestamp: number, out: FlvTag[]): void {
    if (header && !this.#videoHeader?.data.equals(header.data)) out.push({ ...header, timestamp });
  }

  #beginHold(fromMs: number, header: FlvTag | undefined, giveUp: () => void): void {
    this.#hold = { fromMs, header, tags: [], cancelTimer: this.#clock.after(MAX_HOLD_MS, giveUp) };
  }

  #addHeld(tag: FlvTag, giveUp: () => void): void {
    const { tags } = this.#hold!;
    // A copy: held longer than the tick.
    tags.push({ ...tag, data: Buffer.from(tag.data) });
    if (tags.length >= MAX_HELD) giveUp();
  }

  #endHold(): Hold | undefined {
    const hold = this.#hold;
    hold?.cancelTimer();
    this.#hold = undefined;
    return hold;
  }

  #dropEncoded(): void {
    this.#encoded?.rendition.off('tags', this.#onEncoded);
    this.#encoded = undefined;
  }

  #sendTags(tags: readonly FlvTag[]): void {
    if (tags.length > 0) this.#send(new TagGroup(tags));
  }

  #send(group: TagGroup): void {
    if (this.#closed) return;
    let hasHeader = false;
    for (const tag of group.tags) {
      if (tag.type !== TAG_VIDEO) continue;
      if (tag.sequenceHeader) {
        this.#videoHeader = tag;
        hasHeader = true;
      } else this.#lastVideoMs = tag.timestamp;
    }
    if (this.#onAir === 'encoded') this.#recent.add(group, tickMs());
    if (hasHeader) this.emit('format');
    this.emit('tags', group);
  }

  /** Headers are told with the tags that contain them; here it is whether there is video. */
  #checkTracks(): void {
    if (this.hasVideo === this.#hasVideo) return;
    this.#hasVideo = this.hasVideo;
    this.#recent.clear();
    this.emit('format');
  }
}
