import type { KeptObjects } from './persistence-limits.ts';
import type { PersistentObjects } from './persistent-objects.ts';
import type { ScopeSummary, ScopeView } from './room-client.ts';
import { scopeLimits, tooManyRooms, type RoomLimits } from './room-limits.ts';
import type { ScopeEntry } from './scope-entry.ts';
import { ScopeReceivers } from './scope-receivers.ts';
import type { ObserveEntry, OpenScope, ScopeSource } from './scope-rooms.ts';
import { ScopeState } from './scope-state.ts';
import { SingleFlight } from '../runtime/async.ts';

export interface LocalScopesOptions {
  readonly limits: RoomLimits;
  /** Without it nothing outlives the process. */
  readonly persistent?: PersistentObjects | undefined;
  readonly observe: ObserveEntry;
}

/** Scopes of one process, in memory. */
export class LocalScopes implements ScopeSource {
  readonly #options: LocalScopesOptions;
  readonly #open = new Map<string, OpenScope>();
  readonly #opening = new SingleFlight<string, OpenScope>();

  constructor(options: LocalScopesOptions) {
    this.#options = options;
  }

  get open(): ReadonlyMap<string, OpenScope> {
    return this.#open;
  }

  get kept(): KeptObjects {
    return this.#options.persistent?.kept ?? { objects: 0, bytes: 0, isDiskFull: false };
  }

  async hold(name: string): Promise<OpenScope> {
    const scope = this.#open.get(name) ?? (await this.#opening.run(name, () => this.#read(name)));
    scope.uses++;
    return scope;
  }

  release(scope: OpenScope): void {
    scope.uses--;
    this.#closeUnused(scope);
  }

  async list({ prefix = '', after, limit }: Parameters<ScopeSource['list']>[0]): Promise<ScopeSummary[]> {
    const found = new Map<string, ScopeSummary>();
    for (const [scope, { objects }] of this.#options.persistent?.scopes ?? [])
      found.set(scope, { scope, members: 0, objects });
    for (const [scope, { state }] of this.#open)
      found.set(scope, { scope, members: state.size, objects: state.objects.size });
    return [...found.values()]
      .filter(({ scope }) => scope.startsWith(prefix) && (after === undefined || scope > after))
      .sort((a, b) => (a.scope < b.scope ? -1 : 1))
      .slice(0, limit);
  }

  async find(name: string): Promise<ScopeView | undefined> {
    const open = this.#open.get(name);
    if (open) return open.state.view(name);
    const objects = (await this.#options.persistent?.load(name)) ?? [];
    if (objects.length === 0) return undefined;
    return this.#stateWith(objects).view(name);
  }

  async close(): Promise<void> {
    await this.#options.persistent?.close();
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  async #read(name: string): Promise<OpenScope> {
    const { limits, persistent } = this.#options;
    if (this.#open.size + this.#opening.size >= limits.scopes) throw tooManyRooms(limits);
    const objects = (await persistent?.load(name)) ?? [];
    const scope: OpenScope = {
      name,
      state: this.#stateWith(objects),
      receivers: new ScopeReceivers(),
      uses: 0,
      submit: async (entry) => this.#apply(scope, entry),
    };
    this.#open.set(name, scope);
    return scope;
  }

  #stateWith(objects: Awaited<ReturnType<PersistentObjects['load']>>): ScopeState {
    const limits = scopeLimits(this.#options.limits);
    return new ScopeState({ limits, maxMembers: limits.members, attributes: {}, members: [], objects });
  }

  /** @throws {GatewayError} if the entry is refused */
  #apply(scope: OpenScope, entry: ScopeEntry): void {
    const { observe } = this.#options;
    observe(scope, entry, scope.receivers.apply(scope.state, entry));
    this.#keep(scope, entry);
    this.#closeUnused(scope);
  }

  /** Persistent objects are written after each change, and after each use, which makes them last longer. */
  #keep({ name, state }: OpenScope, entry: ScopeEntry): void {
    const { persistent } = this.#options;
    if (!persistent || !('object' in entry)) return;
    const object = state.objects.get(entry.object);
    if (!object) {
      if (entry.type === 'deleteObject') persistent.deleted(name, entry.object);
    } else if (object.persistent && !(entry.type === 'change' && entry.operation.type === 'send'))
      persistent.changed(name, object);
  }

  #closeUnused(scope: OpenScope): void {
    const { name, state, uses } = scope;
    const isAcquired = [...state.objects.values()].some(({ acquired }) => acquired > 0);
    if (uses === 0 && state.size === 0 && !isAcquired && this.#open.get(name) === scope) this.#open.delete(name);
  }
}
