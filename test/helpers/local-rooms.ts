import { LocalScopes } from '../../src/rooms/local-scopes.ts';
import { ROOM_LIMITS, type RoomLimits } from '../../src/rooms/room-limits.ts';
import { ScopeRooms } from '../../src/rooms/scope-rooms.ts';

/** Rooms in memory, without persistent objects. */
export function localRooms(limits: Partial<RoomLimits> = {}): ScopeRooms {
  const all = { ...ROOM_LIMITS, ...limits };
  return new ScopeRooms({
    limits: all,
    host: { node: '', instance: '' },
    source: (observe) => new LocalScopes({ limits: all, observe }),
  });
}
