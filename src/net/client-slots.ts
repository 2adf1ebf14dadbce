import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface SlotLimits {
  /** Slots of one client. */
  readonly perClient: number;
  /** Slots of all clients. */
  readonly total: number;
}

/** Bytes of an IPv6 address that identify one client: a household or a server gets a /64 or more. */
const IPV6_PREFIX_BYTES = 8;

/** Counts something that clients take up and give back, such as connections: in total, and for each client address. */
export class ClientSlots {
  readonly #limits: SlotLimits;
  readonly #perClient = new Map<string, number>();
  #total = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Slots that are taken. */
  get size(): number {
    return this.#total;
  }

  /** The limit that leaves no slot for this client. An unknown address counts in total only. */
  full(address?: string): keyof SlotLimits | undefined {
    const client = clientOf(address);
    if (client !== '' && (this.#perClient.get(client) ?? 0) >= this.#limits.perClient) return 'perClient';
    return this.#total >= this.#limits.total ? 'total' : undefined;
  }

  /**
   * Takes a slot, whether or not one is left.
   *
   * @returns gives it back; idempotent
   */
  take(address?: string): () => void {
    const client = clientOf(address);
    this.#perClient.set(client, (this.#perClient.get(client) ?? 0) + 1);
    this.#total++;
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.#total--;
      const left = this.#perClient.get(client)! - 1;
      if (left > 0) this.#perClient.set(client, left);
      else this.#perClient.delete(client);
    };
  }
}

/** What counts as one client: an IPv4 address, or the network of an IPv6 address. */
export function clientOf(address = ''): string {
  const plain = address.replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const parsed = ipaddr.IPv6.parse(plain);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  return Buffer.from(parsed.toByteArray().slice(0, IPV6_PREFIX_BYTES)).toString('hex');
}
