import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { GatewayError } from '../errors.ts';

export interface PendingSessionLimits {
  /** Sessions of one client address that are not connected yet. */
  readonly perClient: number;
  /** Sessions of all clients that are not connected yet. */
  readonly total: number;
}

/** Bytes of an IPv6 address that identify one client: a household or a server gets a /64 or more. */
const IPV6_PREFIX_BYTES = 8;

/**
 * Counts sessions from their offer until they are connected, so that offers without media cannot take all resources.
 */
export class PendingSessions {
  readonly #limits: PendingSessionLimits;
  readonly #perClient = new Map<string, number>();
  #total = 0;

  constructor(limits: PendingSessionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#total;
  }

  /**
   * Takes a slot for a session that is about to connect.
   *
   * @param clientAddress IP address of the client; without one only the total counts
   * @returns how to free the slot: when the session is connected or over. Idempotent
   * @throws {GatewayError} LIMIT_REACHED
   */
  enter(clientAddress?: string): () => void {
    this.check(clientAddress);
    const client = clientOf(clientAddress);
    this.#perClient.set(client, (this.#perClient.get(client) ?? 0) + 1);
    this.#total++;
    let entered = true;
    return () => {
      if (!entered) return;
      entered = false;
      this.#total--;
      const left = this.#perClient.get(client)! - 1;
      if (left > 0) this.#perClient.set(client, left);
      else this.#perClient.delete(client);
    };
  }

  /**
   * Refuses a client without a free slot, before its offer is parsed.
   *
   * @throws {GatewayError} LIMIT_REACHED
   */
  check(clientAddress?: string): void {
    const { perClient, total } = this.#limits;
    const client = clientOf(clientAddress);
    const ofClient = this.#perClient.get(client) ?? 0;
    if (client !== '' && ofClient >= perClient)
      throw new GatewayError(
        'LIMIT_REACHED',
        `${ofClient} sessions of this address are waiting for their connection (max_pending_sessions_per_ip). Try again in some seconds. Clients behind a reverse proxy share its address: raise the setting there.`,
      );
    if (this.#total >= total)
      throw new GatewayError(
        'LIMIT_REACHED',
        `${total} sessions are waiting for their connection (max_pending_sessions). Try again in some seconds.`,
      );
  }
}

/** What counts as one client: an IPv4 address, or the network of an IPv6 address. */
function clientOf(address = ''): string {
  const plain = address.replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const parsed = ipaddr.IPv6.parse(plain);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  return Buffer.from(parsed.toByteArray().slice(0, IPV6_PREFIX_BYTES)).toString('hex');
}
