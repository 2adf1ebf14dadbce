import { GatewayError } from '../../errors.ts';
import { TokenBucket, type TokenBucketOptions } from '../../net/token-bucket.ts';
import type { RoomMember } from '../room-client.ts';
import type { RpcCall, RpcCallout } from './rpc-callout.ts';
import { tooFast } from './too-fast.ts';

/** Messages that may wait until the client is a member. */
const MAX_WAITING = 64;
/** Calls of one client that run at the same time. */
const MAX_CALLS = 8;

export interface DoorClientOptions {
  /** Messages of the client. */
  readonly rate: TokenBucketOptions;
  /** Answers calls; without it they are refused. */
  readonly rpc: RpcCallout | undefined;
  /** Ends the connection: the client sends too much. */
  readonly end: (reason: GatewayError) => void;
}

/** A client of a door: what it sends is limited, and waits until it is a member. */
export class DoorClient {
  readonly #options: DoorClientOptions;
  readonly #bucket: TokenBucket;
  #member: RoomMember | undefined;
  #waiting: (() => void)[] | undefined = [];
  #calls = 0;
  #isOver = false;

  constructor(options: DoorClientOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.rate);
  }

  get member(): RoomMember | undefined {
    return this.#member;
  }

  /** Messages wait: the client does not know yet that it is a member. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Counts a message. @returns whether the client may go on */
  count(): boolean {
    const isAllowed = this.#bucket.take(performance.now());
    if (!isAllowed) this.#options.end(tooFast());
    return isAllowed;
  }

  /** @returns whether it is still there; one that has left meanwhile leaves the scope at once */
  enter(member: RoomMember): boolean {
    if (this.#isOver) member.leave();
    else this.#member = member;
    return !this.#isOver;
  }

  /** Carries out what has waited. */
  begin(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const run of waiting) if (!this.#isOver) run();
  }

  /** Runs `run` at once, or in its order when the client is a member. */
  whenMember(run: () => void): void {
    if (this.#isOver) return;
    if (!this.#waiting) return run();
    this.#waiting.push(run);
    if (this.#waiting.length > MAX_WAITING)
      this.#options.end(new GatewayError('LIMIT_REACHED', 'Too many messages before the connection was accepted.'));
  }

  /** @throws {GatewayError} NOT_IMPLEMENTED, LIMIT_REACHED, and those of {@link RpcCallout.call} */
  async call(call: Omit<RpcCall, 'scope'>): Promise<unknown> {
    const { rpc } = this.#options;
    if (!rpc) throw new GatewayError('NOT_IMPLEMENTED', 'Calls need the setting rpc_url.');
    if (this.#calls >= MAX_CALLS) throw new GatewayError('LIMIT_REACHED', `More than ${MAX_CALLS} calls at once.`);
    this.#calls++;
    try {
      return await rpc.call({ ...call, scope: this.#member!.scope });
    } finally {
      this.#calls--;
    }
  }

  /** The connection has ended. Idempotent. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = undefined;
    this.#member?.leave();
  }
}
