import { GatewayError } from '../errors.ts';
import { limitHits } from '../observe/limits.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import type { JsonValue, ObjectOperation, RoomMember, RoomRight } from './room-client.ts';
import type { RoomLimits } from './room-limits.ts';
import type { ScopeEntry } from './scope-entry.ts';
import { sizeOf } from './measured-values.ts';

export interface ScopeMemberOptions {
  readonly id: string;
  readonly scope: string;
  /** Undefined: all of them. */
  readonly rights: ReadonlySet<RoomRight> | undefined;
  readonly limits: RoomLimits;
  /** @throws {GatewayError} if the entry is refused */
  readonly submit: (entry: ScopeEntry) => Promise<void>;
  /** Removes the member, without an entry. Returns whether it was there. */
  readonly forget: () => boolean;
  /** Removes the member and tells it why. */
  readonly expel: (reason: GatewayError) => void;
  readonly isMember: () => boolean;
  readonly isPersistent: (object: string) => boolean;
  /** @throws {GatewayError} if this client may not make another object persistent */
  readonly checkPersistent: () => void;
  /** @throws {GatewayError} if persistent objects may not grow */
  readonly checkGrowth: () => void;
}

/** A client in a scope: checks what it may do, how much and how fast, and makes entries of it. */
export class ScopeMember implements RoomMember {
  readonly id: string;
  readonly scope: string;
  readonly #options: ScopeMemberOptions;
  readonly #bucket: TokenBucket;

  constructor(options: ScopeMemberOptions) {
    this.id = options.id;
    this.scope = options.scope;
    this.#options = options;
    this.#bucket = new TokenBucket(options.limits);
  }

  async publish(stream: string): Promise<void> {
    this.#count();
    await this.#options.submit({ type: 'publish', id: this.id, stream });
  }

  async unpublish(stream: string, failed: boolean): Promise<void> {
    if (this.#options.isMember()) await this.#options.submit({ type: 'unpublish', id: this.id, stream, failed });
  }

  async sendTo(login: string, text: string): Promise<void> {
    this.#count(checkSize(text, this.#options.limits));
    this.#need('send');
    await this.#options.submit({ type: 'message', id: this.id, to: login, text });
  }

  async sendText(text: string): Promise<void> {
    this.#count(checkSize(text, this.#options.limits));
    this.#need('send');
    await this.#options.submit({ type: 'text', id: this.id, text });
  }

  async connectObject(object: string, persistent: boolean): Promise<void> {
    this.#count();
    this.#need('read');
    if (persistent) this.#need('write');
    checkName(object, this.#options.limits);
    if (persistent && !this.#options.isPersistent(object)) this.#options.checkPersistent();
    await this.#options.submit({ type: 'connect', id: this.id, object, persistent });
  }

  disconnectObject(object: string): void {
    if (this.#options.isMember()) this.#last({ type: 'disconnect', id: this.id, object });
  }

  async change(object: string, operation: ObjectOperation): Promise<void> {
    const { limits, submit } = this.#options;
    if (operation.type === 'set') this.#count(checkSize(operation.value, limits));
    else this.#count(operation.type === 'send' ? checkSize([...operation.args], limits) : 0);
    this.#need(operation.type === 'send' ? 'send' : 'write');
    if ('key' in operation) checkName(operation.key, limits);
    if (operation.type === 'send') checkName(operation.method, limits);
    if (operation.type === 'set' && this.#options.isPersistent(object)) this.#options.checkGrowth();
    await submit({ type: 'change', id: this.id, object, operation });
  }

  leave(): void {
    if (this.#options.forget()) this.#last({ type: 'leave', id: this.id });
  }

  /** An entry that is never refused; without the log of the cluster it is made again when that is back. */
  #last(entry: ScopeEntry): void {
    this.#options.submit(entry).catch(() => undefined);
  }

  /** @throws {GatewayError} FORBIDDEN */
  #need(right: RoomRight): void {
    const { rights } = this.#options;
    if (rights && !rights.has(right))
      throw new GatewayError('FORBIDDEN', `The right "${right}" is missing for this room.`);
  }

  /**
   * A member that is too fast is removed.
   *
   * @throws {GatewayError} RATE_LIMITED
   */
  #count(bytes = 0): void {
    const { limits, isMember, expel } = this.#options;
    if (!isMember()) throw new GatewayError('FORBIDDEN', 'The client has left the scope.');
    if (this.#bucket.take(performance.now(), 1 + Math.floor(bytes / 1024))) return;
    limitHits.count('rooms_messages_per_second');
    const reason = new GatewayError('RATE_LIMITED', `More than ${limits.perSecond} messages per second.`);
    expel(reason);
    throw reason;
  }
}

/** @throws {GatewayError} INVALID_REQUEST */
export function checkName(name: string, { nameLength }: RoomLimits): void {
  if (name.length < 1 || name.length > nameLength)
    throw new GatewayError('INVALID_REQUEST', `Names have 1 to ${nameLength} characters.`);
}

/**
 * @returns bytes as JSON
 * @throws {GatewayError} INVALID_REQUEST
 */
export function checkSize(value: JsonValue, { valueBytes }: RoomLimits): number {
  const bytes = sizeOf(value);
  if (bytes <= valueBytes) return bytes;
  limitHits.count('rooms_max_value_kb');
  throw new GatewayError('INVALID_REQUEST', `Values have at most ${valueBytes} bytes as JSON.`);
}
