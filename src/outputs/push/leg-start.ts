import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Backoff } from '../../runtime/async.ts';
import type { LegName } from '../../views/push-view.ts';
import type { LegCodecs } from './codecs/leg-codecs.ts';
import type { RetryRules } from './leg-state.ts';
import type { ConnectionFeed } from './push-connection.ts';
import type { PusherFactory } from './pusher.ts';

/** What all legs of a gateway share. */
export interface LegEnvironment {
  readonly createPusher: PusherFactory;
  /** The addresses that may be connected to. Checked again for each connection. */
  readonly resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly localAddress?: string;
  readonly stallTimeoutMs: number;
  /** Default: `NAME_HELD_MS`. */
  readonly nameHeldMs?: number;
  /** Default: `STEADY_AFTER_MS`; for tests. */
  readonly steadyAfterMs?: number;
  readonly onInvalidTransition: (status: string, event: string) => void;
}

export interface LegOptions {
  readonly name: LegName;
  readonly destination: Destination;
  readonly flashVersion: string;
  readonly codecs: LegCodecs;
  /** What goes over a connection, besides what the codecs decide. */
  readonly feed: Omit<ConnectionFeed, 'rendition' | 'silence' | 'transform'>;
  readonly retry: RetryRules & Backoff;
  /** Whether another leg pushes. This one then tries again without a limit. */
  readonly isCovered: () => boolean;
  /** The addresses found when the request was checked. Used for the first connection. */
  readonly addresses: readonly string[];
  /** Why there are none: counts as a failed attempt. */
  readonly unresolved?: GatewayError;
  /** Does not connect before `Leg.open()`. */
  readonly idle?: boolean;
  /** The push was carried by another process, for which the server may still hold the name. */
  readonly continues?: boolean;
  readonly logger: Logger;
}
