import { GatewayError } from '../errors.ts';
import { clientOf } from '../net/client-slots.ts';
import { limitHits } from '../observe/limits.ts';
import type { Action, Authorizer, Credentials, Grant, Principal, Resource } from './authorizer.ts';
import { KnownCredentials } from './known-credentials.ts';

const WINDOW_MS = 60_000;
/** Clients whose failures are remembered. */
const MAX_CLIENTS = 10_000;

interface Failures {
  readonly since: number;
  count: number;
}

/**
 * Stops clients that guess keys or tokens, at every door: after too many wrong ones within a minute, further unknown
 * credentials of the address are refused without a look at them. Credentials that were accepted before still count, so
 * that a client cannot lock out others behind the same address.
 */
export class LoginGuard implements Authorizer {
  readonly #inner: Authorizer & { close?(): Promise<void> };
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #accepted = new KnownCredentials();
  /** By client, the one that began first at the front. */
  readonly #failures = new Map<string, Failures>();

  /** @param perMinute wrong credentials of one address (`max_failed_logins_per_minute`) */
  constructor(
    inner: Authorizer & { close?(): Promise<void> },
    perMinute: number,
    now: () => number = () => performance.now(),
  ) {
    this.#inner = inner;
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @throws {GatewayError} RATE_LIMITED, or as the guarded authorizer */
  async identify(credentials: Credentials): Promise<Principal> {
    const secret = credentials.token ?? credentials.password;
    if (!secret) return this.#inner.identify(credentials);
    const digest = this.#accepted.digest(secret);
    const client = clientOf(credentials.ip);
    if (!this.#accepted.has(digest)) this.#check(client);
    try {
      const principal = await this.#inner.identify(credentials);
      this.#accepted.add(digest);
      return principal;
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'UNAUTHORIZED') this.#fail(client);
      throw error;
    }
  }

  authorize(principal: Principal, action: Action, resource?: Resource): Promise<Grant> {
    return this.#inner.authorize(principal, action, resource);
  }

  /** Closes the guarded authorizer. Idempotent. */
  async close(): Promise<void> {
    await this.#inner.close?.();
  }

  #check(client: string): void {
    const failures = this.#failures.get(client);
    if (!failures || failures.count < this.#perMinute) return;
    const waitMs = failures.since + WINDOW_MS - this.#now();
    if (waitMs <= 0) return;
    limitHits.count('max_failed_logins_per_minute');
    throw new GatewayError(
      'RATE_LIMITED',
      'Too many wrong keys or tokens came from this address (max_failed_logins_per_minute). Try again in a minute.',
      { retryAfterS: Math.ceil(waitMs / 1000) },
    );
  }

  #fail(client: string): void {
    const failures = this.#failures.get(client);
    if (failures && this.#now() - failures.since < WINDOW_MS) {
      failures.count++;
      return;
    }
    this.#failures.delete(client);
    this.#failures.set(client, { since: this.#now(), count: 1 });
    if (this.#failures.size > MAX_CLIENTS) this.#failures.delete(this.#failures.keys().next().value!);
  }
}
