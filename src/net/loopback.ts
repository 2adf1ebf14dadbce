import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whether an address can be reached from this machine alone. */
export const isLoopback = (text: string): boolean => isIP(text) !== 0 && ipaddr.process(text).range() === 'loopback';

/**
 * Whether a Host header names this machine by a name of its own. A page whose name was made to resolve to 127.0.0.1 (DNS
 * rebinding) gives itself away by it.
 */
export function isOwnHost(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || isLoopback(name);
}
