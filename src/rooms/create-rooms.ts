import type { Settings } from '../config/schema.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { freeBytesOf } from '../runtime/disk-space.ts';
import type { SharedLogs } from '../store/shared-logs.ts';
import type { Store } from '../store/store.ts';
import { LocalScopes } from './local-scopes.ts';
import { PersistentObjects } from './persistent-objects.ts';
import { ROOM_LIMITS, roomLimits, type RoomLimits } from './room-limits.ts';
import { registerRoomMetrics } from './room-metrics.ts';
import type { MemberHost } from './scope-entry.ts';
import { ScopeRooms } from './scope-rooms.ts';
import { SharedScopes } from './shared-scopes.ts';

export interface RoomParts {
  /** Of a cluster, where the rooms are the same on all nodes. */
  readonly shared: Pick<SharedRoomsOptions, 'logs' | 'host' | 'processes'> | undefined;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Creates the rooms of the gateway from its settings, and registers their metrics. */
export async function createRooms(
  settings: Settings,
  { shared, store, metrics, logger }: RoomParts,
): Promise<ScopeRooms> {
  const limits = roomLimits(settings);
  const freeBytes = settings.state_dir ? () => freeBytesOf(settings.state_dir) : undefined;
  const rooms = shared
    ? createSharedRooms({ ...shared, limits, logger })
    : await createLocalRooms({ limits, store, freeBytes, logger });
  registerRoomMetrics(metrics, rooms);
  return rooms;
}

export interface LocalRoomsOptions {
  readonly limits?: Partial<RoomLimits>;
  readonly store: Store;
  /** Free bytes of the store's disk. Unset: the store is in memory. */
  readonly freeBytes?: (() => Promise<number>) | undefined;
  readonly logger: Logger;
}

/** Rooms of a gateway that runs alone. Persistent objects are in its store. */
export async function createLocalRooms({ limits, ...options }: LocalRoomsOptions): Promise<ScopeRooms> {
  const all = { ...ROOM_LIMITS, ...limits };
  const persistent = await PersistentObjects.create({
    ...options,
    days: all.persistentDays,
    minFreeBytes: all.minFreeBytes,
  });
  return new ScopeRooms({
    limits: all,
    host: { node: '', instance: '' },
    source: (observe) => new LocalScopes({ limits: all, persistent, observe }),
  });
}

export interface SharedRoomsOptions {
  readonly limits?: Partial<RoomLimits>;
  readonly logs: SharedLogs;
  readonly host: MemberHost;
  /** Instances of the processes that run. */
  readonly processes: () => Promise<ReadonlySet<string>>;
  readonly logger: Logger;
}

/** Rooms of all nodes of a cluster. */
function createSharedRooms({ limits, ...options }: SharedRoomsOptions): ScopeRooms {
  const all = { ...ROOM_LIMITS, ...limits };
  return new ScopeRooms({
    limits: all,
    host: options.host,
    source: (observe) => new SharedScopes({ ...options, limits: all, observe }).start(),
  });
}
