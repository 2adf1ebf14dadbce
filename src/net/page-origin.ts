import type { IncomingHttpHeaders } from 'node:http';
import { isLoopback } from './loopback.ts';

/** Whether a page is one of this machine, whatever its port. */
export function isOwnPage(origin: string): boolean {
  try {
    const host = new URL(origin).hostname.replace(/^\[|\]$/g, '');
    return host === 'localhost' || host.endsWith('.localhost') || isLoopback(host);
  } catch {
    return false; // "null": a sandboxed frame or a file.
  }
}

/**
 * Whether a browser has sent the request for a page of another origin: neither the gateway's own, nor one of this
 * machine, nor one of `allowed`. Programs send no `Origin` and no `Sec-Fetch-Site`.
 */
export function comesFromForeignPage(headers: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers;
  if (allowed.includes('*')) return false;
  if (origin === undefined) return site === 'cross-site' || site === 'same-site';
  // Pages cannot set this header. A reverse proxy may have changed `Host`.
  if (site === 'same-origin') return false;
  const isAllowed = allowed.some((one) => one.toLowerCase() === origin.toLowerCase());
  return !isAllowed && !isOwnPage(origin) && !isSameHost(origin, host);
}

function isSameHost(origin: string, host: string | undefined): boolean {
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
