import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../../errors.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ConnectExtras } from '../../rtmp/connect-extras.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import type { ConnectAnswer } from '../../rtmp/rtmp-client.ts';

/** Events of one connection attempt. */
export interface PusherEvents {
  /**
   * The destination (or the ffmpeg in front of it) accepts tags from now on: script data, sequence headers, a key
   * frame, then media. `answer`: what the destination has said about itself.
   */
  ready: [answer?: ConnectAnswer];
  /** The destination has accepted the publish and has taken media: `bytes` is the running total. Proves liveness. */
  progress: [bytes: number];
  /** `writable` is true again after it was false. */
  drain: [];
  /**
   * The connection failed or was lost, without `close()`. At most once; no event follows. `nameInUse`: the server has
   * refused a name that it had accepted from this push before.
   */
  died: [error: GatewayError, nameInUse?: boolean];
  /** The server asks for another connection. Only after `ready`. */
  reconnect: [request: ReconnectRequest];
}

/**
 * One connection attempt to one destination. A reconnect is a new pusher. `close()` is idempotent and awaited, and
 * emits nothing; `died` means that the connection ended for another reason.
 */
export interface Pusher extends EventEmitter<PusherEvents> {
  /**
   * Sends tags whose timestamps start at 0 for this connection. Never blocks; the caller decides by `writable` what to
   * drop.
   */
  write(group: TagGroup): void;
  /** False while the destination does not keep up: tags should be held back until `drain`. */
  readonly writable: boolean;
  /** The connection keeps the tracks that it began with: video cannot be added later. */
  readonly keepsTracks?: boolean;
  /** Bytes written that the destination has not taken yet. */
  readonly backlog: number;
  close(): Promise<void>;
}

/** What a pusher connects to, and how. */
export interface PushTarget {
  readonly destination: Destination;
  /**
   * The addresses that the policy has checked, at least one, in the order in which they should be tried. The connection
   * is made to one of them only.
   */
  readonly addresses: readonly string[];
  readonly flashVersion: string;
  /** What `connect` says besides the fields of RTMP 1.0; unset: as the client does by default. */
  readonly extras?: ConnectExtras | undefined;
  /** Local address to bind (`rtmp_publisher_ip`), if any. */
  readonly localAddress?: string;
  /**
   * The destination has taken media of this push before: if it says that the name is in use, it may mean the previous
   * connection.
   */
  readonly resumes?: boolean;
  /** Milliseconds after which a peer that takes nothing is considered lost. */
  readonly stallTimeoutMs: number;
  /** The peer was considered lost and could be connected to at once: that it acknowledges no more proves nothing. */
  readonly ignoresSilence?: boolean;
  /** Has the ids of the push, for the log. */
  readonly logger?: Logger;
}

export type PusherFactory = (target: PushTarget) => Pusher;
