import { GatewayError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { LiveStream } from '../stream/live-stream.ts';
import { AudioTranscoder } from './audio-transcoder.ts';
import { asksForTranscoding, videoKey, type EncodeProfile } from './encode-profile.ts';
import type { Rendition } from './rendition.ts';
import type { SharedEncoders } from './shared-encoders.ts';
import { SourceRendition } from './source-rendition.ts';
import { VideoTranscoder } from './video-transcoder.ts';

/** One user's hold on a rendition. */
export interface RenditionLease<T extends Rendition = Rendition> {
  readonly rendition: T;
  /** Lets go; the last one to leave closes the encoder. Idempotent. */
  release(): Promise<void>;
}

export interface EncoderPoolOptions {
  readonly audioBitrate: number;
  /** Milliseconds of sound that are encoded at once. */
  readonly audioBatchMs: number;
  /** Without them each stream's sound has an ffmpeg of its own. */
  readonly sharedEncoders?: SharedEncoders;
  /** Kilobits per second of re-encoded video; 0: by height. */
  readonly videoBitrate: number;
  readonly keyFrameIntervalMs: number;
  readonly transcodingDisabled: boolean;
  /** Most video encoders at the same time. */
  readonly maxEncoders: number;
  readonly logger: Logger;
}

interface Shared<T> {
  readonly value: Promise<T>;
  users: number;
}

interface StreamEncoders {
  source?: Shared<SourceRendition>;
  readonly transcoders: Map<string, Shared<VideoTranscoder>>;
  /** By video profile; the codec is the same for all pushes. */
  readonly audioTranscoders: Map<string, Shared<AudioTranscoder>>;
}

/** Every rendition there is, by stream and profile, shared and counted by reference: encode once for any number of destinations. */
export class EncoderPool {
  readonly #options: EncoderPoolOptions;
  readonly #streams = new Map<LiveStream, StreamEncoders>();
  #videoEncoders = 0;

  constructor(options: EncoderPoolOptions) {
    this.#options = options;
  }

  /** Streams whose audio is being encoded, and video encoders. */
  get counts(): { sources: number; videoEncoders: number } {
    return { sources: this.#streams.size, videoEncoders: this.#videoEncoders };
  }

  /**
   * Whether a stream can be had in a profile.
   *
   * @throws {GatewayError} TRANSCODING_DISABLED or LIMIT_REACHED
   */
  check(stream: LiveStream, profile: EncodeProfile): void {
    if (!needsTranscoding(stream, profile)) return;
    if (this.#options.transcodingDisabled)
      throw new GatewayError('TRANSCODING_DISABLED', 'Transcoding required, but disabled (transcoding_disabled). Push without height, fps and keyFrameInterval, and publish H.264.');
    if (!this.#streams.get(stream)?.transcoders.has(videoKey(profile)) && this.#videoEncoders >= this.#options.maxEncoders)
      throw new GatewayError('LIMIT_REACHED', `All ${this.#options.maxEncoders} video encoders are in use (max_encoders). Push without transcoding, or wait until one is free.`);
  }

  /**
   * Takes hold of a stream in a profile, and starts what it needs that does not run yet.
   *
   * @throws {GatewayError} as {@link check}, or ENCODER_FAILED
   */
  async acquire(stream: LiveStream, profile: EncodeProfile): Promise<RenditionLease> {
    this.check(stream, profile);
    const source = await this.acquireSource(stream);
    let held: RenditionLease = source;
    try {
      // Again: others may have taken the last encoder while the source was started. From here to where it is counted nothing waits.
      this.check(stream, profile);
      if (needsTranscoding(stream, profile)) held = await this.#acquireTranscoder(stream, source, profile);
      return profile.audioCodec === 'aac' ? held : await this.#acquireAudioTranscoder(stream, held, profile, profile.audioCodec);
    } catch (error) {
      await held.release();
      throw error;
    }
  }

  /** Takes hold of a stream as its publisher sends it. */
  async acquireSource(stream: LiveStream): Promise<RenditionLease<SourceRendition>> {
    let encoders = this.#streams.get(stream);
    if (!encoders) this.#streams.set(stream, (encoders = { transcoders: new Map(), audioTranscoders: new Map() }));
    const shared = (encoders.source ??= {
      value: SourceRendition.create(stream, this.#options),
      users: 0,
    });
    return lease(shared, () => this.#streams.delete(stream));
  }

  async #acquireTranscoder(stream: LiveStream, source: RenditionLease<SourceRendition>, profile: EncodeProfile): Promise<RenditionLease> {
    const { transcoders } = this.#streams.get(stream)!;
    const key = videoKey(profile);
    let shared = transcoders.get(key);
    if (!shared) {
      const transcoder = new VideoTranscoder(source.rendition, profile, { bitrate: this.#options.videoBitrate, logger: this.#options.logger });
      transcoders.set(key, (shared = { value: Promise.resolve(transcoder), users: 0 }));
      this.#videoEncoders++;
    }
    const transcoder = await lease(shared, () => {
      transcoders.delete(key);
      this.#videoEncoders--;
    });
    return stacked(transcoder, source);
  }

  async #acquireAudioTranscoder(stream: LiveStream, base: RenditionLease, profile: EncodeProfile, codec: Exclude<EncodeProfile['audioCodec'], 'aac'>): Promise<RenditionLease> {
    const { audioTranscoders } = this.#streams.get(stream)!;
    const key = videoKey(profile);
    let shared = audioTranscoders.get(key);
    if (!shared) audioTranscoders.set(key, (shared = { value: Promise.resolve(new AudioTranscoder(base.rendition, codec, this.#options.logger)), users: 0 }));
    return stacked(await lease(shared, () => audioTranscoders.delete(key)), base);
  }
}

/** A lease of a rendition together with that of the one it is made from. */
function stacked<T extends Rendition>(upper: RenditionLease<T>, lower: RenditionLease): RenditionLease<T> {
  return {
    rendition: upper.rendition,
    release: async () => {
      await upper.release();
      await lower.release();
    },
  };
}

/** Counts one more user of a shared rendition; `forget` runs when the last one has left, before the rendition closes. */
async function lease<T extends Rendition & { close(): Promise<void> }>(shared: Shared<T>, forget: () => void): Promise<RenditionLease<T>> {
  shared.users++;
  let held = true;
  const release = async (): Promise<void> => {
    if (!held) return;
    held = false;
    if (--shared.users > 0) return;
    forget();
    await (await shared.value).close();
  };
  try {
    return { rendition: await shared.value, release };
  } catch (error) {
    held = false;
    if (--shared.users === 0) forget();
    throw error;
  }
}

/** A source that is not H.264 must be re-encoded whatever the profile says. */
function needsTranscoding(stream: LiveStream, profile: EncodeProfile): boolean {
  const { videoCodec } = stream;
  if (videoCodec === undefined) return false;
  return asksForTranscoding(profile) || videoCodec !== 'h264';
}
