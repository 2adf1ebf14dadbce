import type { Settings } from '../config/schema.ts';
import type { ScopeLimits } from './scope-entry.ts';

/** Bounds of the rooms. */
export interface RoomLimits {
  /** Scopes that have members or keep objects. */
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
