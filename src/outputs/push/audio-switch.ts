import { TAG_AUDIO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import type { SoundClip } from './sound-library.ts';

/**
 * What one destination hears: the live audio, silence, or a sound file. Audio frames stand alone and all have the same
 * length, so each live frame is exchanged for another one of the same time: no restart, no gap, no timestamp that goes back.
 */
export class AudioSwitch {
  readonly #silence: Buffer;
  readonly #onSoundEnd: () => void;
  #muted = false;
  #clip: SoundClip | undefined;
  #loop = false;
  #position = 0;

  /**
   * @param silence an audio tag's body, as long as those of the live audio
   * @param onSoundEnd runs when a sound that does not loop has been played to its end
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

  /** The clip replaces the live audio, muted or not; started anew if it was already playing. */
  soundOn(clip: SoundClip, loop: boolean): void {
    this.#clip = clip;
    this.#loop = loop;
    this.#position = 0;
  }

  soundOff(): void {
    this.#clip = undefined;
  }

  /** What the destination gets instead; the group itself where nothing is exchanged. */
  apply(group: TagGroup): TagGroup {
    return this.#clip || this.#muted ? new TagGroup(group.tags.map((tag) => this.#exchange(tag))) : group;
  }

  #exchange(tag: FlvTag): FlvTag {
    if (tag.type !== TAG_AUDIO || tag.sequenceHeader) return tag;
    const clip = this.#clip;
    if (!clip) return this.#muted ? { ...tag, data: this.#silence } : tag;
    const data = clip.frames[this.#position]!;
    if (++this.#position === clip.frames.length) {
      this.#position = 0;
      if (!this.#loop) {
        this.#clip = undefined;
        this.#onSoundEnd();
      }
    }
    return { ...tag, data };
  }
}
