import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { EncodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool, RenditionLease } from '../../renditions/encoder-pool.ts';
import { ContinuousRendition } from '../../renditions/standby/continuous-rendition.ts';
import type { AcquireRendition } from '../../renditions/standby/live-lease.ts';
import type { StandbyClipSource, StandbyPicture } from '../../renditions/standby/standby-clip.ts';
import type { MakeFreezeFrames } from '../../renditions/standby/video-splice.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { PictureChange, StandbyRequest } from './transponder-control.ts';

export interface StandbyRenditionsOptions {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly clips: StandbyClipSource;
  readonly freezeFrames: MakeFreezeFrames;
  /** Of clips, unless the push has an interval of its own. */
  readonly keyFrameIntervalMs: number;
  readonly logger: Logger;
}

/** How a push with standby gets its live video. */
export interface LiveSide {
  readonly profile: EncodeProfile;
  /** Default: a rendition in the profile. */
  readonly acquire?: AcquireRendition;
  /** Since when the publisher has been away, of a push that goes on after a restart of the gateway. */
  readonly awaySince?: Date;
}

/** Makes the renditions of pushes with standby, and changes their pictures. */
export class StandbyRenditions {
  readonly #options: StandbyRenditionsOptions;
  /** What each rendition shows now, which may be something else than was asked for at its start. */
  readonly #shown = new WeakMap<ContinuousRendition, StandbyRequest>();

  constructor(options: StandbyRenditionsOptions) {
    this.#options = options;
  }

  /** @throws {GatewayError} INVALID_REQUEST, STANDBY_FILE_NOT_FOUND or STANDBY_FILE_INVALID */
  async check(standby: StandbyRequest): Promise<void> {
    const picture = pictureOf(standby);
    if (picture) await this.#options.clips.check(picture);
  }

  /** @throws {GatewayError} if the live rendition cannot be had */
  async create(
    streamName: string,
    standby: StandbyRequest,
    { profile, acquire, awaySince }: LiveSide,
  ): Promise<ContinuousRendition> {
    const { encoders, logger, ...options } = this.#options;
    const picture = pictureOf(standby);
    const { freezeMs, holdMs } = standby;
    const rendition = await ContinuousRendition.create({
      ...options,
      streamName,
      profile,
      freezeMs,
      holdMs,
      ...(picture && { picture }),
      ...(awaySince && { awaySince }),
      acquire: acquire ?? ((stream) => encoders.acquire(stream, profile)),
      audio: await encoders.audioFormat(profile.audioCodec),
      logger: logger.child({ stream: streamName }),
    });
    this.#shown.set(rendition, standby);
    return rendition;
  }

  /** As {@link create}, for those who do not look at the standby itself. */
  async lease(streamName: string, standby: StandbyRequest, live: LiveSide): Promise<RenditionLease> {
    const rendition = await this.create(streamName, standby, live);
    return { rendition, release: () => rendition.close() };
  }

  /** @returns carries out the change, and returns the whole standby. @throws {GatewayError} as {@link check} */
  async prepareChange(rendition: ContinuousRendition, change: PictureChange): Promise<() => StandbyRequest> {
    const changed = { ...this.#shown.get(rendition)!, ...change };
    await this.check(changed);
    return () => {
      this.#shown.set(rendition, changed);
      rendition.changePicture(pictureOf(changed));
      return changed;
    };
  }
}

/** @throws {GatewayError} INVALID_REQUEST without the name of a file where one is needed */
function pictureOf({ source, file, color, text }: StandbyRequest): StandbyPicture | undefined {
  const drawn = text ? { text } : {};
  switch (source) {
    case 'none':
      return undefined;
    case 'color':
      return { source, color, ...drawn };
    case 'image':
    case 'video':
      if (!file)
        throw new GatewayError(
          'INVALID_REQUEST',
          `standby.file is missing: with the source "${source}" it must be the name of a file in media_dir.`,
        );
      return { source, file, color, ...drawn };
  }
}

/** @throws {GatewayError} NOT_IMPLEMENTED if the push engine cannot do it */
export function requireStandby(standby: StandbyRenditions | undefined): StandbyRenditions {
  if (standby) return standby;
  throw new GatewayError(
    'NOT_IMPLEMENTED',
    'Standby needs the RTMP client of the gateway: push_engine=ffmpeg cannot change the video of a connection. ' +
      'Set push_engine=rtmp, or push without standby.',
  );
}
