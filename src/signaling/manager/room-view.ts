import type { RoomPayload } from '../../rooms/doors/room-api.ts';

type State = Extract<RoomPayload, { name: 'STATE' }>['info'];

/** What a page knows of a room of the Room API: its other members and their streams. Pure. */
export class RoomView {
  readonly #name: string;
  #members = new Map<string, ReadonlySet<string>>();

  constructor(name: string) {
    this.#name = name;
  }

  /** The page is told this. */
  apply(payload: RoomPayload): void {
    switch (payload.name) {
      case 'STATE':
        this.#members = membersOf(payload.info);
        return;
      case 'JOINED':
        this.#members.set(payload.info, new Set());
        return;
      case 'LEFT':
        this.#members.delete(payload.info);
        return;
      case 'PUBLISHED':
      case 'UNPUBLISHED':
      case 'FAILED': {
        const { login, name } = payload.info;
        const streams = new Set(this.#members.get(login));
        if (payload.name === 'PUBLISHED') streams.add(name);
        else streams.delete(name);
        if (this.#members.has(login)) this.#members.set(login, streams);
        return;
      }
      case 'MESSAGE':
    }
  }

  /**
   * The page is in the room again, after its node was lost. The SDK takes a second STATE for the first one: pages publish
   * once more, and members that have gone remain.
   *
   * @returns the events that lead from what the page knows to this state
   */
  return(state: State): RoomPayload[] {
    const before = this.#members;
    this.#members = membersOf(state);
    const events: RoomPayload[] = [];
    const roomName = this.#name;
    for (const login of before.keys())
      if (!this.#members.has(login)) events.push({ roomName, name: 'LEFT', info: login });
    for (const [login, streams] of this.#members) {
      const known = before.get(login);
      if (!known) events.push({ roomName, name: 'JOINED', info: login });
      for (const name of known ?? [])
        if (!streams.has(name)) events.push({ roomName, name: 'UNPUBLISHED', info: { login, name } });
      for (const name of streams)
        if (!known?.has(name)) events.push({ roomName, name: 'PUBLISHED', info: { login, name } });
    }
    return events;
  }
}

function membersOf(state: State): Map<string, Set<string>> {
  const members = new Map<string, Set<string>>();
  for (const entry of state) {
    const { login, name } = typeof entry === 'string' ? { login: entry, name: undefined } : entry;
    const streams = members.get(login) ?? new Set();
    if (name !== undefined) streams.add(name);
    members.set(login, streams);
  }
  return members;
}
