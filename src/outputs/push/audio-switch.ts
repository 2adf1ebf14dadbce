import { TAG_AUDIO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import type { SoundClip } from './sound-library.ts';

/** How long it is known what was played, in milliseconds: longer than a connection begins in the past. */
const REMEMBERED_MS = 10_000;

/**
 * Selects the audio of one push: the live audio, silence, or a sound file. Audio frames are independent and of the same
 * length, so each live frame is replaced by another one with the same timestamp: no restart, no gap, and timestamps
 * never go back. All legs of the push play the same.
 */
export class AudioSwitch {
  readonly #silence: Buffer;
  readonly #onSoundEnd: () => void;
  #muted = false;
  #clip: SoundClip | undefined;
  #loop = false;
  #position = 0;
  /** The frames of the sound file by stream time, in order of that time. */
  readonly #played = new Map<number, Buffer>();
  #newestMs = -Infinity;

  /**
   * @param silence body of an audio tag, of the same duration as those of the live audio
   * @param onSoundEnd called when a sound file that does not loop has been played to its end
   */
  constructor(silence: Buffer, onSoundEnd: () => void) {
    this.#silence = silence;
    this.#onSoundEnd = onSoundEnd;
  }

  get muted(): boolean {
    return this.#muted;
  }

  get soundEnabled(): boolean {
    return this.#clip !== undefined;
  }

  mute(): void {
    this.#muted = true;
  }

  unmute(): void {
    this.#muted = false;
  }

  /** The clip replaces the live audio, whether muted or not. It starts from the beginning if it was already playing. */
  soundOn(clip: SoundClip, loop: boolean): void {
    this.#clip = clip;
    this.#loop = loop;
    this.#position = 0;
    this.#forgetAll();
  }

  soundOff(): void {
    this.#clip = undefined;
    this.#forgetAll();
  }

  /**
   * What a leg gets; the group itself if nothing is replaced.
   *
   * @param baseMs stream time at which the leg's timestamps are 0
   */
  apply(group: TagGroup, baseMs: number): TagGroup {
    return this.#clip || this.#muted || this.#played.size > 0
      ? new TagGroup(group.tags.map((tag) => this.#replace(tag, baseMs)))
      : group;
  }

  #replace(tag: FlvTag, baseMs: number): FlvTag {
    if (tag.type !== TAG_AUDIO || tag.sequenceHeader) return tag;
    const data = this.#frameAt(tag.timestamp + baseMs);
    if (data) return { ...tag, data };
    return this.#muted ? { ...tag, data: this.#silence } : tag;
  }

  /**
   * The frame of the sound file for this time: the one that another leg has played, or else the next one. None for a
   * time before those that were played: a leg may begin a little in the past.
   */
  #frameAt(timeMs: number): Buffer | undefined {
    if (timeMs <= this.#newestMs) return this.#played.get(timeMs);
    this.#forget(timeMs);
    const clip = this.#clip;
    if (!clip) return undefined;
    const frame = clip.frames[this.#position]!;
    this.#played.set(timeMs, frame);
    this.#newestMs = timeMs;
    if (++this.#position === clip.frames.length) {
      this.#position = 0;
      if (!this.#loop) {
        this.#clip = undefined;
        this.#onSoundEnd();
      }
    }
    return frame;
  }

  #forgetAll(): void {
    this.#played.clear();
    this.#newestMs = -Infinity;
  }

  #forget(nowMs: number): void {
    for (const timeMs of this.#played.keys()) {
      if (nowMs - timeMs < REMEMBERED_MS) return;
      this.#played.delete(timeMs);
    }
  }
}
