import { toGatewayError, type GatewayError } from '../errors.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import type { VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import { tickMs } from '../runtime/tick.ts';
import { LiveRendition } from './live-rendition.ts';
import type { MediaSource } from './media-source.ts';
import { mediaTicker } from './media-ticker.ts';
import type { Rendition } from './rendition.ts';
import type { VideoTranscoder } from './video-transcoder.ts';
import { WriteMerger } from './write-merger.ts';

/**
 * A stream without an encoding profile: H.264 is passed through. While the publisher sends another codec, an encoder
 * takes its place; publishers may change the codec when they return.
 */
export class DirectRendition extends LiveRendition implements Rendition {
  readonly #openTranscoder: () => VideoTranscoder;
  readonly #writes = new WriteMerger((tags) => this.collect(tags));
  readonly #stopTicking: () => void;
  readonly #onAudio = (tag: FlvTag): void => {
    if (!this.#transcoder) this.#writes.audio(tag, tickMs(), this.source.videoCodec === 'h264');
  };
  readonly #onVideo = (tag: FlvTag): void => this.#writes.video(tag);
  readonly #onTranscoded = (group: TagGroup): void => this.sendGroup(group);
  readonly #onResumed = (): void => this.#resume();
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  #transcoder: VideoTranscoder | undefined;
  #closing: Promise<void> = Promise.resolve();
  #hasVideo: boolean;
  #closed = false;

  /**
   * @param openTranscoder makes an encoder for what is not H.264; it may throw
   * @throws {GatewayError} from `openTranscoder`
   */
  constructor(source: MediaSource, openTranscoder: () => VideoTranscoder) {
    super(source);
    this.#openTranscoder = openTranscoder;
    this.#hasVideo = this.hasVideo;
    this.#chooseEncoder();
    source.on('audio', this.#onAudio);
    source.on('video', this.#onVideo);
    source.on('resumed', this.#onResumed);
    source.on('failed', this.#onFailed);
    this.#stopTicking = mediaTicker.listen((nowMs) => this.#writes.tick(nowMs));
  }

  get metadata(): StreamMetadata {
    return (this.#transcoder ?? this.source).metadata;
  }

  get encoderOutput(): VideoOutput | undefined {
    return this.#transcoder?.encoderOutput;
  }

  get videoHeader(): FlvTag | undefined {
    return (this.#transcoder ?? this.source).videoHeader;
  }

  requestKeyFrame(): void {
    this.source.requestKeyFrame();
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#stopTicking();
      this.source.off('audio', this.#onAudio);
      this.source.off('video', this.#onVideo);
      this.source.off('resumed', this.#onResumed);
      this.source.off('failed', this.#onFailed);
      this.discard();
      this.#closeTranscoder();
    }
    await this.#closing;
  }

  #resume(): void {
    this.#writes.flush();
    this.startOver();
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
    const mustEncode = videoCodec !== undefined && videoCodec !== 'h264';
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
