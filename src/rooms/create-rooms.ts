import type { Logger } from '../observe/logger.ts';
import type { Store } from '../store/store.ts';
import { LocalScopes } from './local-scopes.ts';
import { PersistentObjects } from './persistent-objects.ts';
import { ROOM_LIMITS, type RoomLimits } from './room-limits.ts';
import { ScopeRooms } from './scope-rooms.ts';

export interface LocalRoomsOptions {
  readonly limits?: Partial<RoomLimits>;
  readonly store: Store;
  readonly logger: Logger;
}

/** Rooms of a gateway that runs alone. Persistent objects are in its store. */
export async function createLocalRooms({ limits, store, logger }: LocalRoomsOptions): Promise<ScopeRooms> {
  const all = { ...ROOM_LIMITS, ...limits };
  const persistent = await PersistentObjects.create({ store, days: all.persistentDays, logger });
  return new ScopeRooms({
    limits: all,
    host: { node: '', instance: '' },
    source: (observe) => new LocalScopes({ limits: all, persistent, observe }),
  });
}
