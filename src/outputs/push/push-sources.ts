import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Compliance } from '../../renditions/compliance.ts';
import type { EncodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool, RenditionLease } from '../../renditions/encoder-pool.ts';
import type { ContinuousRendition } from '../../renditions/standby/continuous-rendition.ts';
import type { AcquireRendition } from '../../renditions/standby/live-lease.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { PushPlatforms } from './platforms/push-platforms.ts';
import type { PushRules } from './platforms/push-rules.ts';
import { requireStandby, type StandbyRenditions } from './standby-renditions.ts';
import type { StandbyRequest, StartRequest } from './transponder-control.ts';

/** What a push sends, and the rules that it is watched by. */
export interface PushSource {
  readonly lease: RenditionLease;
  /** The live stream that the push ends with; unset with `standby`. */
  readonly stream?: LiveStream;
  /** The rendition of `lease`, if that outlives live streams. */
  readonly standby?: ContinuousRendition;
  /** For destinations whose rules are known. */
  readonly rules?: PushRules;
}

export interface PushSourceOptions {
  readonly request: StartRequest;
  readonly destination: Destination;
  readonly profile: EncodeProfile;
  /** The live stream; needed without standby. */
  readonly stream: LiveStream | undefined;
  /** Since when the publisher has been away, of a push that goes on after a restart of the gateway. */
  readonly awaySince?: Date | undefined;
}

export interface PushSourcesOptions {
  readonly encoders: EncoderPool;
  /** Unset: the push engine cannot do it. */
  readonly standby?: StandbyRenditions;
  readonly platforms: PushPlatforms;
  readonly logger: Logger;
}

/** Opens the sources of pushes: the live rendition, in standby where that is asked for, kept within a platform's rules. */
export class PushSources {
  readonly #options: PushSourcesOptions;

  constructor(options: PushSourcesOptions) {
    this.#options = options;
  }

  /** @throws {GatewayError} INVALID_REQUEST, TRANSCODING_DISABLED, LIMIT_REACHED and others */
  async open({ request, destination, profile, stream, awaySince }: PushSourceOptions): Promise<PushSource> {
    const { encoders, platforms, logger } = this.#options;
    const { streamName, standby: asked } = request;
    const platform = platforms.of(request, destination);
    const compliance = request.comply && platform && platforms.compliance(platform, destination, streamName, logger);
    /** The compliance of the live stream, which changes when another one of its name is published. */
    const live: { compliance?: Compliance; rules?: PushRules } = {};
    const acquire: AcquireRendition = async (published) => {
      if (!compliance) return encoders.acquire(published, profile);
      const lease = await encoders.acquireCompliant(published, profile, compliance);
      live.compliance = lease.compliance;
      live.rules?.follow(lease.compliance);
      return lease;
    };
    const source = asked
      ? await this.#continuous(streamName, asked, { profile, acquire, ...(awaySince && { awaySince }) })
      : { stream: stream!, lease: await acquire(stream!) };
    if (!platform) return source;
    const { rendition } = source.lease;
    const isAway = 'standby' in source ? () => source.standby.standby !== undefined : () => !source.stream.publisher;
    const rules = platforms.rules(platform, destination, { streamName, rendition, isAway }, logger);
    if (live.compliance) rules.follow(live.compliance);
    live.rules = rules;
    return { ...source, rules };
  }

  async #continuous(
    streamName: string,
    request: StandbyRequest,
    live: Parameters<StandbyRenditions['create']>[2],
  ): Promise<{ readonly standby: ContinuousRendition; readonly lease: RenditionLease }> {
    const standby = await requireStandby(this.#options.standby).create(streamName, request, live);
    return { standby, lease: { rendition: standby, release: () => standby.close() } };
  }
}
