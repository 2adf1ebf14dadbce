import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6 } from 'node:net';
import type { MediaAddress } from './media-addresses.ts';

/**
 * Why media cannot be received at this address; nothing where it can. Asked before mediasoup is, whose worker prints
 * errors of its own.
 *
 * @param port 0: any free port, so that only the address is checked
 */
export async function listenError({ ip, isExtra }: MediaAddress, port: number): Promise<Error | undefined> {
  try {
    await bindUdp(ip, port);
    if (!isExtra) await bindTcp(ip, port);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

async function bindUdp(address: string, port: number): Promise<void> {
  const socket = isIPv6(address) ? createSocket({ type: 'udp6', ipv6Only: true }) : createSocket('udp4');
  try {
    socket.bind({ address, port, exclusive: true });
    await once(socket, 'listening');
  } finally {
    socket.close();
  }
}

async function bindTcp(host: string, port: number): Promise<void> {
  const server = createServer();
  server.listen({ host, port, exclusive: true, ipv6Only: true });
  await once(server, 'listening');
  const closed = once(server, 'close');
  server.close();
  await closed;
}
