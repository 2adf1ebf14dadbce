import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import { toGatewayError, type GatewayError } from '../errors.ts';
import { tickMs } from '../runtime/tick.ts';
import { ForeignVideo, isSameFormat } from './foreign-video.ts';
import { LiveRendition } from './live-rendition.ts';
import type { MediaSource, SourceFrame } from './media-source.ts';
import { mediaTicker } from './media-ticker.ts';
import type { Rendition } from './rendition.ts';
import { WriteMerger } from './write-merger.ts';

/**
 * A stream with the frames of its publisher, whatever their codec: nothing is encoded again. Codecs that FLV does not
 * know are in the tags of `enhanced-tag.ts`, so the sinks must understand these. Audio that was late is complete: during
 * a stall it is seconds behind the video.
 */
export class OriginalRendition extends LiveRendition implements Rendition {
  readonly #writes = new WriteMerger((tags) => this.collect(tags));
  readonly #stopTicking: () => void;
  readonly #onAudio = (tag: FlvTag): void => this.#writes.audio(tag, tickMs(), this.hasVideo);
  readonly #onVideo = (tag: FlvTag): void => this.#writes.video(tag);
  readonly #onFrame = (frame: SourceFrame): void => this.#takeFrame(frame);
  readonly #onResumed = (): void => this.#resume();
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  readonly #foreign = new ForeignVideo(isSameFormat);
  #hasVideo: boolean;

  constructor(source: MediaSource) {
    super(source);
    this.#hasVideo = this.hasVideo;
    source.on('completeAudio', this.#onAudio);
    source.on('video', this.#onVideo);
    source.on('frame', this.#onFrame);
    source.on('resumed', this.#onResumed);
    source.on('failed', this.#onFailed);
    this.#stopTicking = mediaTicker.listen((nowMs) => this.#writes.tick(nowMs));
  }

  get metadata(): StreamMetadata {
    return this.source.metadata;
  }

  get videoHeader(): FlvTag | undefined {
    return this.source.videoCodec === 'h264' ? this.source.videoHeader : this.#foreign.header;
  }

  requestKeyFrame(): void {
    this.source.requestKeyFrame();
  }

  async close(): Promise<void> {
    this.#stopTicking();
    this.source.off('completeAudio', this.#onAudio);
    this.source.off('video', this.#onVideo);
    this.source.off('frame', this.#onFrame);
    this.source.off('resumed', this.#onResumed);
    this.source.off('failed', this.#onFailed);
    this.discard();
  }

  #takeFrame(frame: SourceFrame): void {
    try {
      for (const tag of this.#foreign.take(frame, this.source.metadata)) this.#writes.video(tag);
    } catch (error) {
      this.emit('failed', toGatewayError(error, 'ENCODER_FAILED'));
    }
  }

  #resume(): void {
    this.#writes.flush();
    this.startOver();
    // Announced again with the next key frame, should another codec have been in between.
    if (this.source.videoCodec === 'h264') this.#foreign.reset();
    if (this.hasVideo === this.#hasVideo) return;
    this.#hasVideo = this.hasVideo;
    this.emit('format');
  }
}
