import { randomUUID } from 'node:crypto';
import { toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { LogEntry, LogSeed, SharedLogs } from '../store/shared-logs.ts';
import { EntryWriter, unavailable } from './entry-writer.ts';
import { tellDifference } from './scope-changes.ts';
import type { MemberHost, ScopeEntry, ScopeLimits, ScopeSnapshot } from './scope-entry.ts';
import { ScopeReceivers } from './scope-receivers.ts';
import type { ObserveEntry, OpenScope } from './scope-rooms.ts';
import { ScopeState, type Outcome } from './scope-state.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface SharedScopeOptions {
  readonly logs: SharedLogs;
  readonly limits: ScopeLimits;
  readonly host: MemberHost;
  /** Milliseconds for which a scope with persistent or acquired objects is kept. */
  readonly keepMs: number;
  readonly observe: ObserveEntry;
  readonly logger: Logger;
}

/** What lists say of a scope, and what it keeps. Earlier versions do not say the latter. */
export interface ScopeInfo {
  readonly members: number;
  readonly objects: number;
  readonly kept?: { readonly objects: number; readonly bytes: number };
}

type Rejoining = Extract<ScopeEntry, { type: 'join' }>;

/** Milliseconds for which a scope is kept whose processes are all gone. */
export const OPEN_TTL_MS = 60_000;
/** Batches, and characters, after which a process that appends saves a snapshot. */
const SNAPSHOT_BATCHES = 200;
const SNAPSHOT_CHARACTERS = 512 * 1024;
/** Batches that may arrive while the log is read. */
const MAX_BUFFERED = 1000;

/**
 * A scope that several processes share by a log: each appends what its members do, and applies what arrives, so all have
 * the same state and tell their members the same in the same order.
 */
