import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import proxyAddr from '@fastify/proxy-addr';

/** Finds the addresses of clients, also behind the proxies of `trust_proxy`, whose `X-Forwarded-For` is believed. */
export class ClientAddresses {
  readonly #isTrusted: (address: string, hop: number) => boolean;

  /** @param proxies addresses and networks */
  constructor(proxies: readonly string[]) {
    this.#isTrusted = proxies.length > 0 ? proxyAddr.compile([...proxies]) : () => false;
  }

  isProxy(address: string): boolean {
    return this.#isTrusted(address, 0);
  }

  /** The last address in `X-Forwarded-For` that is not a trusted proxy: clients can write the ones before it themselves. */
  of(request: IncomingMessage): string {
    const address = proxyAddr(request, this.#isTrusted);
    return isIP(address) ? address : (request.socket.remoteAddress ?? '');
  }
}
