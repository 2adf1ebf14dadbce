import { GatewayError } from '../../errors.ts';
import { opusPacketSamples, OPUS_SAMPLE_RATE } from '../../media/codecs/opus-packet.ts';
import { ENHANCED_HEADER_BYTES } from '../../media/containers/enhanced-tag.ts';
import { TAG_AUDIO } from '../../media/containers/flv-tag.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { EncoderPool, RenditionLease } from '../../renditions/encoder-pool.ts';
import { PLAIN_FRAME_MS } from '../../renditions/plain-audio-frames.ts';
import { inBackground } from '../../runtime/in-background.ts';
import type { AudioCodec, LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { LiveFrames } from './live-frames.ts';

export interface InjectedStreamOptions {
  readonly registry: StreamRegistry;
  readonly encoders: Pick<EncoderPool, 'acquire'>;
}

/** The body of a tag with G.711 begins with the format. */
const PLAIN_HEADER_BYTES = 1;

/** The audio of a stream of the gateway in the codec of a call. */
export class InjectedStream {
  readonly streamName: string;
  readonly frames = new LiveFrames();
  readonly #stream: LiveStream;
  readonly #lease: RenditionLease;
  readonly #isOpus: boolean;
  readonly #onEnd: () => void;
  readonly #onTags = (group: TagGroup): void => this.#take(group);
  #isClosed = false;

  private constructor(stream: LiveStream, lease: RenditionLease, codec: AudioCodec, onEnd: () => void) {
    this.streamName = stream.name;
    this.#stream = stream;
    this.#lease = lease;
    this.#isOpus = codec === 'opus';
    this.#onEnd = onEnd;
    stream.once('ended', onEnd);
    lease.rendition.once('failed', onEnd);
    lease.rendition.on('tags', this.#onTags);
  }

  /**
   * @param onEnd called when nothing follows
   * @throws {GatewayError} STREAM_NOT_FOUND, NO_COMMON_CODECS, or ENCODER_FAILED
   */
  static async open(
    { registry, encoders }: InjectedStreamOptions,
    streamName: string,
    codec: AudioCodec,
    onEnd: () => void,
  ): Promise<InjectedStream> {
    const stream = registry.find(streamName);
    if (!stream) throw new GatewayError('STREAM_NOT_FOUND', `There is no live stream ${streamName}.`);
    const audio = stream.publisher?.audio;
    if (!audio) throw new GatewayError('NO_COMMON_CODECS', `The stream ${streamName} has no audio.`);
    if (codec === 'opus' && audio.codec !== 'opus')
      throw new GatewayError(
        'NO_COMMON_CODECS',
        `The call has Opus, and the stream ${streamName} has ${audio.codec.toUpperCase()}. Leave opus out of codecs.`,
      );
    // Video is not encoded for it.
    const lease = await encoders.acquire(stream, { audioCodec: codec, original: true });
    return new InjectedStream(stream, lease, codec, onEnd);
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { rendition } = this.#lease;
    this.#stream.off('ended', this.#onEnd);
    rendition.off('failed', this.#onEnd);
    rendition.off('tags', this.#onTags);
    inBackground(this.#lease.release());
  }

  #take({ tags }: TagGroup): void {
    for (const { type, sequenceHeader, data } of tags) {
      if (type !== TAG_AUDIO || sequenceHeader) continue;
      const payload = data.subarray(this.#isOpus ? ENHANCED_HEADER_BYTES : PLAIN_HEADER_BYTES);
      const ms = this.#isOpus ? (opusPacketSamples(payload) * 1000) / OPUS_SAMPLE_RATE : PLAIN_FRAME_MS;
      if (ms > 0) this.frames.push({ payload, ms });
    }
  }
}
