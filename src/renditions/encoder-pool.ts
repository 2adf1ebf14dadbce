import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { LiveStream } from '../streams/live-stream.ts';
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
  /** Whoever comes from now on gets another one. Idempotent. */
  readonly forget: () => void;
  users: number;
}

interface StreamEncoders {
  readonly source: Shared<SourceRendition>;
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
      throw new GatewayError(
        'TRANSCODING_DISABLED',
        'Transcoding required, but disabled (transcoding_disabled). Push without height, fps and keyFrameInterval, and publish H.264.',
      );
    if (
      !this.#streams.get(stream)?.transcoders.has(videoKey(profile)) &&
      this.#videoEncoders >= this.#options.maxEncoders
    )
      throw new GatewayError(
        'LIMIT_REACHED',
        `All ${this.#options.maxEncoders} video encoders are in use (max_encoders). Push without transcoding, or wait until one is free.`,
      );
  }

  /**
   * Takes hold of a stream in a profile, and starts what it needs that does not run yet.
   *
   * @throws {GatewayError} as {@link check}, or ENCODER_FAILED
   */
  async acquire(stream: LiveStream, profile: EncodeProfile): Promise<RenditionLease> {
    this.check(stream, profile);
    const encoders = this.#encodersOf(stream);
    const source = await lease(encoders.source);
    let held: RenditionLease = source;
    try {
      // Again: others may have taken the last encoder while the source was started. From here to where it is counted nothing waits.
      this.check(stream, profile);
      if (needsTranscoding(stream, profile)) held = await this.#acquireTranscoder(encoders, source, profile);
      return profile.audioCodec === 'aac'
        ? held
        : await this.#acquireAudioTranscoder(encoders, held, profile, profile.audioCodec);
    } catch (error) {
      await held.release();
      throw error;
    }
  }

  /** Takes hold of a stream as its publisher sends it. */
  acquireSource(stream: LiveStream): Promise<RenditionLease<SourceRendition>> {
    return lease(this.#encodersOf(stream).source);
  }

  #encodersOf(stream: LiveStream): StreamEncoders {
    let encoders = this.#streams.get(stream);
    if (!encoders) {
      const source = share(SourceRendition.create(stream, this.#options), () => this.#streams.delete(stream));
      this.#streams.set(stream, (encoders = { source, transcoders: new Map(), audioTranscoders: new Map() }));
    }
    return encoders;
  }

  async #acquireTranscoder(
    { transcoders }: StreamEncoders,
    source: RenditionLease<SourceRendition>,
    profile: EncodeProfile,
  ): Promise<RenditionLease> {
    const key = videoKey(profile);
    let shared = transcoders.get(key);
    if (!shared) {
      const transcoder = new VideoTranscoder(source.rendition, profile, {
        bitrate: this.#options.videoBitrate,
        logger: this.#options.logger,
      });
      shared = share(Promise.resolve(transcoder), () => {
        transcoders.delete(key);
        this.#videoEncoders--;
      });
      transcoders.set(key, shared);
      this.#videoEncoders++;
    }
    return stacked(await lease(shared), source);
  }

  async #acquireAudioTranscoder(
    { audioTranscoders }: StreamEncoders,
    base: RenditionLease,
    profile: EncodeProfile,
    codec: Exclude<EncodeProfile['audioCodec'], 'aac'>,
  ): Promise<RenditionLease> {
    const key = videoKey(profile);
    let shared = audioTranscoders.get(key);
    if (!shared) {
      shared = share(Promise.resolve(new AudioTranscoder(base.rendition, codec, this.#options.logger)), () =>
        audioTranscoders.delete(key),
      );
      audioTranscoders.set(key, shared);
    }
    return stacked(await lease(shared), base);
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

/** `forget` runs when the last user has left, before the rendition closes, or when it has failed: nothing comes from it then, however long its users take to leave. */
function share<T extends Rendition>(value: Promise<T>, forget: () => void): Shared<T> {
  let known = true;
  const shared = {
    value,
    forget: () => {
      if (known) forget();
      known = false;
    },
    users: 0,
  };
  value.then(
    (rendition) => rendition.once('failed', shared.forget),
    () => {},
  );
  return shared;
}

/** Counts one more user of a shared rendition. */
async function lease<T extends Rendition & { close(): Promise<void> }>(shared: Shared<T>): Promise<RenditionLease<T>> {
  shared.users++;
  let held = true;
  const release = async (): Promise<void> => {
    if (!held) return;
    held = false;
    if (--shared.users > 0) return;
    shared.forget();
    await (await shared.value).close();
  };
  try {
    return { rendition: await shared.value, release };
  } catch (error) {
    held = false;
    if (--shared.users === 0) shared.forget();
    throw error;
  }
}

/** A source that is not H.264 must be re-encoded whatever the profile says. */
function needsTranscoding(stream: LiveStream, profile: EncodeProfile): boolean {
  const { videoCodec } = stream;
  if (videoCodec === undefined) return false;
  return asksForTranscoding(profile) || videoCodec !== 'h264';
}
