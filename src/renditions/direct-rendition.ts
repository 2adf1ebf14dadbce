import { toGatewayError, type GatewayError } from '../errors.ts';
import { fourccNumber, VIDEO_FOURCC, type ForeignVideoCodec } from '../media/containers/enhanced-tag.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import type { VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import { listen } from '../runtime/listen.ts';
import { tickMs } from '../runtime/tick.ts';
import { ForeignVideo } from './foreign-video.ts';
import { LiveRendition } from './live-rendition.ts';
import type { MediaSource, SourceFrame } from './media-source.ts';
import { mediaTicker } from './media-ticker.ts';
import type { Rendition } from './rendition.ts';
import type { VideoTranscoder } from './video-transcoder.ts';
import { WriteMerger } from './write-merger.ts';

/**
 * A stream without an encoding profile: H.264 is passed through, and a second codec if outputs take it. While the
 * publisher sends another codec, an encoder takes its place; publishers may change the codec when they return.
 */
export class DirectRendition extends LiveRendition implements Rendition {
  readonly #openTranscoder: () => VideoTranscoder;
  /** The codec besides H.264 that is passed through. */
  readonly #passes: ForeignVideoCodec | undefined;
  readonly #foreign = new ForeignVideo((one, other) => one.data.equals(other.data));
  readonly #writes = new WriteMerger((tags) => this.collect(tags));
  readonly #stopTicking: () => void;
  readonly #leaveSource: () => void;
  readonly #onTranscoded = (group: TagGroup): void => this.sendGroup(group);
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  #transcoder: VideoTranscoder | undefined;
  #closing: Promise<void> = Promise.resolve();
  #hasVideo: boolean;
  #hadRate = false;
  #closed = false;

  /**
   * @param openTranscoder makes an encoder for what is not passed through; it may throw
   * @param passes the codec besides H.264 that is passed through
   * @throws {GatewayError} from `openTranscoder`
   */
  constructor(source: MediaSource, openTranscoder: () => VideoTranscoder, passes?: ForeignVideoCodec) {
    super(source);
    this.#openTranscoder = openTranscoder;
    this.#passes = passes;
    this.#hasVideo = this.hasVideo;
    this.#chooseEncoder();
    this.#leaveSource = listen(source, {
      audio: (tag) => {
        if (!this.#transcoder) this.#writes.audio(tag, tickMs(), this.hasVideo);
      },
      video: (tag) => this.#writes.video(tag),
      frame: (frame) => this.#passFrame(frame),
      // The sequence header of another codec may not say that the frame size is another one.
      sized: () => void (this.#passesFrames && this.emit('format')),
      resumed: () => this.#resume(),
      failed: this.#onFailed,
    });
    this.#stopTicking = mediaTicker.listen((nowMs) => this.#writes.tick(nowMs));
  }

  get metadata(): StreamMetadata {
    if (!this.#passesFrames) return (this.#transcoder ?? this.source).metadata;
    const { metadata, frameRate } = this.source;
    const videoCodecId = fourccNumber(VIDEO_FOURCC[this.#passes!]);
    return { ...metadata, videoCodecId, ...(frameRate !== undefined && { frameRate: Math.round(frameRate) }) };
  }

  get encoderOutput(): VideoOutput | undefined {
    return this.#transcoder?.encoderOutput;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#passesFrames ? this.#foreign.header : (this.#transcoder ?? this.source).videoHeader;
  }

  requestKeyFrame(): void {
    this.source.requestKeyFrame();
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#stopTicking();
      this.#leaveSource();
      this.discard();
      this.#closeTranscoder();
    }
    await this.#closing;
  }

  /** Whether the frames of the publisher are passed through in a codec that FLV does not know. */
  get #passesFrames(): boolean {
    return this.#passes !== undefined && this.source.videoCodec === this.#passes;
  }

  #passFrame(frame: SourceFrame): void {
    if (frame.codec !== this.#passes) return;
    try {
      for (const tag of this.#foreign.take(frame, this.source.metadata)) this.#writes.video(tag);
    } catch (error) {
      this.emit('failed', toGatewayError(error, 'ENCODER_FAILED'));
    }
    // The rate is known after some frames: outputs that have begun before announce it then.
    const hasRate = this.source.frameRate !== undefined;
    if (hasRate && !this.#hadRate) this.emit('format');
    this.#hadRate = hasRate;
  }

  #resume(): void {
    this.#writes.flush();
    this.startOver();
    // Announced again with the next key frame, should another codec have been in between.
    if (!this.#passesFrames) this.#foreign.reset();
    try {
      this.#chooseEncoder();
    } catch (error) {
      this.emit('failed', toGatewayError(error, 'ENCODER_FAILED'));
      return;
    }
    if (this.hasVideo === this.#hasVideo) return;
    this.#hasVideo = this.hasVideo;
    this.emit('format');
  }

  #chooseEncoder(): void {
    const { videoCodec } = this.source;
    const mustEncode = videoCodec !== undefined && videoCodec !== 'h264' && !this.#passesFrames;
    if (!mustEncode) return this.#closeTranscoder();
    if (this.#transcoder) return;
    const transcoder = this.#openTranscoder();
    transcoder.on('tags', this.#onTranscoded);
    transcoder.on('failed', this.#onFailed);
    this.#transcoder = transcoder;
  }

  #closeTranscoder(): void {
    const transcoder = this.#transcoder;
    if (!transcoder) return;
    this.#transcoder = undefined;
    transcoder.off('tags', this.#onTranscoded);
    transcoder.off('failed', this.#onFailed);
    this.#closing = Promise.all([this.#closing, transcoder.close()]).then(() => {});
  }
}
