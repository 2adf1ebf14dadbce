import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Peers that are remembered. */
const MAX_PEERS = 1000;
const UNSPECIFIED = new Set(['0.0.0.0', '::', '']);
/** Any port: nothing is sent. */
const DISCARD = 9;

/** How the gateway's address looks to each peer: for Via, Contact and SDP. */
export class LocalAddresses {
  readonly #bound: string;
  readonly #announced: string;
  readonly #learns: boolean;
  readonly #known = new Map<string, string>();

  /**
   * @param bound may be unspecified
   * @param announced replaces all others; empty: none
   * @param learns believes the first address that a peer reports
   */
  constructor({ bound, announced, learns }: { bound: string; announced: string; learns: boolean }) {
    this.#bound = bound;
    this.#announced = announced;
    this.#learns = learns;
  }

  /** What is known without asking. */
  of(peer: string): string {
    if (this.#announced !== '' && !isLoopbackAddress(peer)) return this.#announced;
    return this.#known.get(peer) ?? (UNSPECIFIED.has(this.#bound) ? anyAddress(peer) : this.#bound);
  }

  /** Finds the address from which packets to the peer leave. To be called before the first one. */
  async find(peer: string): Promise<string> {
    if (!this.#known.has(peer) && UNSPECIFIED.has(this.#bound)) this.#remember(peer, await sourceAddress(peer));
    return this.of(peer);
  }

  /** A peer has seen our request come from this address. */
  learn(peer: string, address: string): void {
    if (this.#learns && this.#announced === '' && !isLoopbackAddress(peer)) this.#remember(peer, address);
  }

  #remember(peer: string, address: string): void {
    this.#known.delete(peer);
    this.#known.set(peer, address);
    if (this.#known.size > MAX_PEERS) this.#known.delete(this.#known.keys().next().value!);
  }
}

const isLoopbackAddress = (address: string): boolean => address.startsWith('127.') || address === '::1';

function anyAddress(peer: string): string {
  if (isLoopbackAddress(peer)) return isIPv6(peer) ? '::1' : '127.0.0.1';
  const family = isIPv6(peer) ? 'IPv6' : 'IPv4';
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = addresses.find((one) => one.family === family && !one.internal && !one.address.startsWith('fe80'));
  return own?.address ?? (family === 'IPv6' ? '::1' : '127.0.0.1');
}

/** The kernel's choice: a connected UDP socket has it, without a packet. */
function sourceAddress(peer: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(peer) ? 'udp6' : 'udp4');
    const finish = (address: string): void => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => finish(anyAddress(peer)));
    socket.connect(DISCARD, peer, () => finish(socket.address().address));
  });
}
