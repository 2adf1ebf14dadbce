import { EventEmitter } from 'node:events';
import { GatewayError } from '../../errors.ts';
import { fourccNumber, VIDEO_FOURCC } from '../../media/containers/enhanced-tag.ts';
import { TAG_AUDIO, type FlvTag, type StreamMetadata } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';
import type { Logger } from '../../observe/logger.ts';
import { tickMs } from '../../runtime/tick.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { AudioFormat } from '../audio-format.ts';
import type { EncodeProfile } from '../encode-profile.ts';
import { mediaTicker } from '../media-ticker.ts';
import type { Rendition, RenditionEvents } from '../rendition.ts';
import { ClipPreparation, type LiveVideo } from './clip-preparation.ts';
import { HoldTime } from './hold-time.ts';
import { LiveLease, type AcquireRendition } from './live-lease.ts';
import type { StandbyClipSource, StandbyPicture } from './standby-clip.ts';
import { StandbySplicer } from './standby-splicer.ts';
import { isSameState, type StandbyAbsence, type StandbyState } from './standby-state.ts';
import type { MakeFreezeFrames } from './video-splice.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';

/** A shorter interruption of the video of a present publisher is not reported. Milliseconds. */
const REPORTED_AFTER_MS = 1000;
/** Interval at which the clip is compared with the live video, in milliseconds. */
const CLIP_CHECK_MS = 2000;

export interface ContinuousRenditionOptions {
  readonly streamName: string;
  readonly profile: EncodeProfile;
  /** Milliseconds for which the last frame is repeated. */
  readonly freezeMs: number;
  /** What follows; unset: no video. */
  readonly picture?: StandbyPicture;
  /** Milliseconds without a publisher after which the rendition fails; 0: never. */
  readonly holdMs: number;
  readonly keyFrameIntervalMs: number;
  /** Since when there has been no publisher, if that was before: the hold time counts from then. */
  readonly awaySince?: Date;
  readonly registry: StreamRegistry;
  readonly acquire: AcquireRendition;
  /** Of the live renditions. */
  readonly audio: AudioFormat;
  readonly clips: StandbyClipSource;
  readonly freezeFrames: MakeFreezeFrames;
  readonly logger: Logger;
}

/**
 * A stream name as a rendition that never pauses: the live rendition while somebody publishes, otherwise its last frame
 * repeated, then a standby clip, and silence. Its clock only goes forward. It has one user, because standby is switched
 * per push.
 */
