import type { SharedObjectEvent, SharedObjectMessage } from '../../rtmp/shared-object-message.ts';
import type { ObjectChange, ObjectOperation, RoomEvent } from '../room-client.ts';
import { toAmf, toJson } from './amf-json.ts';

/** Shared objects between RTMP and the rooms. Pure. */

/** The operation that a client's event asks for; undefined for `use`, `release`, and what only servers send. */
export function operationOf(event: SharedObjectEvent): ObjectOperation | undefined {
  switch (event.type) {
    case 'requestChange': {
      const value = toJson(event.value);
      // Clients of Flash remove a property by setting it to undefined or null.
      return value === null ? { type: 'delete', key: event.key } : { type: 'set', key: event.key, value };
    }
    case 'requestRemove':
      return { type: 'delete', key: event.key };
    // Meant for servers only, but clients of Red5 send these too.
    case 'remove':
      return { type: 'delete', key: event.key };
    case 'clear':
      return { type: 'clear' };
    case 'sendMessage':
      return { type: 'send', method: event.method, args: event.args.map(toJson) };
    default:
      return undefined;
  }
}

/** What the member with this id is told about an object. */
export function messageOf(
  event: Extract<RoomEvent, { type: 'state' | 'changes' }>,
  memberId: string,
): SharedObjectMessage {
  const { object: name, version, persistent } = event;
  const events: readonly SharedObjectEvent[] =
    event.type === 'state'
      ? [
          { type: 'initialData' },
          // The state replaces what the client may have from an earlier connection.
          { type: 'clear' },
          ...[...event.properties].map(([key, value]) => ({ type: 'change', key, value: toAmf(value) }) as const),
        ]
      : event.changes.map((change) => eventOf(change, memberId));
  return { name, version, persistent, events };
}

/** The sender of a new value knows it: it is told that the server has accepted it. */
function eventOf(change: ObjectChange, memberId: string): SharedObjectEvent {
  switch (change.type) {
    case 'set':
      return change.by === memberId
        ? { type: 'success', key: change.key }
        : { type: 'change', key: change.key, value: toAmf(change.value) };
    case 'delete':
      return { type: 'remove', key: change.key };
    case 'clear':
      return { type: 'clear' };
    case 'send':
      return { type: 'sendMessage', method: change.method, args: change.args.map(toAmf) };
  }
}
