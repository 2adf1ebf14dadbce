import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import type { ContinuousRendition } from '../../renditions/standby/continuous-rendition.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { LateGroups } from '../late-groups.ts';
import type { OutputQueueRules } from '../output-queue.ts';
import type { Backoff } from '../../runtime/async.ts';
import type { RetryRules } from './leg-state.ts';
import type { LegEnvironment } from './leg.ts';
import type { PushRules } from './platforms/push-rules.ts';
import type { SoundClip } from './sound-library.ts';
import type { StartRequest } from './transponder-view.ts';

/** What all transponders of a gateway share. */
export interface TransponderEnvironment extends LegEnvironment {
  readonly retry: RetryRules & Backoff;
  readonly outBuffer: OutputQueueRules;
  /** `rtmp_out_buffer_polling_time`, milliseconds. */
  readonly pollingMs: number;
  readonly lateGroups: LateGroups;
  readonly sendMetadata: boolean;
  /** Body of one audio tag of silence. */
  readonly silence: Buffer;
  readonly flashVersion: string;
  readonly logger: Logger;
}

/** A destination of a transponder, with the addresses found when the request was checked. */
export interface CheckedDestination {
  readonly destination: Destination;
  readonly addresses: readonly string[];
  /** Why there are no addresses yet: the DNS was away for a moment. */
  readonly unresolved?: GatewayError;
}

/** What a push keeps when the gateway is started again. */
export interface PushIdentity {
  readonly mediaSessionId: string;
  readonly startedAt: Date;
  /** Since when its publisher has been lost. */
  readonly awaySince?: Date;
}

export interface TransponderOptionsAtStart extends CheckedDestination {
  readonly request: StartRequest;
  /** The live stream that it ends with; unset with `standby`. */
  readonly stream?: LiveStream;
  /** The rendition of `lease`, if that outlives live streams. */
  readonly standby?: ContinuousRendition;
  readonly lease: RenditionLease;
  readonly requestId?: string | undefined;
  /** For destinations whose rules are known. The transponder closes it. */
  readonly rules?: PushRules;
  readonly backup?: CheckedDestination;
  readonly sound?: { readonly clip: SoundClip; readonly loop: boolean };
  /** Of a push that an earlier run of the gateway has left. */
  readonly continued?: PushIdentity;
}

/** How long a cold backup waits for the primary, in milliseconds, unless the request says otherwise. */
export const DEFAULT_BACKUP_AFTER_MS = 3000;
