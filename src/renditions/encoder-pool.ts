import type { Logger } from '../observe/logger.ts';
import type { FrameSize, LiveStream } from '../streams/live-stream.ts';
import { AAC_FORMAT, OPUS_FORMAT, plainAudioFormat, type AudioFormat } from './audio-format.ts';
import { silentFrame } from './clip-encoder.ts';
import { Compliance, type ComplianceOptions } from './compliance.ts';
import { DirectRendition } from './direct-rendition.ts';
import { asksForTranscoding, videoKey, type EncodeProfile, type RenditionAudioCodec } from './encode-profile.ts';
import type { KeyFrame } from './media-source.ts';
import { OriginalRendition } from './original-rendition.ts';
import type { Rendition } from './rendition.ts';
import type { SharedEncoders } from './shared-encoders.ts';
import { Shared, type Lease } from './shared-rendition.ts';
import { StreamSource } from './stream-source.ts';
import { VideoEncoderSlots } from './video-encoder-slots.ts';
import { VideoTranscoder } from './video-transcoder.ts';

/** A lease of a rendition. */
export interface RenditionLease {
  readonly rendition: Rendition;
  /** Ends the lease; the end of the last one closes the encoder. Idempotent. */
  release(): Promise<void>;
}

/** A lease of a rendition that is re-encoded while the stream breaks rules. */
export interface CompliantLease extends RenditionLease {
  readonly compliance: Compliance;
}

export interface EncoderPoolOptions {
  /** Kilobits per second of AAC. */
  readonly audioBitrate: number;
  /** Milliseconds of audio that are encoded at once. */
  readonly audioBatchMs: number;
  /** Without them the audio of each stream has an ffmpeg of its own. */
  readonly sharedEncoders?: SharedEncoders;
  /** Kilobits per second of re-encoded video; 0: by height. */
  readonly videoBitrate: number;
  readonly keyFrameIntervalMs: number;
  readonly transcodingDisabled: boolean;
  /** Maximum number of video encoders at the same time. */
  readonly maxEncoders: number;
  /** The largest frame that is accepted from a publisher. */
  readonly maxFrameSize?: FrameSize;
  readonly logger: Logger;
}

type PooledRendition = DirectRendition | OriginalRendition | VideoTranscoder;

/** What runs for one stream and one audio codec. */
interface StreamEncoders {
  readonly source: Shared<StreamSource>;
  /** By video profile. */
  readonly renditions: Map<string, Shared<PooledRendition>>;
}

/**
 * All renditions, by stream and profile, shared and counted by reference: each is encoded once for any number of
 * outputs.
 */
export class EncoderPool {
  readonly #options: EncoderPoolOptions;
  readonly #streams = new Map<LiveStream, Map<RenditionAudioCodec, StreamEncoders>>();
  readonly #slots: VideoEncoderSlots;
  readonly #audioFormats = new Map<RenditionAudioCodec, Promise<AudioFormat>>();

  constructor(options: EncoderPoolOptions) {
    this.#options = options;
    this.#slots = new VideoEncoderSlots(options.maxEncoders, options.transcodingDisabled);
  }

  /** Encoders that run. */
  get running(): number {
    const { sources, videoEncoders } = this.counts;
    return sources + videoEncoders;
  }

