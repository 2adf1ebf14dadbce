import { randomUUID } from 'node:crypto';
import { GatewayError, toGatewayError } from '../errors.ts';
import { guarded } from '../runtime/in-background.ts';
import { limitHits } from '../observe/limits.ts';
import { Deadline } from '../sessions/deadline.ts';
import type {
  JoinRequest,
  JsonValue,
  RoomActivity,
  RoomMember,
  RoomsControl,
  ScopeSummary,
  ScopeView,
} from './room-client.ts';
import { PersistenceLimits, type KeptObjects } from './persistence-limits.ts';
import { RoomLimitError } from './room-limit-error.ts';
import type { RoomLimits } from './room-limits.ts';
import type { MemberHost, ScopeEntry } from './scope-entry.ts';
import { checkName, checkSize, ScopeMember } from './scope-member.ts';
import type { ScopeReceivers } from './scope-receivers.ts';
import type { Outcome, ScopeState } from './scope-state.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** A scope in which this process takes part. */
export interface OpenScope {
  readonly name: string;
  readonly state: ScopeState;
  readonly receivers: ScopeReceivers;
  /** Calls that work on it: see {@link ScopeSource.hold}. */
  uses: number;
  /**
   * Puts an entry into the order of the scope. Resolves when it is applied.
   *
   * @throws {GatewayError} if it is refused
   */
  submit(entry: ScopeEntry): Promise<void>;
}

/** Called for each entry that was applied here. */
export type ObserveEntry = (scope: OpenScope, entry: ScopeEntry, outcome: Outcome) => void;

/** Where scopes are ordered and kept: in this process, or in the cluster. */
export interface ScopeSource {
  /**
   * Opens a scope, which is empty if there was none, and keeps it open until it is released as often.
   *
   * @throws {GatewayError} LIMIT_REACHED or CLUSTER_UNAVAILABLE
   */
  hold(name: string): Promise<OpenScope>;
  release(scope: OpenScope): void;
  /** What is kept of all scopes, in the cluster as of some seconds ago. */
  readonly kept: KeptObjects;
  /** Open scopes. */
  readonly open: ReadonlyMap<string, OpenScope>;
  list(options: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<ScopeSummary[]>;
  find(name: string): Promise<ScopeView | undefined>;
  /** Keeps what is to be kept. Idempotent. */
  close(): Promise<void>;
}

export interface ScopeRoomsOptions {
  readonly limits: RoomLimits;
  readonly host: MemberHost;
  readonly source: (observe: ObserveEntry) => ScopeSource;
}

/** The rooms of a gateway. */
export class ScopeRooms implements RoomsControl {
  readonly #limits: RoomLimits;
  readonly #host: MemberHost;
  readonly #source: ScopeSource;
  readonly #persistence: PersistenceLimits;
  readonly #listeners = new Set<(activity: RoomActivity) => void>();
  #closed: GatewayError | undefined;

  constructor({ limits, host, source }: ScopeRoomsOptions) {
    this.#limits = limits;
    this.#host = host;
    this.#source = source((scope, entry, outcome) => this.#observe(scope, entry, outcome));
    this.#persistence = new PersistenceLimits(limits, () => this.#source.kept);
  }

