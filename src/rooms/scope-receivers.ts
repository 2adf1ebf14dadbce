import { atEndOfTick } from '../runtime/tick.ts';
import type { ObjectChange, RoomEvent } from './room-client.ts';
import type { ScopeEntry } from './scope-entry.ts';
import type { ScopeObject } from './scope-object.ts';
import type { Outcome, ScopeState } from './scope-state.ts';

export type Receive = (event: RoomEvent) => void;

/** Tells the members of this process what happens in a scope. Changes of one object in one tick are told together. */
export class ScopeReceivers {
  readonly #receivers = new Map<string, Receive>();
  #object: ScopeObject | undefined;
  #changes: ObjectChange[] = [];

  get size(): number {
    return this.#receivers.size;
  }

  get ids(): Iterable<string> {
    return this.#receivers.keys();
  }

  has(id: string): boolean {
    return this.#receivers.has(id);
  }

  add(id: string, receive: Receive): void {
    this.#receivers.set(id, receive);
  }

  /** Nothing follows for this member. */
  remove(id: string): Receive | undefined {
    const receive = this.#receivers.get(id);
    this.#receivers.delete(id);
    return receive;
  }

  /**
   * Applies an entry and tells the members.
   *
   * @throws {GatewayError} if the entry is refused
   */
  apply(state: ScopeState, entry: ScopeEntry): Outcome {
    // Changes were made before, and those who connect now get them with the state.
    if (entry.type !== 'change') this.flush();
    const outcome = state.apply(entry);
    for (const notice of outcome.notices) {
      if ('change' in notice) this.#collect(notice.object, notice.change);
      else this.tell(notice.to, notice.event);
    }
    return outcome;
  }

  tell(to: 'all' | readonly string[], event: RoomEvent): void {
    if (to === 'all') for (const receive of [...this.#receivers.values()]) receive(event);
    else if (event.type === 'closed') for (const id of to) this.remove(id)?.(event);
    else for (const id of to) this.#receivers.get(id)?.(event);
  }

  /** Tells what has been collected. */
  flush(): void {
    const object = this.#object;
    if (!object) return;
    this.#object = undefined;
    const { name, version, persistent } = object;
    const event: RoomEvent = { type: 'changes', object: name, version, persistent, changes: this.#changes };
    this.#changes = [];
    for (const id of [...object.members]) this.#receivers.get(id)?.(event);
  }

  #collect(object: ScopeObject, change: ObjectChange): void {
    // In the order of the scope, also between objects.
    if (this.#object !== object) this.flush();
    if (!this.#object) {
      this.#object = object;
      atEndOfTick(() => this.flush());
    }
    this.#changes.push(change);
  }
}
