import type { Server, Socket } from 'node:net';
import type { SettingKey } from '../config/schema.ts';
import { limitHits } from '../observe/limits.ts';
import type { ClientAddresses } from './client-addresses.ts';
import type { ClientSlots, SlotLimits } from './client-slots.ts';

/** The connections of the listeners that share a limit. */
export interface ConnectionLimit {
  readonly slots: ClientSlots;
  /** The settings of the two limits. */
  readonly settings: Readonly<Record<keyof SlotLimits, SettingKey>>;
  readonly addresses: ClientAddresses;
}

/**
 * Closes connections beyond the limit as they arrive, before anything is read or encrypted. The connections of a trusted
 * proxy count in total only, because they belong to many clients.
 */
export function limitConnections(server: Server, { slots, settings, addresses }: ConnectionLimit): void {
  server.on('connection', (socket: Socket) => {
    const remote = socket.remoteAddress ?? '';
    const address = addresses.isProxy(remote) ? undefined : remote;
    const full = slots.full(address);
    if (full) {
      limitHits.count(settings[full]);
      socket.destroy();
      return;
    }
    socket.once('close', slots.take(address));
  });
}
