import { isDeepStrictEqual } from 'node:util';
import { toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { EncodeProfile } from '../encode-profile.ts';
import { spsOf } from '../shown-size.ts';
import type { Rendition } from '../rendition.ts';
import { DEFAULT_RATE, MEASURED_FRAMES, type FrameRate } from './frame-rate.ts';
import type { StandbyClip, StandbyClipSource, StandbyFormat, StandbyPicture } from './standby-clip.ts';

/** Used before live video is known. */
const DEFAULT_SIZE = { width: 1280, height: 720 };
/** Browsers vary their frame rate, and a clip that is not much slower or faster than the live video is not replaced. */
const RATE_TOLERANCE = 1.4;
/** Milliseconds after a failure. */
const RETRY_MS = 10_000;

export interface ClipPreparationOptions {
  readonly profile: EncodeProfile;
  readonly keyFrameIntervalMs: number;
  readonly clips: StandbyClipSource;
  /** A clip of the current picture is ready. */
  readonly onReady: (clip: StandbyClip, picture: StandbyPicture) => void;
  readonly logger: Logger;
}

/** What a clip must look like. */
export type LiveVideo = Pick<Rendition, 'metadata' | 'encoderOutput' | 'videoHeader'>;

const UNKNOWN: LiveVideo = { metadata: {}, videoHeader: undefined };

/** Has the standby clip of a push encoded in the background, and again when the live video has another size or rate. */
export class ClipPreparation {
  readonly #options: ClipPreparationOptions;
  #picture: StandbyPicture | undefined;
  #format: StandbyFormat | undefined;
  /** Clips that were asked for; only the last one counts. */
  #orders = 0;
  #retryAtMs = Infinity;

  constructor(options: ClipPreparationOptions, picture: StandbyPicture | undefined) {
    this.#options = options;
    this.#picture = picture;
  }

  /** Encodes another picture, in the format of the last one. */
  change(picture: StandbyPicture | undefined): void {
    this.#picture = picture;
    this.#orders++;
    if (picture) this.#order(this.#format ?? this.#formatOf(UNKNOWN));
  }

  /** Nothing is reported any more. */
  close(): void {
    this.#orders = -1;
    this.#picture = undefined;
  }

  /**
   * Compares the clip with the live video. To be called regularly.
   *
   * @param isNeeded a clip is needed now, even if its size and rate must be guessed
   */
  check(live: LiveVideo | undefined, rate: FrameRate, isNeeded: boolean, nowMs: number): void {
    if (!this.#picture) return;
    if (nowMs >= this.#retryAtMs) return this.#order(this.#format!);
    const measured = rate.measured >= MEASURED_FRAMES ? rate.usualRate : undefined;
    const isKnown = live?.metadata.width && live.metadata.height && measured;
    const current = this.#format;
    if (!current) {
      if (isNeeded || isKnown) this.#order(this.#formatOf(live ?? UNKNOWN, measured));
      return;
    }
    if (!isKnown) return;
    const { fps } = this.#formatOf(live, measured);
    const hasRate = Math.max(fps / current.fps, current.fps / fps) < RATE_TOLERANCE;
    const wanted = this.#formatOf(live, hasRate ? current.fps : fps);
    if (!isDeepStrictEqual(wanted, current)) this.#order(wanted);
  }

  #order(format: StandbyFormat): void {
    const picture = this.#picture!;
    const order = ++this.#orders;
    const { clips, onReady, logger } = this.#options;
    this.#format = format;
    this.#retryAtMs = Infinity;
    clips.clip(picture, format).then(
      (clip) => {
        if (order === this.#orders) onReady(clip, picture);
      },
      (thrown: unknown) => {
        if (order !== this.#orders) return;
        const { code, message } = toGatewayError(thrown, 'ENCODER_FAILED');
        logger.warn({ code, reason: message }, 'the standby picture could not be encoded, will retry');
        this.#retryAtMs = performance.now() + RETRY_MS;
      },
    );
  }

  #formatOf({ metadata, encoderOutput, videoHeader }: LiveVideo, measured = DEFAULT_RATE): StandbyFormat {
    const { profile, keyFrameIntervalMs } = this.#options;
    const fps = profile.fps ?? measured;
    const { passes: codec } = profile;
    // In a codec that is passed through, the clip has no encoder to agree with.
    const output = codec ? undefined : encoderOutput;
    const { width, height } = encoderOutput ?? metadata;
    const sampleAspect = codec || output || !videoHeader ? undefined : spsOf(videoHeader)?.sampleAspect;
    return {
      ...(width && height ? { width, height } : sizeOf(profile)),
      ...(sampleAspect && { sampleAspect }),
      ...(codec && { codec }),
      ...(output && { encoder: { output, ...(videoHeader && { header: videoHeader.data }) } }),
      fps,
      keyFrameIntervalMs: profile.keyFrameInterval
        ? Math.round((profile.keyFrameInterval * 1000) / fps)
        : keyFrameIntervalMs,
    };
  }
}

function sizeOf({ width, height }: EncodeProfile): { width: number; height: number } {
  if (!height) return DEFAULT_SIZE;
  return { width: width ?? Math.round((height * DEFAULT_SIZE.width) / DEFAULT_SIZE.height / 2) * 2, height };
}
