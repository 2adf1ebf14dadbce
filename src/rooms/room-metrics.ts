import type { Metrics } from '../observe/metrics.ts';
import type { RoomsControl } from './room-client.ts';

/** Gauges of the rooms of this process. */
export function registerRoomMetrics(metrics: Metrics, rooms: Pick<RoomsControl, 'counts'>): void {
  metrics.gauge(
    'gateway_rooms',
    'Rooms that have members here, or objects that were acquired here.',
    () => rooms.counts.scopes,
  );
  metrics.gauge(
    'gateway_room_members',
    'Members of rooms whose clients are connected here.',
    () => rooms.counts.members,
  );
  metrics.gauge('gateway_room_objects', 'Shared objects of these rooms.', () => rooms.counts.objects);
}
