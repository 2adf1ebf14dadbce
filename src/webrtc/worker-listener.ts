import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { MediaAddress } from './media-addresses.ts';
import { listenError } from './media-ports.ts';

/** The addresses and the port on which a media worker listens. */

/**
 * Receive buffer of the media socket, in bytes; the kernel grants what `net.core.rmem_max` allows. One socket serves
 * all publishers, and a 4K key frame alone is a burst of several hundred kilobytes.
 */
const UDP_RECEIVE_BUFFER = 4 * 1024 * 1024;

/** @throws {GatewayError} SETTINGS_INVALID when an address that is needed cannot be used */
export async function usableAddresses(
  addresses: readonly MediaAddress[],
  port: number,
  logger: Logger,
): Promise<MediaAddress[]> {
  const usable: MediaAddress[] = [];
  for (const address of addresses) {
    const error = await listenError(address, port);
    if (!error) usable.push(address);
    else if (address.isExtra)
      logger.warn(
        { reason: listenFailure(error, address.ip, port) },
        'Firefox on this machine will not be able to publish, because it sends no media to loopback',
      );
    else throw new GatewayError('SETTINGS_INVALID', listenFailure(error, address.ip, port), { cause: error });
  }
  return usable;
}

/** @throws {GatewayError} SETTINGS_INVALID */
export async function openWebRtcServer(
  worker: types.Worker,
  addresses: readonly MediaAddress[],
  port: number,
): Promise<types.WebRtcServer> {
  try {
    return await worker.createWebRtcServer({ listenInfos: listenInfos(addresses, port) });
  } catch (error) {
    throw new GatewayError('SETTINGS_INVALID', listenFailure(error, addresses.map(({ ip }) => ip).join(', '), port), {
      cause: error,
    });
  }
}

function listenInfos(addresses: readonly MediaAddress[], port: number): types.TransportListenInfo[] {
  return addresses.flatMap(({ ip, announced, isExtra }) => {
    const place = { ip, port, ...(announced !== undefined && { announcedAddress: announced }) };
    const udp = { ...place, protocol: 'udp', recvBufferSize: UDP_RECEIVE_BUFFER } as const;
    return isExtra ? [udp] : [udp, { ...place, protocol: 'tcp' } as const];
  });
}

function listenFailure(error: unknown, ip: string, port: number): string {
  const detail = error instanceof Error ? error.message : String(error);
  if (/address already in use|EADDRINUSE/i.test(detail))
    return (
      `rtc_port ${port} is in use on ${ip}, as UDP or TCP, by another program or another gateway. Stop it, or ` +
      'set rtc_port to a free port.'
    );
  if (/not available|EADDRNOTAVAIL/i.test(detail))
    return `ip_local ${ip} is not an address of this machine. Set ip_local to an address of this machine, or to 0.0.0.0.`;
  return `WebRTC media cannot listen on ${ip}, port ${port}: ${detail}. Check ip_local and rtc_port.`;
}
