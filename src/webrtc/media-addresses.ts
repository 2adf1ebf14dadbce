import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import type { Settings } from '../config/schema.ts';
import { isLoopback } from '../net/loopback.ts';

/** An address where media is received. */
export interface MediaAddress {
  /** Bound, for UDP and TCP. */
  readonly ip: string;
  /** Sent to browsers instead: an address or a host name. */
  readonly announced?: string;
  /** UDP only, and left out where it cannot be bound. */
  readonly isExtra?: boolean;
}

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

const LOOPBACK = '127.0.0.1';

/**
 * The addresses for media: `ip_local`, if it is set. Otherwise all addresses of this machine, if `ip` or `listen_ip`
 * admit other machines. Otherwise loopback, and this machine's own address too, because Firefox sends no media to
 * loopback. The latter admits no other machine: the media worker rejects clients without the credentials of a session,
 * and the WebSocket that hands them out is on loopback.
 */
export function mediaAddresses(
  { ip, ip_local: bound, listen_ip: listening }: Pick<Settings, 'ip' | 'ip_local' | 'listen_ip'>,
  interfaces: Interfaces = networkInterfaces(),
): MediaAddress[] {
  if (bound) return [reachable(bound, ip, interfaces)];
  if (ip || !isLoopback(listening)) return [reachable(listening === '::' ? '::' : '0.0.0.0', ip, interfaces)];
  const own = ownAddress('IPv4', interfaces);
  return [{ ip: LOOPBACK }, ...(own ? [{ ip: own, isExtra: true }] : [])];
}

/** Browsers cannot connect to a wildcard, so they get the first non-loopback address of this machine, or loopback. */
function reachable(bound: string, announced: string, interfaces: Interfaces): MediaAddress {
  if (announced) return { ip: bound, announced };
  if (bound === '0.0.0.0') return { ip: bound, announced: ownAddress('IPv4', interfaces) ?? LOOPBACK };
  if (bound === '::') return { ip: bound, announced: ownAddress('IPv6', interfaces) ?? '::1' };
  return { ip: bound };
}

function ownAddress(family: 'IPv4' | 'IPv6', interfaces: Interfaces): string | undefined {
  const addresses = Object.values(interfaces).flatMap((list) => list ?? []);
  return addresses.find(
    (address) => address.family === family && !address.internal && !address.address.startsWith('fe80'),
  )?.address;
}
