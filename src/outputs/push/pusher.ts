import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../../errors.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Destination } from '../../net/destination.ts';

/** What happens to one connection attempt. */
export interface PusherEvents {
  /** The destination (or the ffmpeg before it) wants tags from now on: script data, sequence headers, a key frame, then media. */
  ready: [];
  /** The destination accepted the publish and took media: `bytes` is the running total it has taken. Proves liveness. */
  progress: [bytes: number];
  /** There is room again after `writable` was false. */
  drain: [];
  /** The attempt is over and was not closed by us. At most once; nothing follows it. */
  died: [error: GatewayError];
}

/**
 * One connection attempt to one destination: created, used, thrown away. A reconnect is a new pusher.
 * `close()` is ours (idempotent, awaited, emits nothing); `died` is not ours.
 */
export interface Pusher extends EventEmitter<PusherEvents> {
  /** Hands over tags whose timestamps count from this connection's start. Never blocks; what to drop is decided upstream by `writable`. */
  write(group: TagGroup): void;
  /** False while the destination does not keep up: hold tags back until `drain`. */
  readonly writable: boolean;
  /** A connection that begins with sound alone stays without frames. */
  readonly keepsTracks?: boolean;
  /** Bytes handed over that the destination has not taken yet. */
  readonly backlog: number;
  close(): Promise<void>;
}

/** What a pusher needs to know about the connection it makes. */
export interface PushTarget {
  readonly destination: Destination;
  /** The addresses that the policy has checked, at least one, in the order in which they should be tried; the connection goes there and nowhere else. */
  readonly addresses: readonly string[];
  readonly flashVersion: string;
  /** Local address to bind (`rtmp_publisher_ip`), if any. */
  readonly localAddress?: string;
  /** The destination has taken media of this push before: where it says that the name is in use, it may mean the connection that broke. */
  readonly resumes?: boolean;
  /** Milliseconds without a byte taken after which the peer is lost. */
  readonly stallTimeoutMs: number;
}

export type PusherFactory = (target: PushTarget) => Pusher;
