import type { Settings } from '../config/schema.ts';
import { ClientAddresses } from '../net/client-addresses.ts';
import { ClientSlots } from '../net/client-slots.ts';
import type { ConnectionLimit } from '../net/connection-limit.ts';
import type { TokenBucketOptions } from '../net/token-bucket.ts';

/** What bounds the clients of the WebSocket. */
export interface WcsLimits {
  /** Messages of one client. A page that stops all its streams at once sends some dozens, and repeats each five times a second. */
  readonly messages: TokenBucketOptions;
  /** Streams that one client publishes and plays. */
  readonly maxStreams: number;
  /** Bytes that wait for one client. */
  readonly queuedBytes: number;
  /** TCP connections of all listeners, and those of each client that connects without a proxy. */
  readonly connections: ConnectionLimit;
  /** WebSockets of each client behind a trusted proxy. */
  readonly proxied: ClientSlots;
}

export function wcsLimits(settings: Settings): WcsLimits {
  const perClient = settings.max_ws_connections_per_ip;
  return {
    messages: { perSecond: settings.max_ws_messages_per_second, burst: settings.max_ws_message_burst },
    maxStreams: settings.max_ws_streams,
    queuedBytes: settings.max_ws_queued_kb * 1024,
    connections: {
      slots: new ClientSlots({ perClient, total: settings.max_ws_connections }),
      settings: { perClient: 'max_ws_connections_per_ip', total: 'max_ws_connections' },
      addresses: new ClientAddresses(settings.trust_proxy),
    },
    proxied: new ClientSlots({ perClient, total: Infinity }),
  };
}
