import type { GatewayError } from '../errors.ts';
import type { Publisher } from '../streams/live-stream.ts';

/**
 * What a publication runs over: a publisher with a connection of its own. WebRTC is the first kind; a SIP call or a
 * file that is played out are others.
 */
export interface SourceSession extends Publisher {
  /** Idempotent. */
  close(reason?: GatewayError): void;
  /** Media can flow. */
  on(event: 'connected', listener: () => void): unknown;
  /** Packets arrive that cannot be used as its video; `undefined`: video arrives again. */
  on(event: 'unmatched', listener: (problem: GatewayError | undefined) => void): unknown;
  /** The session has ended by itself. With PUBLISHER_LOST the publisher may return. */
  on(event: 'lost', listener: (reason: GatewayError) => void): unknown;
}
