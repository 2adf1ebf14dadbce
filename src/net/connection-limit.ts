import type { Server, Socket } from 'node:net';
import type { SettingKey, Settings } from '../config/schema.ts';
import { limitHits } from '../observe/limits.ts';
import { ClientAddresses } from './client-addresses.ts';
import { ClientSlots, type SlotLimits } from './client-slots.ts';

/** The connections of the listeners that share a limit. */
export interface ConnectionLimit {
  readonly slots: ClientSlots;
  /** The settings of the two limits. */
  readonly settings: Readonly<Record<keyof SlotLimits, SettingKey>>;
  readonly addresses: ClientAddresses;
}

/** The limit of HTTP listeners that count their connections together. */
export const httpConnectionLimit = (settings: Settings): ConnectionLimit => ({
  slots: new ClientSlots({
    perClient: settings.max_http_connections_per_ip,
    total: settings.max_http_connections,
  }),
  settings: { perClient: 'max_http_connections_per_ip', total: 'max_http_connections' },
  addresses: new ClientAddresses(settings.trust_proxy),
});

/**
 * Closes connections beyond the limit as they arrive, before anything is read or encrypted. The connections of a trusted
 * proxy count in total only, because they belong to many clients.
 *
 * @returns to be called for a connection of a manager of the cluster: it counts in total only from then on
 */
export function limitConnections(
  server: Server,
  { slots, settings, addresses }: ConnectionLimit,
): (socket: Socket) => void {
  const taken = new WeakMap<Socket, () => void>();
  const take = (socket: Socket, address: string | undefined): void => {
    const release = slots.take(address);
    taken.set(socket, release);
    socket.once('close', release);
  };
  server.on('connection', (socket: Socket) => {
    const remote = socket.remoteAddress ?? '';
    const address = addresses.isProxy(remote) ? undefined : remote;
    const full = slots.full(address);
    if (full) {
      limitHits.count(settings[full]);
      socket.destroy();
      return;
    }
    take(socket, address);
  });
  const trusted = new WeakSet<Socket>();
  return (socket) => {
    const release = taken.get(socket);
    if (!release || trusted.has(socket)) return;
    trusted.add(socket);
    release();
    take(socket, undefined);
  };
}
