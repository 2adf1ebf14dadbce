import { TAG_AUDIO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import type { AudioFormat } from '../../renditions/audio-format.ts';
import type { SoundClip } from './sound-library.ts';

/** How long it is known what was played, in milliseconds: longer than a connection begins in the past. */
const REMEMBERED_MS = 10_000;
/** Timestamps are whole milliseconds. */
const ROUNDING_MS = 1;

/** What a switch needs to know of the audio. */
export type SwitchedAudio = Pick<AudioFormat, 'silence'> &
  Partial<Pick<AudioFormat, 'frameMs' | 'bodyMs' | 'silenceOf'>>;

/** A frame of the sound file, and by how much it is later than the live frame that it replaces. */
interface PlayedFrame {
  readonly laterMs: number;
  readonly data: Buffer;
}

/**
 * Selects the audio of one push: the live audio, silence, or a sound file. Audio frames are independent, so each live
 * frame is replaced by another one with the same timestamp: no restart, no gap, and timestamps never go back. Where live
 * frames are longer or shorter than those of the file, as with Opus, it is replaced by those that belong to its time.
 * All legs of the push play the same.
 */
export class AudioSwitch {
  readonly #audio: SwitchedAudio;
  readonly #onSoundEnd: () => void;
  #muted = false;
  #clip: SoundClip | undefined;
  #loop = false;
  #position = 0;
  /** The frames of the sound file by stream time, in order of that time. */
  readonly #played = new Map<number, readonly PlayedFrame[]>();
  #newestMs = -Infinity;
  /** When the next frame of the sound file is due, where live frames have other lengths. */
  #dueMs: number | undefined;

  /** @param onSoundEnd called when a sound file that does not loop has been played to its end */
  constructor(audio: SwitchedAudio, onSoundEnd: () => void) {
    this.#audio = audio;
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
   * What a leg gets; the group itself if nothing is replaced, `undefined` if nothing is left of it.
   *
   * @param baseMs stream time at which the leg's timestamps are 0
   */
  apply(group: TagGroup, baseMs: number): TagGroup | undefined {
    return this.#clip || this.#muted || this.#played.size > 0
      ? groupOf(group.tags.flatMap((tag) => this.#replace(tag, baseMs)))
      : group;
  }

  #replace(tag: FlvTag, baseMs: number): FlvTag | FlvTag[] {
    if (tag.type !== TAG_AUDIO || tag.sequenceHeader) return tag;
    const frames = this.#framesAt(tag.timestamp + baseMs, tag.data);
    if (frames) return frames.map(({ laterMs, data }) => ({ ...tag, timestamp: tag.timestamp + laterMs, data }));
    const { silence, silenceOf } = this.#audio;
    return this.#muted ? { ...tag, data: silenceOf?.(tag.data) ?? silence } : tag;
  }

  /**
   * The frames of the sound file for this time: those that another leg has played, or else the next ones. None for a
   * time before those that were played: a leg may begin a little in the past.
   */
  #framesAt(timeMs: number, live: Buffer): readonly PlayedFrame[] | undefined {
    if (timeMs <= this.#newestMs) return this.#played.get(timeMs);
    this.#forget(timeMs);
    if (!this.#clip) return undefined;
    const frames = this.#nextFrames(timeMs, live);
    this.#played.set(timeMs, frames);
    this.#newestMs = timeMs;
    return frames;
  }

  #nextFrames(timeMs: number, live: Buffer): PlayedFrame[] {
    const { frameMs = 0, bodyMs } = this.#audio;
    if (!bodyMs) return [{ laterMs: 0, data: this.#nextFrame()! }];
    const durationMs = bodyMs(live);
    // After a hole, or the beginning.
    if (this.#dueMs === undefined || Math.abs(this.#dueMs - timeMs) > frameMs) this.#dueMs = timeMs;
    const frames: PlayedFrame[] = [];
    while (this.#dueMs < timeMs + durationMs - ROUNDING_MS) {
      const data = this.#nextFrame();
      if (!data) break;
      frames.push({ laterMs: Math.round(this.#dueMs - timeMs), data });
      this.#dueMs += frameMs;
    }
    return frames;
  }

  #nextFrame(): Buffer | undefined {
    const clip = this.#clip;
    if (!clip) return undefined;
    const frame = clip.frames[this.#position]!;
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
    this.#dueMs = undefined;
  }

  #forget(nowMs: number): void {
    for (const timeMs of this.#played.keys()) {
      if (nowMs - timeMs < REMEMBERED_MS) return;
      this.#played.delete(timeMs);
    }
  }
}

const groupOf = (tags: readonly FlvTag[]): TagGroup | undefined => (tags.length > 0 ? new TagGroup(tags) : undefined);