export class ContinuousRendition extends EventEmitter<RenditionEvents> implements Rendition {
  readonly audioHeader: FlvTag | undefined;
  /** `change`: of {@link standby} or {@link absence}. */
  readonly changes = new EventEmitter<{ change: [] }>();
  readonly #options: ContinuousRenditionOptions;
  readonly #live: LiveLease;
  readonly #splicer: StandbySplicer;
  readonly #preparation: ClipPreparation;
  readonly #holdTime: HoldTime;
  readonly #audioMetadata: StreamMetadata;
  readonly #onTags = (group: TagGroup): void => this.#take(group);
  readonly #onFormat = (): void => this.#formatChanged();
  #stopTicking: () => void = () => {};
  /** The live rendition, while there is one. */
  #attached: Rendition | undefined;
  #clipPicture: StandbyPicture['source'] | undefined;
  /** The live video, as it was when there was one. */
  #lastVideo: LiveVideo | undefined;
  #header: FlvTag | undefined;
  #hasVideo: boolean;
  #checkedMs = -Infinity;
  /** Since when there is no live video, and on the local clock. */
  #since: Date | undefined;
  #sinceMs = 0;
  #standby: StandbyState | undefined;
  #failure: GatewayError | undefined;
  /** The hold time is over. */
  #ended: GatewayError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: ContinuousRenditionOptions) {
    super();
    this.setMaxListeners(0);
    const { streamName, registry, acquire, audio, freezeMs, freezeFrames, picture } = options;
    this.#options = options;
    this.audioHeader = audio.header && {
      type: TAG_AUDIO,
      timestamp: 0,
      data: audio.header,
      keyFrame: false,
      sequenceHeader: true,
    };
    this.#audioMetadata = audio.metadata;
    this.#hasVideo = picture !== undefined;
    this.#holdTime = new HoldTime({
      holdMs: options.holdMs,
      awaySince: options.awaySince,
      onExpired: () => this.#expire(),
    });
    this.#live = new LiveLease(streamName, registry, acquire);
    this.#splicer = new StandbySplicer(
      {
        freezeMs,
        hasPicture: picture !== undefined,
        silence: audio,
        freezeFrames,
        requestKeyFrame: () => this.#attached?.requestKeyFrame(),
      },
      tickMs(),
    );
    this.#preparation = new ClipPreparation(
      {
        ...options,
        onReady: (clip, { source }) => {
          this.#clipPicture = source;
          this.#splicer.setClip(clip);
          this.#tick();
        },
      },
      picture,
    );
  }

  /**
   * Waits for the live rendition if the stream is live.
   *
   * @throws {GatewayError} if the live rendition cannot be had; PUBLISHER_LOST if the hold time ends meanwhile
   */
  static async create(options: ContinuousRenditionOptions): Promise<ContinuousRendition> {
    const rendition = new ContinuousRendition(options);
    try {
      await rendition.#start();
      // Nobody has heard of it.
      if (rendition.#ended) throw rendition.#ended;
    } catch (error) {
      await rendition.close();
      throw error;
    }
    return rendition;
  }

  get metadata(): StreamMetadata {
    const { mode, clip } = this.#splicer.video;
    if (mode !== 'standby' || !clip) return { ...this.#audioMetadata, ...this.#lastVideo?.metadata };
    const { width, height, fps, codec } = clip.format;
    const videoCodecId = codec ? fourccNumber(VIDEO_FOURCC[codec]) : AVC_CODEC_ID;
    return { ...this.#audioMetadata, width, height, frameRate: fps, videoCodecId };
  }

  get videoHeader(): FlvTag | undefined {
    return this.#header;
  }

  get hasVideo(): boolean {
    return this.#hasVideo;
  }

  get recent(): TagGroup | undefined {
    if (this.#splicer.video.mode !== 'live') return undefined;
    return this.#attached?.recent?.since(-this.#splicer.offsetMs);
  }

  /** Set while standby is shown. */
  get standby(): StandbyState | undefined {
    return this.#standby;
  }

  /** Set while there is no publisher. */
  get absence(): StandbyAbsence | undefined {
    return this.#holdTime.absence;
  }

  /** Why the live rendition cannot be had although there is a publisher. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  requestKeyFrame(): void {
    this.#splicer.needKeyFrame();
  }

  /** Switches to standby by hand, or back to the live stream. */
  hold(on: boolean): void {
    this.#send(this.#splicer.hold(on, tickMs()));
    this.#tick();
  }

  /** Another standby picture; what is shown goes on until its clip is ready. `undefined`: none. */
  changePicture(picture: StandbyPicture | undefined): void {
    this.#preparation.change(picture);
    if (picture) this.#splicer.expectClip();
    else this.#splicer.setClip(undefined);
    this.#tick();
  }

  /** Emits nothing afterwards. Waits until the live rendition is released. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #start(): Promise<void> {
    const live = this.#live;
    live.on('attached', (rendition) => this.#attach(rendition));
    live.on('detached', () => this.#detach());
    live.on('publisher', () => this.#publisherChanged());
    live.on('failed', (error) => {
      this.#failure = error;
      const { code, message } = error;
      this.#options.logger.warn({ code, reason: message }, 'the live stream cannot be used, standby goes on');
      this.changes.emit('change');
    });
    this.#stopTicking = mediaTicker.listen(() => this.#tick());
    await live.start();
    if (!live.stream) {
      this.#publisherChanged();
      this.#splicer.lost(tickMs());
    }
    this.#tick();
  }

  async #close(): Promise<void> {
    this.#stopTicking();
    this.#holdTime.close();
    this.#preparation.close();
    this.changes.removeAllListeners();
    this.#stopListening();
    await this.#live.close();
  }

  #attach(rendition: Rendition): void {
    this.#failure = undefined;
    this.#attached = rendition;
    this.#splicer.attach(rendition.videoHeader, tickMs());
    rendition.on('tags', this.#onTags);
    rendition.on('format', this.#onFormat);
    const { recent } = rendition;
    if (recent) this.#take(recent);
    this.#formatChanged();
    rendition.requestKeyFrame();
  }

  #stopListening(): void {
    this.#attached?.off('tags', this.#onTags);
    this.#attached?.off('format', this.#onFormat);
    this.#attached = undefined;
  }

  #detach(): void {
    this.#stopListening();
    this.#send(this.#splicer.detach(tickMs()));
    this.#tick();
  }

  #formatChanged(): void {
    const rendition = this.#attached!;
    if (rendition.hasVideo) this.#lastVideo = videoOf(rendition);
    else this.#send(this.#splicer.lost(tickMs()));
    this.#tick();
  }

  /** The hold time runs while there is no publisher. */
  #publisherChanged(): void {
    const isAway = !this.#live.stream?.publisher;
    if (isAway) this.#send(this.#splicer.lost(tickMs()));
    if (this.#holdTime.update(isAway)) this.changes.emit('change');
    this.#tick();
  }

  #expire(): void {
    const seconds = this.#options.holdMs / 1000;
    this.#ended = new GatewayError(
      'PUBLISHER_LOST',
      `There was no publisher for ${seconds} s (standby.holdMs), so the push has ended.`,
    );
    this.emit('failed', this.#ended);
  }

  #take(group: TagGroup): void {
    const tags = this.#splicer.take(group.tags, tickMs());
    if (tags === group.tags) this.#sendGroup(group);
    else this.#send(tags);
  }

  #tick(): void {
    if (this.#closing) return;
    const nowMs = tickMs();
    this.#send(this.#splicer.tick(nowMs));
    this.#report(nowMs);
    const { mode, clip, rate } = this.#splicer.video;
    const isNeeded = mode !== 'live' && !clip;
    if (!isNeeded && nowMs - this.#checkedMs < CLIP_CHECK_MS) return;
    this.#checkedMs = nowMs;
    if (mode === 'live' && this.#attached) this.#lastVideo = videoOf(this.#attached);
    // Before the first frame of a publisher the size of its frames is not known yet.
    const canGuess = isNeeded && this.#since !== undefined;
    this.#preparation.check(this.#lastVideo, rate, canGuess, nowMs);
  }

  #send(tags: readonly FlvTag[]): void {
    if (tags.length > 0) this.#sendGroup(new TagGroup(tags));
  }

  #sendGroup(group: TagGroup): void {
    if (this.#closing) return;
    const { header, mode, hasPicture } = this.#splicer.video;
    const hasVideo = hasPicture || mode === 'live' || mode === 'freeze' || this.#attached?.hasVideo === true;
    if (header !== this.#header || hasVideo !== this.#hasVideo) {
      this.#header = header;
      this.#hasVideo = hasVideo;
      this.emit('format');
    }
    this.emit('tags', group);
  }

  /** Reports when standby begins and ends, and which picture is shown. */
  #report(nowMs: number): void {
    const { mode, held, isUndecided } = this.#splicer.video;
    const isAway = this.absence !== undefined;
    // At the start the first key frame is waited for; or there is no video at all, neither live nor in standby.
    const isNormal = isUndecided || (mode === 'idle' && !this.#hasVideo);
    const isLive = mode === 'live' || (isNormal && !held && !isAway);
    if (isLive) this.#since = undefined;
    else if (!this.#since) {
      this.#since = wallClockDate();
      this.#sinceMs = nowMs;
    }
    const isReported = held || isAway || this.#standby !== undefined || nowMs - this.#sinceMs >= REPORTED_AFTER_MS;
    const state: StandbyState | undefined =
      this.#since && isReported
        ? {
            since: this.#since,
            reason: held ? 'manual' : isAway ? 'publisher' : 'video',
            picture: mode === 'freeze' ? 'freeze' : mode === 'standby' ? this.#clipPicture! : 'none',
          }
        : undefined;
    if (isSameState(state, this.#standby)) return;
    this.#standby = state;
    this.changes.emit('change');
  }
}

const videoOf = ({ metadata, encoderOutput, videoHeader }: Rendition): LiveVideo => ({
  metadata,
  encoderOutput,
  videoHeader,
});

/** FLV's number of H.264. */
const AVC_CODEC_ID = 7;
