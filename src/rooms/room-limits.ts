import type { Settings } from '../config/schema.ts';
import type { GatewayError } from '../errors.ts';
import { limitReached } from '../observe/limits.ts';
import type { ScopeLimits } from './scope-entry.ts';

/** Bounds of the rooms. */
export interface RoomLimits {
  /** Scopes that are in use: they have members, or acquired objects. */
  readonly scopes: number;
  readonly membersPerScope: number;
  readonly objectsPerScope: number;
  readonly propertiesPerObject: number;
  /** Bytes of all keys and values of an object as JSON: the state must fit into what may wait for a client. */
  readonly objectBytes: number;
  /** Bytes of all objects and attributes of a scope as JSON. */
  readonly scopeBytes: number;
  /** Bytes of a value, of the arguments of a message, and of a text, as JSON. */
  readonly valueBytes: number;
  readonly nameLength: number;
  /** Operations of one member; each kilobyte counts as another one. */
  readonly perSecond: number;
  readonly burst: number;
  /** Days for which persistent objects that nobody uses are kept. */
  readonly persistentDays: number;
  /** Persistent objects of all scopes. */
  readonly persistentObjects: number;
  /** Bytes of all persistent objects as JSON. */
  readonly persistentBytes: number;
  /** Objects that one principal, or one address, makes persistent in a day. */
  readonly persistentPerDay: number;
  /** Free bytes of the disk of `state_dir` below which persistent objects cannot grow. */
  readonly minFreeBytes: number;
}

export const ROOM_LIMITS: RoomLimits = {
  scopes: 10_000,
  membersPerScope: 1000,
  objectsPerScope: 100,
  propertiesPerObject: 1000,
  objectBytes: 96 * 1024,
  scopeBytes: 1024 * 1024,
  valueBytes: 32 * 1024,
  nameLength: 256,
  perSecond: 50,
  burst: 200,
  persistentDays: 30,
  persistentObjects: 10_000,
  persistentBytes: 256 * 2 ** 20,
  persistentPerDay: 1000,
  minFreeBytes: 64 * 2 ** 20,
};

/** The limits that the settings give. */
export const roomLimits = (settings: Settings): RoomLimits => ({
  ...ROOM_LIMITS,
  scopes: settings.rooms_max_scopes,
  membersPerScope: settings.rooms_max_members,
  objectsPerScope: settings.rooms_max_objects,
  propertiesPerObject: settings.rooms_max_properties,
  objectBytes: settings.rooms_max_object_kb * 1024,
  scopeBytes: settings.rooms_max_scope_kb * 1024,
  valueBytes: settings.rooms_max_value_kb * 1024,
  perSecond: settings.rooms_messages_per_second,
  burst: settings.rooms_message_burst,
  persistentDays: settings.rooms_persistent_days,
  persistentObjects: settings.rooms_max_persistent_objects,
  persistentBytes: settings.rooms_max_persistent_mb * 2 ** 20,
  persistentPerDay: settings.rooms_persistent_objects_per_day,
  minFreeBytes: settings.rooms_min_free_mb * 2 ** 20,
});

/** What the entries of a scope are checked against. */
export function scopeLimits(limits: RoomLimits): ScopeLimits {
  return {
    members: limits.membersPerScope,
    objects: limits.objectsPerScope,
    properties: limits.propertiesPerObject,
    objectBytes: limits.objectBytes,
    scopeBytes: limits.scopeBytes,
  };
}

/** A scope would be one too many. */
export const tooManyRooms = ({ scopes }: RoomLimits): GatewayError =>
  limitReached(
    'rooms_max_scopes',
    `${scopes} rooms are in use already (rooms_max_scopes). Try again when one is empty.`,
  );
