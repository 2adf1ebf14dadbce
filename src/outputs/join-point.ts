import { VIDEO_PATIENCE_MS, type Rendition } from '../renditions/rendition.ts';
import { presentationMs, TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { onMetaData } from '../media/containers/script-data.ts';

/**
 * Creates the beginning of an output from the tags of a running rendition: metadata, sequence headers, a key frame,
 * then everything, with timestamps from 0. Never begins in the middle of a group of frames.
 */
export class JoinPoint {
  readonly #rendition: Rendition;
  readonly #silence: Buffer;
  readonly #sendMetadata: boolean;
  readonly #startedAtMs: number;
  /** Stream time at which the output's timestamps are 0. */
  #base: number | undefined;
  #videoJoined = false;
  /**
   * When the first key frame is shown, until a frame comes that is shown after it. Frames that are decoded after it and
   * shown before it refer to frames that this output has not got.
   */
  #firstShownMs: number | undefined;
  #sentMetadata: Buffer | undefined;
  /** The format has changed: the metadata that was sent may no longer be true. */
  #formatChanged = false;

  /** @param silence body of an audio tag, which announces the audio of a codec that has no sequence header */
  constructor(rendition: Rendition, silence: Buffer, sendMetadata: boolean, nowMs: number) {
    this.#rendition = rendition;
    this.#silence = silence;
    this.#sendMetadata = sendMetadata;
    this.#startedAtMs = nowMs;
  }

  /** Whether the output has begun: with a key frame, or with audio alone after waiting in vain for one. */
  get begun(): boolean {
    return this.#base !== undefined;
  }

  /** Stream time at which the output's timestamps are 0; 0 before the beginning. */
  get baseMs(): number {
    return this.#base ?? 0;
  }

  /** The rendition has another format from the next group on. */
  changeFormat(): void {
    this.#formatChanged = this.#sendMetadata && this.begun;
  }

  /** Whether the video has begun. */
  get hasFrames(): boolean {
    return this.#videoJoined;
  }

  /** What is to be sent for the next group of the rendition; nothing before the beginning. */
  take(group: TagGroup, nowMs: number): TagGroup | undefined {
    const joined = this.#join(group, nowMs);
    return joined && this.#formatChanged ? this.#withMetadata(joined) : joined;
  }

  /** Metadata that has changed precedes the sequence header of the new format. */
  #withMetadata({ tags }: TagGroup): TagGroup {
    this.#formatChanged = false;
    const data = onMetaData(this.#rendition.metadata);
    if (this.#sentMetadata?.equals(data)) return new TagGroup(tags);
    this.#sentMetadata = data;
    const header = tags.findIndex((tag) => tag.type === TAG_VIDEO && tag.sequenceHeader);
    const at = Math.max(header, 0);
    return new TagGroup([...tags.slice(0, at), scriptTag(data, tags[at]!.timestamp), ...tags.slice(at)]);
  }

  #join(group: TagGroup, nowMs: number): TagGroup | undefined {
    const base = this.#base;
    if (
      base !== undefined &&
      (this.#videoJoined || !this.#rendition.hasVideo) &&
      this.#firstShownMs === undefined &&
      group.tags.every((tag) => tag.timestamp >= base)
    )
      return group.since(base);
    // Begins at the last of several key frames: the rendition's header belongs to that one.
    const lastKeyFrame = group.tags.findLast((tag) => tag.keyFrame && !tag.sequenceHeader);
    const tags = group.tags.flatMap((tag) => this.#takeTag(tag, tag === lastKeyFrame, nowMs));
    return tags.length > 0 ? new TagGroup(tags) : undefined;
  }

  #takeTag(tag: FlvTag, isLastKeyFrame: boolean, nowMs: number): FlvTag[] {
    if (this.#base === undefined) {
      if (tag.sequenceHeader) return [];
      const starts =
        tag.type === TAG_VIDEO
          ? isLastKeyFrame
          : !this.#rendition.hasVideo || nowMs - this.#startedAtMs > VIDEO_PATIENCE_MS;
      return starts ? this.#begin(tag) : [];
    }
    if (tag.type === TAG_VIDEO && !this.#videoJoined) {
      if (!isLastKeyFrame) return [];
      // Older than the beginning, because its encoder was slow to start: its timestamp would be negative, and the
      // frames after it depend on it.
      if (tag.timestamp < this.#base) {
        this.#rendition.requestKeyFrame();
        return [];
      }
      this.#joinVideo(tag);
      const header = this.#rendition.videoHeader;
      return header ? [this.#rebase(header, tag.timestamp), this.#rebase(tag)] : [this.#rebase(tag)];
    }
    if (tag.type === TAG_VIDEO && this.#precedesFirst(tag)) return [];
    // Audio from before the first frame: audio arrives later than video by the delay of its encoder.
    if (tag.timestamp < this.#base) return tag.sequenceHeader ? [this.#rebase(tag, this.#base)] : [];
    return [this.#rebase(tag)];
  }

  #joinVideo(keyFrame: FlvTag): void {
    this.#videoJoined = true;
    const shownMs = presentationMs(keyFrame);
    // Without a composition time, frames are not reordered.
    this.#firstShownMs = shownMs > keyFrame.timestamp ? shownMs : undefined;
  }

  #precedesFirst(tag: FlvTag): boolean {
    if (this.#firstShownMs === undefined || tag.sequenceHeader) return false;
    if (presentationMs(tag) < this.#firstShownMs) return true;
    this.#firstShownMs = undefined;
    return false;
  }

  #begin(first: FlvTag): FlvTag[] {
    this.#base = first.timestamp;
    if (first.type === TAG_VIDEO) this.#joinVideo(first);
    const { audioHeader, videoHeader, metadata } = this.#rendition;
    const tags: FlvTag[] = [];
    if (this.#sendMetadata) {
      this.#sentMetadata = onMetaData(metadata);
      tags.push(scriptTag(this.#sentMetadata, 0));
    }
    if (videoHeader && this.#videoJoined) tags.push(this.#rebase(videoHeader, this.#base));
    // Before the frame: readers that probe the first kilobyte must find both tracks there.
    if (audioHeader) tags.push(this.#rebase(audioHeader, this.#base));
    else if (first.type === TAG_VIDEO)
      tags.push({ type: TAG_AUDIO, timestamp: 0, data: this.#silence, keyFrame: false, sequenceHeader: false });
    return [...tags, this.#rebase(first)];
  }

  #rebase(tag: FlvTag, timestamp = tag.timestamp): FlvTag {
    return { ...tag, timestamp: timestamp - this.#base! };
  }
}

const scriptTag = (data: Buffer, timestamp: number): FlvTag => ({
  type: TAG_SCRIPT,
  timestamp,
  data,
  keyFrame: false,
  sequenceHeader: false,
});
