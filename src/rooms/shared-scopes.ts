import type { Logger } from '../observe/logger.ts';
import { closeAll } from '../runtime/close-all.ts';
import type { SharedLogs } from '../store/shared-logs.ts';
import type { ScopeSummary, ScopeView } from './room-client.ts';
import type { KeptObjects } from './persistence-limits.ts';
import { scopeLimits, tooManyRooms, type RoomLimits } from './room-limits.ts';
import type { MemberHost, ScopeEntry, ScopeSnapshot } from './scope-entry.ts';
import type { ObserveEntry, OpenScope, ScopeSource } from './scope-rooms.ts';
import { ScopeReceivers } from './scope-receivers.ts';
import { ScopeState } from './scope-state.ts';
import { OPEN_TTL_MS, SharedScope, type ScopeInfo } from './shared-scope.ts';
import { inBackground } from '../runtime/in-background.ts';
import { sharedRun, SingleFlight } from '../runtime/async.ts';

export interface SharedScopesOptions {
  readonly logs: SharedLogs;
  readonly limits: RoomLimits;
  readonly host: MemberHost;
  /** Instances of the processes that run. */
  readonly processes: () => Promise<ReadonlySet<string>>;
  readonly observe: ObserveEntry;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/** Milliseconds between two looks at the logs and the processes. */
export const LOOK_MS = 1000;
/** Milliseconds for which a process must have been missing for its members to be removed. */
const GONE_AFTER_MS = 2500;
/**
 * Milliseconds for which a scope with members of other processes stays open without use, so that those are removed that
 * are gone: who has the login of one tries again.
 */
const LINGER_MS = 10_000;
const DAY_MS = 86_400_000;
/** Milliseconds between two counts of what the cluster keeps. */
const COUNT_KEPT_MS = 10_000;
const INFOS_AT_ONCE = 500;

/** Scopes that all processes of a cluster share. */
export class SharedScopes implements ScopeSource {
  readonly #options: Required<SharedScopesOptions>;
  readonly #open = new Map<string, SharedScope>();
  readonly #opening = new SingleFlight<string, SharedScope>();
  readonly #closing = new Set<Promise<void>>();
  /** Processes with members that do not run, and since when. */
  #missing = new Map<string, number>();
  readonly #unusedSinceMs = new WeakMap<SharedScope, number>();
  /** Scopes that are in use, as of the last look and with those that were opened here since. */
  #active = new Set<string>();
  #kept: KeptObjects = { objects: 0, bytes: 0, isDiskFull: false };
  #countedAtMs = -Infinity;
  readonly #unsubscribe: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** Catches up with the logs, removes the members of lost processes, and gives up what is not needed. Never rejects. */
  readonly look = sharedRun(() => this.#look());

  constructor({ now = () => performance.now(), ...options }: SharedScopesOptions) {
    this.#options = { now, ...options };
    this.#unsubscribe = options.logs.onReturn(() => {
      // Nodes that run may not have said so yet.
      this.#missing.clear();
      for (const scope of this.#open.values()) scope.read().catch(() => undefined);
    });
  }

  /** Begins to look at the logs and the processes. */
  start(): this {
    this.#timer = setInterval(() => inBackground(this.look()), LOOK_MS);
    return this;
  }

  get open(): ReadonlyMap<string, OpenScope> {
    return this.#open;
  }

  get kept(): KeptObjects {
    return this.#kept;
  }

