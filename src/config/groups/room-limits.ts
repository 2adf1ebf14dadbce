import { integer } from '../fields.ts';

/** What bounds rooms. */
export const roomLimits = {
  /** Scopes that are in use: they have members, or acquired objects. */
  rooms_max_scopes: integer(1, 1_000_000).default(10_000),
  /** Of a scope; REST can set a smaller number for one. */
  rooms_max_members: integer(1, 100_000).default(1000),
  rooms_max_objects: integer(1, 100_000).default(100),
  rooms_max_properties: integer(1, 100_000).default(1000),
  /** Kilobytes as JSON. The state of an object is one message, which must fit into what may wait for a client. */
  rooms_max_object_kb: integer(1, 128).default(96),
  /** Kilobytes as JSON of all objects and attributes of a scope. */
  rooms_max_scope_kb: integer(1, 1_000_000).default(1024),
  /** Kilobytes of a value, of the arguments of a method, and of a text. */
  rooms_max_value_kb: integer(1, 64).default(32),
  /** Changes and messages of one member; each kilobyte counts as another one. */
  rooms_messages_per_second: integer(1, 100_000).default(50),
  rooms_message_burst: integer(1, 1_000_000).default(200),
  /** Days for which persistent objects are kept after their last use. */
  rooms_persistent_days: integer(1, 3650).default(30),
  /** Persistent objects of all scopes, and megabytes of them as JSON. */
  rooms_max_persistent_objects: integer(1, 1_000_000).default(10_000),
  rooms_max_persistent_mb: integer(1, 1_000_000).default(256),
  /** Objects that one principal, or one address, makes persistent in a day. */
  rooms_persistent_objects_per_day: integer(1, 1_000_000).default(1000),
  /** Persistent objects cannot grow while the disk of `state_dir` has less free space. */
  rooms_min_free_mb: integer(0, 10_000_000).default(64),
};
