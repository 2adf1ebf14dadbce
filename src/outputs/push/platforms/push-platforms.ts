import type { StreamMeter } from '../../../media/stream-meter.ts';
import { GatewayError } from '../../../errors.ts';
import type { Destination } from '../../../net/destination.ts';
import type { Logger } from '../../../observe/logger.ts';
import type { ComplianceOptions } from '../../../renditions/compliance.ts';
import type { Rendition } from '../../../renditions/rendition.ts';
import { Ticker } from '../../../runtime/ticker.ts';
import type { StartRequest } from '../transponder-control.ts';
import type { Platform, PlatformCatalogue } from './catalogue.ts';
import { createComplianceJudge } from './compliance-judge.ts';
import { PushRules } from './push-rules.ts';
import { PushWatch } from './push-watch.ts';
import { RenditionMeters } from './rendition-meters.ts';

/** The wall clock in milliseconds, every second. */
export type EverySecond = (tick: (nowMs: number) => void) => () => void;

export interface PushPlatformsOptions {
  readonly catalogue: PlatformCatalogue;
  /** Default: one timer for all pushes. */
  readonly everySecond?: EverySecond;
}

/** What of a push is watched. */
export interface WatchedPush {
  readonly streamName: string;
  readonly rendition: Rendition;
  readonly isAway: () => boolean;
}

const SECOND_MS = 1000;

/** Connects pushes with the platforms that they go to. */
export class PushPlatforms {
  readonly #catalogue: PlatformCatalogue;
  readonly #everySecond: EverySecond;
  readonly #meters = new RenditionMeters();

  constructor({ catalogue, everySecond = createEverySecond() }: PushPlatformsOptions) {
    this.#catalogue = catalogue;
    this.#everySecond = everySecond;
  }

  /**
   * The platform that a push names, or whose host it goes to.
   *
   * @throws {GatewayError} INVALID_REQUEST if the push shall comply with rules that are not known
   */
  of({ platform: id, comply }: StartRequest, { host }: Destination): Platform | undefined {
    const platform = id === undefined ? this.#catalogue.ofHost(host) : this.#catalogue.find(id);
    if (comply && !platform)
      throw new GatewayError(
        'INVALID_REQUEST',
        `comply needs a platform whose rules are known: send platform and streamKey, or the URL of one of ${this.#catalogue.platforms
          .map((known) => known.id)
          .join(', ')}.`,
      );
    return platform;
  }

  /**
   * Watches a push from now on.
   *
   * @param rendition the one that the push sends
   * @param isAway whether it is not the publisher's stream at the moment
   */
  rules(
    platform: Platform,
    { scheme, redacted }: Destination,
    { streamName, rendition, isAway }: WatchedPush,
    logger: Logger,
  ): PushRules {
    const watch = PushWatch.start({
      platform,
      transport: scheme,
      measured: this.#meters.lease(rendition),
      isAway,
      logger: logger.child({ stream: streamName, destination: redacted }),
      everySecond: this.#everySecond,
    });
    return new PushRules(watch);
  }

  /** How a push is kept within the rules. */
  compliance(platform: Platform, { redacted }: Destination, streamName: string, logger: Logger): ComplianceOptions {
    return {
      judge: createComplianceJudge(platform),
      everySecond: this.#everySecond,
      logger: logger.child({ stream: streamName, destination: redacted, platform: platform.id }),
    };
  }

  /** A measurement of a rendition that is pushed to a known platform. */
  meterOf(rendition: Rendition): StreamMeter | undefined {
    return this.#meters.find(rendition);
  }
}

function createEverySecond(): EverySecond {
  const ticker = Ticker.every(SECOND_MS);
  return (tick) => ticker.listen(tick);
}
