import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whether an address can be reached from this machine only. */
export const isLoopback = (text: string): boolean => isIP(text) !== 0 && ipaddr.process(text).range() === 'loopback';

/**
 * Whether a Host header is `localhost` or a loopback address. A page whose own host name was made to resolve to
 * 127.0.0.1 (DNS rebinding) sends that name instead.
 */
export function isOwnHost(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || isLoopback(name);
}
