import type { Socket as UdpSocket } from 'node:dgram';
import type { Server } from 'node:net';

/** Resolves when a socket listens, and rejects when it cannot. */
export function bound(target: UdpSocket | Server, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    target.once('error', reject);
    start(() => {
      target.off('error', reject);
      resolve();
    });
  });
}
