import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import type { Settings } from '../config/schema.ts';
import { isLoopback } from '../net/loopback.ts';

/** Where media is received. */
export interface MediaAddress {
  /** Bound, by UDP and TCP. */
  readonly ip: string;
  /** Told to browsers instead: an address or a host name. */
  readonly announced?: string;
  /** By UDP alone, and done without where it cannot be had. */
  readonly isExtra?: boolean;
}

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

const LOOPBACK = '127.0.0.1';

/**
 * What `ip_local` says. Where it says nothing: every address of this machine if somebody else may come, which `ip` or `listen_ip` tells. If not, loopback, and
 * this machine's own address too, because Firefox sends no media to loopback. It gives nobody an entrance: the media worker turns away who does not have the
 * credentials of a session, and the WebSocket that gives them is on loopback.
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

/** A browser cannot connect to a wildcard: it is told the first address of this machine that others may reach, else loopback. */
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
