import type { IncomingMessage } from 'node:http';
import { ClientAddresses } from './client-addresses.ts';

/** In lower case, as Node has header names. */
export const FORWARDED_PREFIX_HEADER = 'x-forwarded-prefix';

const MAX_LENGTH = 256;
/** Segments of unreserved characters (RFC 3986, 2.3): an empty one would make the path a host name. */
const PREFIX = /^(?:\/[\w.~-]+)+$/;

/**
 * A path prefix without a slash at its end; `/` and the empty text are none. Several proxies have put a comma between
 * theirs.
 *
 * @returns `undefined` if the text cannot be used
 */
export function readPathPrefix(text: string): string | undefined {
  const path = text
    .split(',')
    .map((part) => part.trim().replace(/\/$/, ''))
    .join('');
  if (path === '') return '';
  return path.length <= MAX_LENGTH && PREFIX.test(path) && !/\/\.\.?(?:\/|$)/.test(path) ? path : undefined;
}

/** The path below which clients reach the server, which a reverse proxy has removed from requests. */
export class PathPrefixes {
  readonly #own: string;
  readonly #addresses: ClientAddresses;

  constructor(settings: { readonly path_prefix: string; readonly trust_proxy: readonly string[] }) {
    this.#own = settings.path_prefix;
    this.#addresses = new ClientAddresses(settings.trust_proxy);
  }

  /** `X-Forwarded-Prefix` of a trusted proxy, or else the setting. */
  of({ headers, socket }: Pick<IncomingMessage, 'headers' | 'socket'>): string {
    const given = headers[FORWARDED_PREFIX_HEADER];
    const text = given === undefined ? undefined : String(given);
    if (text === undefined || !this.#addresses.isProxy(socket.remoteAddress ?? '')) return this.#own;
    return readPathPrefix(text) ?? this.#own;
  }
}