  async hold(name: string): Promise<OpenScope> {
    for (;;) {
      const scope = this.#open.get(name) ?? (await this.#opening.run(name, () => this.#openNew(name)));
      // A look at unused scopes may have given it up before it gets here.
      if (this.#open.get(name) !== scope) continue;
      scope.uses++;
      return scope;
    }
  }

  release(scope: OpenScope): void {
    scope.uses--;
    this.#closeUnused(scope);
  }

  async list({ prefix = '', after, limit }: Parameters<ScopeSource['list']>[0]): Promise<ScopeSummary[]> {
    const { logs } = this.#options;
    const names = (await logs.names())
      .filter((scope) => scope.startsWith(prefix) && (after === undefined || scope > after))
      .sort();
    const found: ScopeSummary[] = [];
    // A scope that has just ended has no information: the next one takes its place.
    while (found.length < limit && names.length > 0) {
      const page = names.splice(0, limit - found.length);
      const infos = await logs.infos(page);
      for (const [index, scope] of page.entries()) {
        const info = this.#infoOf(scope, infos[index]);
        if (info) found.push({ scope, ...info });
      }
    }
    return found;
  }

  async find(name: string): Promise<ScopeView | undefined> {
    const open = this.#open.get(name);
    if (open) return open.state.view(name);
    const content = await this.#options.logs.peek(name);
    if (!content) return undefined;
    const state = new ScopeState(JSON.parse(content.snapshot.text) as ScopeSnapshot);
    const nobody = new ScopeReceivers();
    for (const { text } of content.entries) {
      for (const entry of (JSON.parse(text) as { readonly entries: readonly ScopeEntry[] }).entries) {
        try {
          nobody.apply(state, entry);
        } catch {
          // It was refused.
        }
      }
    }
    return state.size === 0 && state.objects.size === 0 ? undefined : state.view(name);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#unsubscribe();
    await this.look.running;
    await Promise.all([...this.#open.values()].map((scope) => scope.close()));
    this.#open.clear();
    await Promise.all(this.#closing);
    await closeAll([this.#options.logs]);
  }

  async #look(): Promise<void> {
    const { logs, limits, processes, logger } = this.#options;
    await Promise.all([...this.#open.values()].map((scope) => scope.look()));
    try {
      this.#active = new Set(await logs.active({ open: OPEN_TTL_MS, kept: limits.persistentDays * DAY_MS }));
      await this.#countKept();
      const gone = this.#goneOf(await processes());
      if (gone.size > 0) for (const scope of this.#open.values()) scope.removeProcesses(gone);
    } catch (error) {
      this.#missing.clear();
      logger.debug({ err: error }, 'rooms: Redis does not answer');
    }
    for (const scope of [...this.#open.values()]) this.#closeUnused(scope);
  }

  /** What the cluster keeps. Not at each look, because it asks for each scope. */
  async #countKept(): Promise<void> {
    const { logs, now } = this.#options;
    if (now() - this.#countedAtMs < COUNT_KEPT_MS) return;
    this.#countedAtMs = now();
    const names = await logs.names();
    const kept = { objects: 0, bytes: 0, isDiskFull: false };
    while (names.length > 0)
      for (const info of await logs.infos(names.splice(0, INFOS_AT_ONCE))) {
        const { objects = 0, bytes = 0 } =
          (info === undefined ? undefined : (JSON.parse(info) as ScopeInfo))?.kept ?? {};
        kept.objects += objects;
        kept.bytes += bytes;
      }
    this.#kept = kept;
  }

  /** Processes that have members and have not run for a while. */
  #goneOf(running: ReadonlySet<string>): ReadonlySet<string> {
    const { now, host } = this.#options;
    const missing = new Map<string, number>();
    for (const { state } of this.#open.values())
      for (const { host: its } of state.members.values())
        if (its.instance !== host.instance && !running.has(its.instance))
          missing.set(its.instance, this.#missing.get(its.instance) ?? now());
    this.#missing = missing;
    return new Set([...missing].filter(([, since]) => now() - since >= GONE_AFTER_MS).map(([instance]) => instance));
  }

  #infoOf(scope: string, text: string | undefined): Omit<ScopeSummary, 'scope'> | undefined {
    const open = this.#open.get(scope);
    if (open) return { members: open.state.size, objects: open.state.objects.size };
    if (text === undefined) return undefined;
    const { members, objects } = JSON.parse(text) as ScopeInfo;
    return { members, objects };
  }

  /** @throws {GatewayError} LIMIT_REACHED or CLUSTER_UNAVAILABLE */
  async #openNew(name: string): Promise<SharedScope> {
    const { logs, limits, host, observe, logger } = this.#options;
    if (!this.#active.has(name) && this.#active.size >= limits.scopes) throw tooManyRooms(limits);
    this.#active.add(name);
    const scope = await SharedScope.open(name, {
      logs,
      limits: scopeLimits(limits),
      host,
      keepMs: limits.persistentDays * DAY_MS,
      observe: (...about) => {
        observe(...about);
        this.#closeUnused(scope);
      },
      logger,
    });
    this.#open.set(name, scope);
    return scope;
  }

  #closeUnused({ name }: OpenScope): void {
    const { now } = this.#options;
    const scope = this.#open.get(name);
    if (!scope) return;
    if (!scope.isUnused) return void this.#unusedSinceMs.delete(scope);
    const since = this.#unusedSinceMs.get(scope) ?? now();
    this.#unusedSinceMs.set(scope, since);
    if (scope.state.size > 0 && now() - since < LINGER_MS) return;
    this.#open.delete(name);
    const closing = scope.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
