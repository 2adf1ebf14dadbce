import type { Rendition } from '../../renditions/rendition.ts';
import { TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import { onMetaData } from '../../media/containers/script-data.ts';

/** A stream that promises frames and sends none must not keep its audio waiting for ever. */
const MAX_WAIT_MS = 3000;

/**
 * Turns the tags that flow by into those of a fresh connection: metadata, sequence headers, a key frame, then everything,
 * with timestamps from 0. Never starts in the middle of a group of frames.
 */
export class JoinPoint {
  readonly #rendition: Rendition;
  readonly #silence: Buffer;
  readonly #sendMetadata: boolean;
  readonly #startedAtMs: number;
  /** Stream time of this connection's 0. */
  #base: number | undefined;
  #videoJoined = false;

  /** @param silence an audio tag's body, which announces the audio of a codec that has no sequence header */
  constructor(rendition: Rendition, silence: Buffer, sendMetadata: boolean, nowMs: number) {
    this.#rendition = rendition;
    this.#silence = silence;
    this.#sendMetadata = sendMetadata;
    this.#startedAtMs = nowMs;
  }

  /** Whether it has found its first frame, or given up waiting for one. */
  get begun(): boolean {
    return this.#base !== undefined;
  }

  /** Whether its frames have begun. */
  get hasFrames(): boolean {
    return this.#videoJoined;
  }

  /** What is to be sent for the next tags of the rendition; nothing while its beginning is awaited. */
  take(group: TagGroup, nowMs: number): TagGroup | undefined {
    const base = this.#base;
    if (
      base !== undefined &&
      (this.#videoJoined || !this.#rendition.hasVideo) &&
      group.tags.every((tag) => tag.timestamp >= base)
    )
      return group.since(base);
    // Of several key frames it begins at the last, for that is the one to which the rendition's header belongs.
    const lastKeyFrame = group.tags.findLast((tag) => tag.keyFrame && !tag.sequenceHeader);
    const tags = group.tags.flatMap((tag) => this.#takeTag(tag, tag === lastKeyFrame, nowMs));
    return tags.length > 0 ? new TagGroup(tags) : undefined;
  }

  #takeTag(tag: FlvTag, isLastKeyFrame: boolean, nowMs: number): FlvTag[] {
    if (this.#base === undefined) {
      if (tag.sequenceHeader) return [];
      const starts =
        tag.type === TAG_VIDEO ? isLastKeyFrame : !this.#rendition.hasVideo || nowMs - this.#startedAtMs > MAX_WAIT_MS;
      return starts ? this.#begin(tag) : [];
    }
    if (tag.type === TAG_VIDEO && !this.#videoJoined) {
      if (!isLastKeyFrame) return [];
      // Older than the beginning, as an encoder's that was slow to start: neither it nor what follows from it has a time here.
      if (tag.timestamp < this.#base) {
        this.#rendition.requestKeyFrame();
        return [];
      }
      this.#videoJoined = true;
      const header = this.#rendition.videoHeader;
      return header ? [this.#rebase(header, tag.timestamp), this.#rebase(tag)] : [this.#rebase(tag)];
    }
    // Audio from before the first frame: it is late by what its encoder takes.
    if (tag.timestamp < this.#base) return tag.sequenceHeader ? [this.#rebase(tag, this.#base)] : [];
    return [this.#rebase(tag)];
  }

  #begin(first: FlvTag): FlvTag[] {
    this.#base = first.timestamp;
    this.#videoJoined = first.type === TAG_VIDEO;
    const { audioHeader, videoHeader, metadata } = this.#rendition;
    const tags: FlvTag[] = [];
    if (this.#sendMetadata)
      tags.push({ type: TAG_SCRIPT, timestamp: 0, data: onMetaData(metadata), keyFrame: false, sequenceHeader: false });
    if (videoHeader && this.#videoJoined) tags.push(this.#rebase(videoHeader, this.#base));
    // Before the frame: readers that look at the first kilobyte must find both tracks there.
    if (audioHeader) tags.push(this.#rebase(audioHeader, this.#base));
    else if (first.type === TAG_VIDEO)
      tags.push({ type: TAG_AUDIO, timestamp: 0, data: this.#silence, keyFrame: false, sequenceHeader: false });
    return [...tags, this.#rebase(first)];
  }

  #rebase(tag: FlvTag, timestamp = tag.timestamp): FlvTag {
    return { ...tag, timestamp: timestamp - this.#base! };
  }
}
