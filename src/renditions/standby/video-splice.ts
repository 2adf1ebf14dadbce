import { withParameterSets } from '../../media/codecs/avc-in-band.ts';
import { TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { FrameRate } from './frame-rate.ts';
import type { FreezeFrames, StandbyClip } from './standby-clip.ts';
import {
  INITIAL_VIDEO,
  stepVideo,
  type VideoEffect,
  type VideoEvent,
  type VideoMode,
  type VideoState,
} from './video-mode.ts';

/** The longest hole that is filled with frames: a longer one means that the gateway stood still. Milliseconds. */
const MAX_HOLE_MS = 10_000;
/** Live video whose time is further ahead of the present than this has another clock. Milliseconds. */
const MAX_AHEAD_MS = 1000;

/** How long the first key frame of a publisher is waited for before standby takes its place. Milliseconds. */
const FIRST_FRAME_MS = 2500;

/** @returns `undefined` if the last frame cannot be repeated */
export type MakeFreezeFrames = (header: FlvTag, last: FlvTag) => FreezeFrames | undefined;

export interface VideoSpliceOptions {
  /** Milliseconds for which the last frame is repeated. */
  readonly freezeMs: number;
  readonly freezeFrames: MakeFreezeFrames;
  readonly emit: (tag: FlvTag) => void;
  /** Live video cannot go on without a key frame. */
  readonly requestKeyFrame: () => void;
}

/**
 * The video of a continuous rendition: live frames, repetitions of the last one, or a standby clip, with timestamps that
 * only increase and without gaps of more than two frame intervals. Times are milliseconds; `outMs` is the present of the
 * output.
 */
export class VideoSplice {
  readonly #options: VideoSpliceOptions;
  readonly rate = new FrameRate();
  #state: VideoState = INITIAL_VIDEO;
  #hasPicture: boolean;
  #clip: StandbyClip | undefined;
  /** Position of the next frame in the clip. */
  #index = 0;
  #freeze: FreezeFrames | undefined;
  #freezeStartMs = 0;
  /** When the next frame that is not live is due; `undefined`: at once. */
  #dueMs: number | undefined;
  /** The sequence header in force in the output. */
  #header: FlvTag | undefined;
  /** That of the live video, as it arrived. */
  #liveHeader: FlvTag | undefined;
  /** The last live frame of the output. */
  #lastFrame: FlvTag | undefined;
  #lastMs: number | undefined;
  /** Local time of the last live frame, or since when one is expected. */
  #arrivedMs: number;

  constructor(options: VideoSpliceOptions, hasPicture: boolean, nowMs: number) {
    this.#options = options;
    this.#hasPicture = hasPicture;
    this.#arrivedMs = nowMs;
  }

  get mode(): VideoMode {
    return this.#state.mode;
  }

  get held(): boolean {
    return this.#state.held;
  }

  /** Nothing is sent yet, because live video is expected. */
  get isUndecided(): boolean {
    return this.mode === 'idle' && !this.#state.due;
  }

  get header(): FlvTag | undefined {
    return this.#header;
  }

  get clip(): StandbyClip | undefined {
    return this.#clip;
  }

  get hasPicture(): boolean {
    return this.#hasPicture;
  }

  /** Another live rendition follows. */
  attach(header: FlvTag | undefined, nowMs: number): void {
    this.#liveHeader = header;
    this.#arrivedMs = nowMs;
    this.rate.restart();
  }

  /** @param atMs its time in the output */
  liveHeader(header: FlvTag, atMs: number): void {
    this.#liveHeader = header;
    if (this.mode === 'live') this.#announce(header, atMs);
  }

  /**
   * Takes a live frame.
   *
   * @param atMs its time in the output
   * @param outMs the present of the output
   * @returns by how much its time, and that of what follows, has to be shifted
   */
  liveFrame(tag: FlvTag, atMs: number, outMs: number, nowMs: number): number {
    this.rate.note(tag.timestamp, nowMs);
    this.#arrivedMs = nowMs;
    if (this.mode === 'live') {
      this.#sendLive(tag, atMs);
      return 0;
    }
    const startMs = atMs - outMs > MAX_AHEAD_MS ? Math.round(outMs) : atMs;
    // What was sent until now goes on until then.
    if (tag.keyFrame && !this.held) this.#produce(startMs - this.rate.intervalMs / 2);
    const effect = this.#dispatch({ type: 'frame', keyFrame: tag.keyFrame });
    return effect === 'start-live' ? this.#goLive(tag, startMs) - atMs : 0;
  }

  /** Live video has ceased. */
  absent(): void {
    this.#leaveLive('absent');
  }

  /** Fills the time until `outMs`, after finding out whether live video has ceased. */
  tick(outMs: number, nowMs: number): void {
    const waitedMs = nowMs - this.#arrivedMs;
    if (this.mode === 'live' ? waitedMs > this.rate.absentAfterMs : waitedMs > FIRST_FRAME_MS && this.isUndecided)
      this.absent();
    this.#produce(outMs);
  }

  hold(on: boolean): void {
    if (on) this.#leaveLive('hold');
    else this.#dispatch({ type: 'release' });
  }

  /** @param clip `undefined`: there is no standby picture */
  setClip(clip: StandbyClip | undefined): void {
    this.#clip = clip;
    this.#hasPicture = clip !== undefined;
    this.#dispatch({ type: clip ? 'clip-ready' : 'clip-gone' });
  }

  /** A standby picture is to be expected; what is sent goes on until its clip is there. */
  expectClip(): void {
    this.#hasPicture = true;
  }

  needKeyFrame(): void {
    this.#dispatch({ type: 'key-frame-needed' });
  }

  /** `canFreeze` is a question of the last frame, and costs a look into it. */
  #leaveLive(type: 'absent' | 'hold'): void {
    const freeze =
      this.mode === 'live' && this.#header && this.#lastFrame
        ? this.#options.freezeFrames(this.#header, this.#lastFrame)
        : undefined;
    if (freeze) this.#freeze = freeze;
    this.#dispatch({ type, canFreeze: freeze !== undefined });
  }

  #dispatch(event: VideoEvent): VideoEffect | undefined {
    const before = this.#state;
    const { state, effect } = stepVideo(before, event, {
      hasPicture: this.#hasPicture,
      freezes: this.#options.freezeMs > 0,
    });
    this.#state = state;
    if (before.mode === 'live' && state.mode !== 'live') {
      this.#lastFrame = undefined;
      this.#dueMs = this.#lastMs! + this.rate.intervalMs;
    }
    if (state.mode !== 'freeze') this.#freeze = undefined;
    switch (effect) {
      case 'start-freeze':
        this.#freezeStartMs = this.#lastMs ?? 0;
        break;
      case 'start-clip':
        this.#index = 0;
        break;
      case 'seek-key-frame':
        this.#seekKeyFrame();
        break;
      case 'request-key-frame':
        this.#options.requestKeyFrame();
        break;
      case 'start-live':
      case undefined:
    }
    return effect;
  }

  /** Frames that are not live, up to this time. */
  #produce(untilMs: number): void {
    if (this.#dueMs === undefined || untilMs - this.#dueMs > MAX_HOLE_MS) this.#dueMs = untilMs;
    while ((this.mode === 'freeze' || this.mode === 'standby') && this.#dueMs <= untilMs) {
      const isOver = this.mode === 'freeze' && this.#dueMs - this.#freezeStartMs >= this.#options.freezeMs;
      if (isOver && !this.#state.due) this.#dispatch({ type: 'freeze-over' });
      else this.#dueMs += this.#produceOne(this.#dueMs);
    }
  }

  /** @returns the duration of the frame */
  #produceOne(dueMs: number): number {
    const timestamp = Math.max(Math.round(dueMs), (this.#lastMs ?? -1) + 1);
    if (this.#freeze) {
      this.#send({ type: TAG_VIDEO, timestamp, data: this.#freeze.next(), keyFrame: false, sequenceHeader: false });
      return this.rate.intervalMs;
    }
    const { frames, header, format } = this.#clip!;
    const { data, keyFrame } = frames[this.#index]!;
    if (keyFrame) this.#announce({ data: header, ...(format.codec && { frameSize: format }) }, timestamp);
    this.#index = (this.#index + 1) % frames.length;
    this.#send({ type: TAG_VIDEO, timestamp, data, keyFrame, sequenceHeader: false });
    return 1000 / format.fps;
  }

  /** The next key frame follows at once: it begins the clip, or a part of it. */
  #seekKeyFrame(): void {
    const { frames } = this.#clip!;
    while (!frames[this.#index]!.keyFrame) this.#index = (this.#index + 1) % frames.length;
  }

  /** @returns when the key frame was sent */
  #goLive(tag: FlvTag, startMs: number): number {
    const isSwitch = this.#lastMs !== undefined;
    const timestamp = isSwitch ? Math.max(startMs, this.#lastMs! + Math.round(this.rate.intervalMs / 2)) : startMs;
    const header = this.#liveHeader;
    const isNew = header !== undefined && this.#announce(header, timestamp);
    const needsSets = isNew && isSwitch && isAvc(header.data);
    this.#sendLive(needsSets ? { ...tag, data: withParameterSets(header.data, tag.data) } : tag, timestamp);
    return timestamp;
  }

  #sendLive(tag: FlvTag, timestamp: number): void {
    this.#lastFrame = tag;
    this.#send(tag.timestamp === timestamp ? tag : { ...tag, timestamp });
  }

  /** Sends a sequence header if it differs from the one in force. @returns whether it does */
  #announce({ data, frameSize }: Pick<FlvTag, 'data' | 'frameSize'>, timestamp: number): boolean {
    if (this.#header?.data.equals(data)) return false;
    const header = { type: TAG_VIDEO, timestamp, data, keyFrame: false, sequenceHeader: true } as const;
    this.#header = frameSize ? { ...header, frameSize } : header;
    this.#options.emit(this.#header);
    return true;
  }

  #send(tag: FlvTag): void {
    this.#lastMs = tag.timestamp;
    this.#options.emit(tag);
  }
}

const CODEC_AVC = 7;
const isAvc = (body: Buffer): boolean => (body[0]! & 0x8f) === CODEC_AVC;
