import { TAG_AUDIO, TAG_SCRIPT, type FlvTag } from '../../media/containers/flv-tag.ts';
import type { AudioFormat } from '../audio-format.ts';
import { AUDIO_BEHIND_MS, AudioSplice } from './audio-splice.ts';
import { OutputClock } from './output-clock.ts';
import type { StandbyClip } from './standby-clip.ts';
import { VideoSplice, type MakeFreezeFrames } from './video-splice.ts';

export interface StandbySplicerOptions {
  /** Milliseconds for which the last frame is repeated. */
  readonly freezeMs: number;
  /** Whether a clip is to be expected. */
  readonly hasPicture: boolean;
  readonly silence: Pick<AudioFormat, 'frameMs' | 'bodyMs' | 'silence'>;
  readonly freezeFrames: MakeFreezeFrames;
  /** Live video cannot go on without a key frame. */
  readonly requestKeyFrame: () => void;
}

/**
 * Joins what live renditions send, repeated frames, a standby clip and silence into one sequence of tags on one clock.
 * Each method returns the tags that it causes. Time is passed in, in milliseconds of the local clock.
 */
export class StandbySplicer {
  readonly #video: VideoSplice;
  readonly #audio: AudioSplice;
  readonly #clock: OutputClock;
  #isAttached = false;
  /** What is added to the times of the live rendition; `undefined` until its first tag. */
  #offsetMs: number | undefined;
  #tags: FlvTag[] = [];
  #hasBegun = false;

  constructor({ silence, hasPicture, ...options }: StandbySplicerOptions, nowMs: number) {
    const emit = (tag: FlvTag): void => {
      this.#hasBegun = true;
      this.#tags.push(tag);
    };
    this.#video = new VideoSplice({ ...options, emit }, hasPicture, nowMs);
    this.#audio = new AudioSplice(silence, emit, nowMs);
    this.#clock = new OutputClock(nowMs);
  }

  get video(): Pick<VideoSplice, 'mode' | 'held' | 'isUndecided' | 'header' | 'clip' | 'hasPicture' | 'rate'> {
    return this.#video;
  }

  /** What is to be added to the times of the live rendition. */
  get offsetMs(): number {
    return this.#offsetMs ?? 0;
  }

  /** A live rendition follows. @param header its sequence header, if that is known */
  attach(header: FlvTag | undefined, nowMs: number): void {
    this.#isAttached = true;
    this.#offsetMs = undefined;
    this.#clock.interrupt();
    this.#video.attach(header, nowMs);
  }

  /** The live rendition is gone. */
  detach(nowMs: number): FlvTag[] {
    this.#isAttached = false;
    this.#audio.expectSilence();
    return this.lost(nowMs);
  }

  /** The live rendition sends no video: its publisher is gone, and may return, or has none. */
  lost(nowMs: number): FlvTag[] {
    this.#clock.interrupt();
    this.#video.absent();
    return this.tick(nowMs);
  }

  /** Takes what the live rendition sends. @returns the same array if nothing has to be changed */
  take(tags: readonly FlvTag[], nowMs: number): readonly FlvTag[] {
    for (const tag of tags) this.#takeOne(tag, nowMs);
    const taken = this.#takeTags();
    return taken.length === tags.length && taken.every((tag, index) => tag === tags[index]) ? tags : taken;
  }

  /** To be called at intervals of about a frame. */
  tick(nowMs: number): FlvTag[] {
    const outMs = this.#clock.outMs(nowMs);
    this.#video.tick(outMs, nowMs);
    this.#audio.fill(outMs, nowMs);
    return this.#takeTags();
  }

  /** Switches to standby by hand, and back. Audio is silent too: it is a break in the show. */
  hold(on: boolean, nowMs: number): FlvTag[] {
    if (on) this.#audio.expectSilence();
    this.#video.hold(on);
    return this.tick(nowMs);
  }

  setClip(clip: StandbyClip | undefined): void {
    this.#video.setClip(clip);
  }

  expectClip(): void {
    this.#video.expectClip();
  }

  needKeyFrame(): void {
    this.#video.needKeyFrame();
  }

  #takeOne(tag: FlvTag, nowMs: number): void {
    if (tag.type === TAG_SCRIPT || !this.#isAttached) return;
    if (tag.type === TAG_AUDIO) {
      if (!tag.sequenceHeader && !this.#video.held) this.#takeAudio(tag, nowMs);
      return;
    }
    const atMs = this.#outTime(tag, nowMs, 0);
    if (tag.sequenceHeader) return this.#video.liveHeader(tag, atMs);
    const shiftMs = this.#video.liveFrame(tag, atMs, this.#clock.outMs(nowMs), nowMs);
    this.#offsetMs! += shiftMs;
    if (shiftMs !== 0) this.#clock.interrupt();
    if (this.#video.mode === 'live') this.#clock.follow('video', atMs + shiftMs, nowMs);
  }

  #takeAudio(tag: FlvTag, nowMs: number): void {
    const atMs = this.#outTime(tag, nowMs, AUDIO_BEHIND_MS);
    if (this.#video.mode !== 'live') this.#clock.follow('audio', atMs, nowMs);
    this.#audio.live(tag, atMs, nowMs);
  }

  /**
   * The time of a live tag in the output. The first one of a rendition defines it; if it is the first one of all, the
   * output takes over the times of the rendition, whose groups then pass as they are.
   *
   * @param lagMs by how much tags of its kind are late
   */
  #outTime({ timestamp }: FlvTag, nowMs: number, lagMs: number): number {
    if (this.#offsetMs === undefined) {
      this.#offsetMs = 0;
      if (this.#hasBegun) this.#offsetMs = Math.round(this.#clock.outMs(nowMs) - lagMs) - timestamp;
      else this.#clock.begin(timestamp + lagMs, nowMs);
    }
    return timestamp + this.#offsetMs;
  }

  #takeTags(): FlvTag[] {
    const tags = this.#tags;
    this.#tags = [];
    return tags;
  }
}
