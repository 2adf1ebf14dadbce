import { TAG_AUDIO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import type { SoundClip } from './sound-library.ts';

/**
 * Selects the audio of one destination: the live audio, silence, or a sound file. Audio frames are independent and of
 * the same length, so each live frame is replaced by another one with the same timestamp: no restart, no gap, and
 * timestamps never go back.
 */
export class AudioSwitch {
  readonly #silence: Buffer;
  readonly #onSoundEnd: () => void;
  #muted = false;
  #clip: SoundClip | undefined;
  #loop = false;
  #position = 0;

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
  }

  soundOff(): void {
    this.#clip = undefined;
  }

  /** What the destination gets; the group itself if nothing is replaced. */
  apply(group: TagGroup): TagGroup {
    return this.#clip || this.#muted ? new TagGroup(group.tags.map((tag) => this.#replace(tag))) : group;
  }

  #replace(tag: FlvTag): FlvTag {
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