export class SharedScope implements OpenScope {
  readonly name: string;
  readonly receivers = new ScopeReceivers();
  /** Calls that work on it. */
  uses = 0;
  readonly #options: SharedScopeOptions;
  readonly #writer: EntryWriter;
  #state: ScopeState;
  #generation: string = randomUUID();
  #position = 0;
  #snapshotAt = 0;
  #charactersSince = 0;
  #reading: Promise<void> | undefined;
  #buffered: LogEntry[] = [];
  /** Entries may have been missed, and the log has not been read since. */
  #isStale = true;
  #wasBehind = false;
  /** Members of this process that the scope has lost, until they have joined again. */
  readonly #lost = new Map<string, Rejoining>();
  #unsubscribe: () => void = () => undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  private constructor(name: string, options: SharedScopeOptions) {
    this.name = name;
    this.#options = options;
    this.#state = ScopeState.create(options.limits);
    this.#writer = new EntryWriter({ append: (text) => this.#append(text), read: () => this.read() });
  }

  /** @throws {GatewayError} CLUSTER_UNAVAILABLE */
  static async open(name: string, options: SharedScopeOptions): Promise<SharedScope> {
    const scope = new SharedScope(name, options);
    try {
      scope.#unsubscribe = await options.logs.subscribe(name, (entry) => scope.#receive(entry));
      await scope.read();
      return scope;
    } catch (error) {
      scope.#unsubscribe();
      throw unavailable(error);
    }
  }

  get state(): ScopeState {
    return this.#state;
  }

  /** Whether this process needs it no longer. */
  get isUnused(): boolean {
    return this.uses === 0 && this.receivers.size === 0 && this.#writer.isIdle;
  }

  submit(entry: ScopeEntry): Promise<void> {
    return this.#writer.submit(entry);
  }

  /** Applies what was missed. */
  read(): Promise<void> {
    this.#isStale = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
      const arrived = this.#buffered;
      this.#buffered = [];
      for (const entry of arrived) this.#receive(entry);
    });
    return this.#reading;
  }

  /** To be called about once a second. Never rejects. */
  async look(): Promise<void> {
    const { logs, logger } = this.#options;
    try {
      if (this.#isStale) await this.read();
      const last = await logs.touch(this.name, this.#generation, this.#info(), this.#ttlMs);
      // What was appended a moment ago may still be on its way.
      const isBehind = last !== undefined && last > this.#position;
      if (last === undefined || last < this.#position || (isBehind && this.#wasBehind)) await this.read();
      this.#wasBehind = isBehind;
      this.#removeGhosts();
      this.#rejoinLost();
    } catch (error) {
      this.#isStale = true;
      logger.debug({ err: error, scope: this.name }, 'the log of a room does not answer');
    }
  }

  /** Removes the members of processes that are gone. */
  removeProcesses(gone: ReadonlySet<string>): void {
    const { instance: by } = this.#options.host;
    const found = new Set([...this.#state.members.values()].map(({ host }) => host.instance));
    for (const instance of found) if (gone.has(instance)) this.#submitQuietly({ type: 'gone', instance, by });
  }

  /** Waits for what is under way and gives the scope up. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { logs } = this.#options;
    await this.#writer.drain();
    this.#closed = true;
    this.#unsubscribe();
    try {
      if (this.#state.size === 0 && !this.#state.isKept)
        return await logs.remove(this.name, this.#generation, this.#position);
      await logs.saveSnapshot(this.name, this.#seed());
      await logs.touch(this.name, this.#generation, this.#info(), this.#ttlMs);
    } catch {
      // It expires.
    }
  }

  get #ttlMs(): number {
    return this.#state.isKept ? this.#options.keepMs : OPEN_TTL_MS;
  }

  async #append(text: string): Promise<number | undefined> {
    if (this.#isStale) await this.read();
    const { logs } = this.#options;
    const entry = { generation: this.#generation, after: this.#position, text };
    const position = await logs.append(this.name, entry, this.#ttlMs);
    if (position !== undefined) this.#saveSnapshotIfDue();
    return position;
  }

  #receive(entry: LogEntry): void {
    if (this.#closed) return;
    if (this.#isStale) {
      // More than that is read again.
      if (this.#buffered.length < MAX_BUFFERED) this.#buffered.push(entry);
      return;
    }
    const isOwn = entry.generation === this.#generation;
    if (isOwn && entry.position <= this.#position) return;
    if (isOwn && entry.position === this.#position + 1) return this.#apply(entry);
    this.read().catch(() => undefined);
  }

  #apply({ position, text }: LogEntry): void {
    this.#position = position;
    this.#charactersSince += text.length;
    let batch: { readonly id: string; readonly entries: readonly ScopeEntry[] };
    try {
      batch = JSON.parse(text) as typeof batch;
    } catch (error) {
      return this.#options.logger.error({ err: error, scope: this.name }, 'an entry of a room cannot be read');
    }
    const operations = this.#writer.arrived(batch.id);
    for (const [index, entry] of batch.entries.entries()) {
      try {
        const outcome = this.#isOwnEnd(entry) ? this.#end(entry) : this.receivers.apply(this.#state, entry);
        this.#options.observe(this, entry, outcome);
        operations[index]?.resolve();
      } catch (error) {
        operations[index]?.reject(toGatewayError(error));
      }
    }
  }

  /** The others have taken this process for gone. */
  #isOwnEnd(entry: ScopeEntry): boolean {
    return entry.type === 'gone' && entry.instance === this.#options.host.instance;
  }

  #end(entry: ScopeEntry): Outcome {
    let outcome: Outcome = { notices: [] };
    this.#replace(() => (outcome = this.#state.apply(entry)));
    return outcome;
  }

  async #read(): Promise<void> {
    const { logs } = this.#options;
    const { snapshot, entries } = await logs.read(this.name, this.#seed(), randomUUID(), OPEN_TTL_MS);
    if (this.#closed) return;
    if (snapshot.generation !== this.#generation || snapshot.position > this.#position) this.#load(snapshot);
    for (const entry of entries) if (entry.position === this.#position + 1) this.#apply(entry);
    this.#isStale = false;
    this.#writer.settle(this.#position, (entry) => entry.type === 'join' && !this.#state.has(entry.id));
  }

  /** Goes on from a state whose entries are not known. */
  #load({ generation, position, text }: LogSeed): void {
    this.#replace(() => (this.#state = new ScopeState(JSON.parse(text) as ScopeSnapshot)));
    this.#generation = generation;
    this.#position = position;
    this.#snapshotAt = position;
    this.#charactersSince = 0;
  }

  /** Changes the state in a way that the members cannot follow. Those of this process that it has lost join again. */
  #replace(change: () => void): void {
    const own = this.#ownMembers();
    const before = new ScopeState(this.#state.snapshot());
    change();
    tellDifference(this.receivers, before, this.#state);
    for (const member of own) if (!this.#state.has(member.id)) inBackground(this.#rejoin(member));
  }

  /** Members of this process with what they have, for the case that the scope loses them. */
  #ownMembers(): Rejoining[] {
    const { members, objects } = this.#state;
    return [...this.receivers.ids].flatMap((id): Rejoining[] => {
      const member = members.get(id);
      if (!member) return [];
      const { streams, ...record } = member;
      const connected = [...objects.values()].filter((object) => object.members.has(id)).map(({ name }) => name);
      return [{ type: 'join', ...record, resumed: { streams: [...streams], objects: connected } }];
    });
  }

  async #rejoin(entry: Rejoining): Promise<void> {
    const { id } = entry;
    this.#lost.set(id, entry);
    try {
      await this.submit(entry);
    } catch (error) {
      const reason = toGatewayError(error);
      // It tries again with the next look.
      if (reason.code === 'CLUSTER_UNAVAILABLE') return;
      this.receivers.tell([id], { type: 'closed', reason });
    }
    this.#lost.delete(id);
  }

  #rejoinLost(): void {
    if (!this.#writer.isIdle) return;
    for (const [id, entry] of this.#lost) {
      if (this.receivers.has(id) && !this.#state.has(id)) inBackground(this.#rejoin(entry));
      else this.#lost.delete(id);
    }
  }

  /** Members of this process that have left while the log did not answer. */
  #removeGhosts(): void {
    if (!this.#writer.isIdle) return;
    const { instance } = this.#options.host;
    for (const { id, host } of this.#state.members.values())
      if (host.instance === instance && !this.receivers.has(id)) this.#submitQuietly({ type: 'leave', id });
  }

  #submitQuietly(entry: ScopeEntry): void {
    this.submit(entry).catch(() => undefined);
  }

  #saveSnapshotIfDue(): void {
    if (this.#position - this.#snapshotAt < SNAPSHOT_BATCHES && this.#charactersSince < SNAPSHOT_CHARACTERS) return;
    this.#snapshotAt = this.#position;
    this.#charactersSince = 0;
    // What is not saved now is saved later.
    this.#options.logs.saveSnapshot(this.name, this.#seed()).catch(() => undefined);
  }

  #seed(): LogSeed {
    return {
      generation: this.#generation,
      position: this.#position,
      text: JSON.stringify(this.#state.snapshot()),
    };
  }

  /** For lists. */
  #info(): string {
    const { size: members, objects } = this.#state;
    const persistent = [...objects.values()].filter((object) => object.persistent);
    const kept = { objects: persistent.length, bytes: persistent.reduce((sum, { bytes }) => sum + bytes, 0) };
    return JSON.stringify({ members, objects: objects.size, kept } satisfies ScopeInfo);
  }
}
