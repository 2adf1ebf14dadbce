import { GatewayError } from '../errors.ts';
import type { Action, Authorizer, Credentials, Grant, Principal, Resource } from './authorizer.ts';
import { FailedLogins } from './failed-logins.ts';
import { KnownCredentials } from './known-credentials.ts';

/**
 * Stops clients that guess keys or tokens, at every door: after too many wrong ones within a minute, further unknown
 * credentials of the address are refused without a look at them. Credentials that were accepted before still count, so
 * that a client cannot lock out others behind the same address.
 */
export class LoginGuard implements Authorizer {
  /** Doors that check credentials by themselves count here too. */
  readonly failures: FailedLogins;
  readonly #inner: Authorizer & { close?(): Promise<void> };
  readonly #accepted = new KnownCredentials();

  /** @param perMinute wrong credentials of one address (`max_failed_logins_per_minute`) */
  constructor(
    inner: Authorizer & { close?(): Promise<void> },
    perMinute: number,
    now: () => number = () => performance.now(),
  ) {
    this.#inner = inner;
    this.failures = new FailedLogins(perMinute, now);
  }

  /** @throws {GatewayError} RATE_LIMITED, or as the guarded authorizer */
  async identify(credentials: Credentials): Promise<Principal> {
    const secret = credentials.token ?? credentials.password;
    if (!secret) return this.#inner.identify(credentials);
    const digest = this.#accepted.digest(secret);
    if (!this.#accepted.has(digest)) this.#check(credentials.ip);
    try {
      const principal = await this.#inner.identify(credentials);
      this.#accepted.add(digest);
      return principal;
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'UNAUTHORIZED') this.failures.add(credentials.ip);
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

  #check(address: string): void {
    const waitMs = this.failures.waitMs(address);
    if (waitMs <= 0) return;
    throw new GatewayError(
      'RATE_LIMITED',
      'Too many wrong keys or tokens came from this address (max_failed_logins_per_minute). Try again in a minute.',
      { retryAfterS: Math.ceil(waitMs / 1000) },
    );
  }
}
