import type { RoomEvent } from './room-client.ts';
import type { ScopeObject } from './scope-object.ts';
import type { ScopeReceivers } from './scope-receivers.ts';
import type { ScopeState } from './scope-state.ts';

/**
 * Tells the members of this process what has changed between two states whose entries are not known, because they were
 * missed.
 */
export function tellDifference(receivers: ScopeReceivers, before: ScopeState, after: ScopeState): void {
  receivers.flush();
  const ids = [...receivers.ids];
  for (const id of ids) {
    const own = before.members.get(id);
    if (own?.login !== undefined) for (const event of memberEvents(before, after, id)) receivers.tell([id], event);
    for (const [name, object] of before.objects) {
      if (!object.members.has(id)) continue;
      const now = after.objects.get(name);
      if (now && isSame(now, object)) continue;
      const { version, persistent } = now ?? object;
      const properties = now?.properties ?? new Map();
      receivers.tell([id], { type: 'state', object: name, version, persistent, properties });
    }
  }
}

/** Of two histories the versions may be the same, and the values not. */
const isSame = (a: ScopeObject, b: ScopeObject): boolean =>
  a.version === b.version && JSON.stringify([...a.properties]) === JSON.stringify([...b.properties]);

/** What the member with this id has missed about the others. */
function memberEvents(before: ScopeState, after: ScopeState, id: string): RoomEvent[] {
  const events: RoomEvent[] = [];
  const old = new Map(before.participants(id).map(({ login, streams }) => [login, streams]));
  const now = new Map(after.participants(id).map(({ login, streams }) => [login, streams]));
  for (const login of old.keys()) if (!now.has(login)) events.push({ type: 'left', login });
  for (const [login, streams] of now) {
    const known = old.get(login);
    if (!known) events.push({ type: 'joined', login });
    for (const stream of known ?? [])
      if (!streams.includes(stream)) events.push({ type: 'unpublished', login, stream });
    for (const stream of streams) if (!known?.includes(stream)) events.push({ type: 'published', login, stream });
  }
  return events;
}