  /** Number of streams whose audio is encoded, and of video encoders. */
  get counts(): { sources: number; videoEncoders: number } {
    // Opus is passed through.
    const isEncoded = (codecs: ReadonlyMap<RenditionAudioCodec, unknown>): boolean =>
      codecs.size > (codecs.has('opus') ? 1 : 0);
    const sources = [...this.#streams.values()].filter(isEncoded).length;
    return { sources, videoEncoders: this.#slots.used };
  }

  /** The last key frame of a stream, if it is being read. */
  lastKeyFrame(stream: LiveStream): KeyFrame | undefined {
    for (const { source } of this.#streams.get(stream)?.values() ?? []) {
      const keyFrame = source.current?.lastKeyFrame;
      if (keyFrame) return keyFrame;
    }
    return undefined;
  }

  /**
   * Checks whether a stream can be had in a profile.
   *
   * @throws {GatewayError} TRANSCODING_DISABLED or LIMIT_REACHED
   */
  check(stream: LiveStream, profile: EncodeProfile): void {
    if (!needsTranscoding(stream, profile)) return;
    const encoders = this.#streams.get(stream)?.get(profile.audioCodec);
    if (encoders?.renditions.has(videoKey(profile))) this.#slots.checkEnabled();
    else this.#slots.check();
  }

  /**
   * Leases a stream in a profile, and starts what it needs and does not run yet.
   *
   * @throws {GatewayError} as {@link check}, or ENCODER_FAILED
   */
  async acquire(stream: LiveStream, profile: EncodeProfile): Promise<RenditionLease> {
    this.check(stream, profile);
    const encoders = this.#encodersOf(stream, profile.audioCodec);
    const source = await encoders.source.lease();
    try {
      // Again: others may have taken the last encoder while the source was started. Nothing is awaited from here until
      // it is counted.
      this.check(stream, profile);
      const rendition = await this.#renditionOf(encoders, source.value, profile).lease();
      return stacked(rendition, source);
    } catch (error) {
      await source.release();
      throw error;
    }
  }

  /**
   * Leases a stream as it is, and re-encodes it while it breaks rules. Each lease switches for itself; what it encodes is
   * shared.
   *
   * @throws {GatewayError} as {@link acquire}; TRANSCODING_DISABLED in any case where it is
   */
  async acquireCompliant(
    stream: LiveStream,
    { audioCodec, passes }: Pick<EncodeProfile, 'audioCodec' | 'passes'>,
    options: ComplianceOptions,
  ): Promise<CompliantLease> {
    this.#slots.checkEnabled();
    const compliance = new Compliance({
      ...options,
      direct: await this.acquire(stream, { audioCodec, ...(passes && { passes }) }),
      openEncoded: (video) => this.acquire(stream, { ...video, audioCodec }),
      isAway: () => !stream.publisher,
    });
    return { rendition: compliance.rendition, compliance, release: () => compliance.close() };
  }

  #encodersOf(stream: LiveStream, audioCodec: RenditionAudioCodec): StreamEncoders {
    let byCodec = this.#streams.get(stream);
    if (!byCodec) this.#streams.set(stream, (byCodec = new Map()));
    const ofStream = byCodec;
    let encoders = ofStream.get(audioCodec);
    if (!encoders) {
      const source = new Shared(this.#createSource(stream, audioCodec), () => {
        ofStream.delete(audioCodec);
        if (ofStream.size === 0) this.#streams.delete(stream);
      });
      ofStream.set(audioCodec, (encoders = { source, renditions: new Map() }));
    }
    return encoders;
  }

  async #createSource(stream: LiveStream, audioCodec: RenditionAudioCodec): Promise<StreamSource> {
    const audioFormat = await this.audioFormat(audioCodec);
    return StreamSource.create(stream, { ...this.#options, audioFormat });
  }

  /**
   * The audio of all renditions in a codec.
   *
   * @throws {GatewayError} ENCODER_FAILED
   */
  audioFormat(codec: RenditionAudioCodec): Promise<AudioFormat> {
    let format = this.#audioFormats.get(codec);
    if (!format) {
      format = this.#makeAudioFormat(codec);
      format.catch(() => this.#audioFormats.delete(codec));
      this.#audioFormats.set(codec, format);
    }
    return format;
  }

  async #makeAudioFormat(codec: RenditionAudioCodec): Promise<AudioFormat> {
    if (codec === 'aac') return AAC_FORMAT;
    if (codec === 'opus') return OPUS_FORMAT;
    const { audioBitrate, logger } = this.#options;
    return plainAudioFormat(codec, await silentFrame({ codec, bitrate: audioBitrate }, logger));
  }

  #renditionOf({ renditions }: StreamEncoders, source: StreamSource, profile: EncodeProfile): Shared<PooledRendition> {
    const key = videoKey(profile);
    let shared = renditions.get(key);
    if (!shared) {
      const openTranscoder = (): VideoTranscoder => this.#openTranscoder(source, profile);
      const rendition = profile.original
        ? new OriginalRendition(source)
        : asksForTranscoding(profile)
          ? openTranscoder()
          : new DirectRendition(source, openTranscoder, profile.passes);
      shared = new Shared<PooledRendition>(Promise.resolve(rendition), () => renditions.delete(key));
      renditions.set(key, shared);
    }
    return shared;
  }

  #openTranscoder(source: StreamSource, profile: EncodeProfile): VideoTranscoder {
    const { videoBitrate, maxFrameSize, logger } = this.#options;
    return new VideoTranscoder(source, profile, {
      bitrate: videoBitrate,
      ...(maxFrameSize && { maxFrameSize }),
      onEnded: this.#slots.take(),
      logger,
    });
  }
}

/** A lease of a rendition together with that of its source. */
function stacked(rendition: Lease<Rendition>, source: Lease<unknown>): RenditionLease {
  return {
    rendition: rendition.value,
    release: async () => {
      await rendition.release();
      await source.release();
    },
  };
}

/** Video that is not H.264 must be encoded again, unless the profile takes it as it is. */
function needsTranscoding(stream: LiveStream, profile: EncodeProfile): boolean {
  const { videoCodec } = stream;
  if (videoCodec === undefined || profile.original) return false;
  return asksForTranscoding(profile) || (videoCodec !== 'h264' && videoCodec !== profile.passes);
}