  get counts(): RoomsControl['counts'] {
    const open = [...this.#source.open.values()];
    const sum = (count: (scope: OpenScope) => number): number => open.reduce((total, one) => total + count(one), 0);
    return {
      scopes: open.length,
      members: sum(({ receivers }) => receivers.size),
      objects: sum(({ state }) => state.objects.size),
    };
  }

  /** The rooms in which members publish streams, by the names of the streams. */
  streams(): ReadonlyMap<string, string> {
    const rooms = new Map<string, string>();
    for (const { name, state } of this.#source.open.values())
      for (const member of state.members.values()) for (const stream of member.streams) rooms.set(stream, name);
    return rooms;
  }

  async join({ scope: name, login, door, rights, endsAt, receive, ...client }: JoinRequest): Promise<RoomMember> {
    checkScope(name);
    return this.#use(name, true, async (scope) => {
      const { receivers } = scope;
      const id = randomUUID();
      const submit = (entry: ScopeEntry): Promise<void> => submitCounted(scope, entry);
      const expel = (reason: GatewayError): void => {
        const { code, message } = reason;
        receivers.tell([id], { type: 'closed', reason });
        submit({ type: 'remove', id, code, message }).catch(() => undefined);
      };
      const deadline = endsAt === undefined ? undefined : new Deadline(endsAt, () => expel(expired()));
      // An exception in the code of one member must not keep the event from the others.
      const broken = (error: unknown): void => expel(toGatewayError(error));
      receivers.add(id, guarded(broken, receive), () => deadline?.cancel());
      try {
        await submit({ type: 'join', id, login, door, host: this.#host, at: wallClockMs() });
      } catch (error) {
        receivers.remove(id);
        throw error;
      }
      return new ScopeMember({
        id,
        scope: name,
        rights,
        limits: this.#limits,
        submit,
        expel,
        forget: () => receivers.remove(id) !== undefined,
        isMember: () => receivers.has(id),
        isPersistent: (object) => scope.state.objects.get(object)?.persistent ?? false,
        checkPersistent: () => this.#persistence.checkNew(client),
        checkGrowth: () => this.#persistence.checkGrowth(),
      });
    });
  }

  list(options: Parameters<RoomsControl['list']>[0]): Promise<ScopeSummary[]> {
    return this.#source.list(options);
  }

  find(scope: string): Promise<ScopeView | undefined> {
    return this.#source.find(scope);
  }

  async configure(
    name: string,
    change: { readonly attributes?: Readonly<Record<string, JsonValue>>; readonly maxMembers?: number },
  ): Promise<void> {
    for (const key of Object.keys(change.attributes ?? {})) checkName(key, this.#limits);
    await this.#use(name, false, (scope) => submitCounted(scope, { type: 'configure', ...change }));
  }

  async removeMember(name: string, id: string, { code, message }: GatewayError): Promise<void> {
    await this.#use(name, false, (scope) => submitCounted(scope, { type: 'remove', id, code, message }));
  }

  async sendText(name: string, text: string, from?: string): Promise<void> {
    checkSize(text, this.#limits);
    await this.#use(name, false, (scope) => submitCounted(scope, { type: 'text', from, text }));
  }

  async acquireObject(name: string, object: string): Promise<void> {
    checkScope(name);
    checkName(object, this.#limits);
    await this.#use(name, true, (scope) => submitCounted(scope, { type: 'acquire', object }));
  }

  async releaseObject(name: string, object: string): Promise<void> {
    await this.#use(name, false, (scope) => submitCounted(scope, { type: 'release', object }));
  }

  async deleteObject(name: string, object: string): Promise<void> {
    await this.#use(name, false, (scope) => submitCounted(scope, { type: 'deleteObject', object }));
  }

  onActivity(listener: (activity: RoomActivity) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Removes all members of this process. Idempotent. */
  async close(reason: GatewayError): Promise<void> {
    if (this.#closed) return;
    this.#closed = reason;
    for (const scope of this.#source.open.values()) {
      for (const id of [...scope.receivers.ids]) {
        scope.receivers.tell([id], { type: 'closed', reason });
        const { code, message } = reason;
        scope.submit({ type: 'remove', id, code, message }).catch(() => undefined);
      }
    }
    await this.#source.close();
  }

  /** @throws {GatewayError} ROOM_NOT_FOUND if there is none and it is not to be created */
  async #use<T>(name: string, create: boolean, run: (scope: OpenScope) => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#closed;
    const scope = await this.#source.hold(name);
    try {
      if (!create && scope.state.size === 0 && scope.state.objects.size === 0)
        throw new GatewayError('ROOM_NOT_FOUND', 'Nobody is in this room, and it keeps no objects.');
      return await run(scope);
    } finally {
      this.#source.release(scope);
    }
  }

  /** Reports the members of this process, and those of a lost one if this process has removed them. */
  #observe({ name: scope, state }: OpenScope, entry: ScopeEntry, { joined, left = [] }: Outcome): void {
    if (this.#listeners.size === 0) return;
    const { instance } = this.#host;
    if (joined && entry.type === 'join' && entry.host.instance === instance) {
      if (state.size === 1) this.#report({ type: 'created', scope });
      this.#report({ type: 'joined', scope, member: joined });
    }
    const reported = left.filter(
      (one) => one.instance === instance || (entry.type === 'gone' && entry.by === instance),
    );
    for (const { member, reason } of reported) this.#report({ type: 'left', scope, member, ...(reason && { reason }) });
    if (reported.length > 0 && state.size === 0) this.#report({ type: 'removed', scope });
  }

  #report(activity: RoomActivity): void {
    for (const listener of this.#listeners) listener(activity);
  }
}

/** Counts entries that a limit refuses. */
async function submitCounted(scope: OpenScope, entry: ScopeEntry): Promise<void> {
  try {
    await scope.submit(entry);
  } catch (error) {
    if (error instanceof RoomLimitError) limitHits.count(error.limit);
    throw error;
  }
}

/** Characters: the longest name of a room. */
const MAX_SCOPE_LENGTH = 512;

/**
 * Checks the name of a room that a call may create. Others may use rooms that an earlier version has created.
 *
 * @throws {GatewayError} INVALID_REQUEST
 */
function checkScope(name: string): void {
  const refuse = (rule: string): never => {
    throw new GatewayError('INVALID_REQUEST', `The name of a room ${rule}. Use another name.`);
  };
  if (name.length > MAX_SCOPE_LENGTH) refuse(`has at most ${MAX_SCOPE_LENGTH} characters`);
  if (!name.isWellFormed()) refuse('must be well-formed Unicode, without half surrogate pairs');
  if (name.split('/').some((segment) => segment === '.' || segment === '..'))
    refuse('has no segment "." or "..", which URLs cannot contain');
}

const expired = (): GatewayError =>
  new GatewayError('TOKEN_EXPIRED', 'The right to be in this room has expired. Get a new token and join again.');
