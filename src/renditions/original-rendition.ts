import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import { toGatewayError } from '../errors.ts';
import { listen } from '../runtime/listen.ts';
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
  readonly #leaveSource: () => void;
  readonly #foreign = new ForeignVideo(isSameFormat);
  #hasVideo: boolean;

  constructor(source: MediaSource) {
    super(source);
    this.#hasVideo = this.hasVideo;
    this.#leaveSource = listen(source, {
      completeAudio: (tag) => this.#writes.audio(tag, tickMs(), this.hasVideo),
      video: (tag) => this.#writes.video(tag),
      frame: (frame) => this.#takeFrame(frame),
      resumed: () => this.#resume(),
      failed: (error) => void this.emit('failed', error),
    });
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
    this.#leaveSource();
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
