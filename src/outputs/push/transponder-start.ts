import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { LateGroups } from '../late-groups.ts';
import type { OutputQueueRules } from '../output-queue.ts';
import type { Backoff } from '../../runtime/async.ts';
import type { CodecDecision, PublishedCodecs } from './codecs/codec-choice.ts';
import type { CodecRules } from './codecs/leg-codecs.ts';
import type { PushMediaOptions, PushSound } from './codecs/push-media.ts';
import type { RetryRules } from './leg-state.ts';
import type { LegEnvironment, LegOptions } from './leg-start.ts';
import type { PushSource } from './push-sources.ts';
import type { StandbyRequest, StartRequest } from './transponder-control.ts';

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

/** What the feeds of all legs have in common. */
export const legFeed = ({
  lateGroups,
  outBuffer,
  pollingMs,
  sendMetadata,
}: TransponderEnvironment): LegOptions['feed'] => ({
  ...{ lateGroups, queue: outBuffer, pollingMs, sendMetadata },
});

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
  /** What its publisher sent. */
  readonly published?: PublishedCodecs;
}

/** How a push gets its codecs. */
export interface CodecsAtStart {
  /** What it begins with. */
  readonly decision: CodecDecision;
  readonly rules: CodecRules;
  readonly format: PushMediaOptions['format'];
  readonly open: PushMediaOptions['open'];
}

export interface TransponderOptionsAtStart extends CheckedDestination, PushSource {
  /** With what the settings say about standby. */
  readonly request: StartRequest & { readonly standby?: StandbyRequest | false };
  /** Default: H.264 and the audio codec of the environment, whatever the server takes. */
  readonly codecs?: CodecsAtStart;
  readonly requestId?: string | undefined;
  readonly backup?: CheckedDestination;
  readonly sound?: PushSound;
  /** Of a push that an earlier run of the gateway has left. */
  readonly continued?: PushIdentity;
}

/** How long a cold backup waits for the primary, in milliseconds, unless the request says otherwise. */
export const DEFAULT_BACKUP_AFTER_MS = 3000;
