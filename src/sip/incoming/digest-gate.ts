import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FailedLogins } from '../../access/failed-logins.ts';
import { Secret } from '../../net/secret.ts';
import type { Clock } from '../../runtime/clock.ts';
import { digestResponse, hashOf } from '../digest.ts';
import type { SipRequest } from '../message/message.ts';
import { parseDigestFields, quote, type Params } from '../message/text.ts';

export interface DigestGateOptions {
  readonly users: ReadonlyMap<string, Secret>;
  readonly realm: string;
  /** `MD5`, `SHA-256` or `SHA-512-256`. */
  readonly algorithm: string;
  readonly failures: Pick<FailedLogins, 'waitMs' | 'add'>;
  readonly clock: Pick<Clock, 'now'>;
}

export type Proof =
  | { readonly kind: 'proven'; readonly user: string }
  /** No credentials, or for an old nonce: they can be sent again. */
  | { readonly kind: 'missing' | 'stale' }
  /** The user is not known, or the password is wrong. */
  | { readonly kind: 'wrong' };

/** Milliseconds for which a nonce is good. */
const NONCE_MS = 60_000;
/** Nonces whose use is remembered. */
export const MAX_NONCES = 10_000;
const NONCE = /^([0-9a-z]{1,12})-([0-9a-f]{16})-([0-9a-f]{32})$/;
/** Stands for the password of a user who is not known: the answer takes as long as for one who is. */
const NOBODY = new Secret(randomBytes(16).toString('hex'));

/**
 * Digest authentication of callers (RFC 7616). A nonce is a time that is signed with a key of this process and bound to
 * the address of the caller, so nothing is remembered before a password was proven.
 */
export class DigestGate {
  readonly #options: DigestGateOptions;
  readonly #hash: string;
  readonly #key = randomBytes(32);
  /** `nc` and time of the nonces that were used with the right password, the first one at the front. */
  readonly #used = new Map<string, { count: number; readonly issuedMs: number }>();
  /** Nonces that are not younger are not accepted: some of them were forgotten. */
  #forgottenMs = -1;

  constructor(options: DigestGateOptions) {
    this.#options = options;
    this.#hash = hashOf(options.algorithm)!;
  }

  /** The value of `WWW-Authenticate` for a caller. */
  challenge(address: string, { isStale }: { isStale: boolean }): string {
    const { realm, algorithm, clock } = this.#options;
    const time = Math.floor(clock.now()).toString(36);
    const salt = randomBytes(8).toString('hex');
    const nonce = `${time}-${salt}-${this.#sign(time, salt, address)}`;
    const stale = isStale ? ', stale=true' : '';
    return `Digest realm=${quote(realm)}, nonce="${nonce}", algorithm=${algorithm}, qop="auth"${stale}`;
  }

  check(request: SipRequest, address: string): Proof {
    const { realm, users, failures } = this.#options;
    const fields = request
      .all('authorization')
      .map(parseDigestFields)
      .find((one) => one?.get('realm') === realm);
    if (!fields) return { kind: 'missing' };
    const nonce = fields.get('nonce') ?? '';
    const issuedMs = this.#timeOf(nonce, address);
    if (issuedMs === undefined) return { kind: 'stale' };
    // Not looked at: it would say whether a guess was right.
    if (failures.waitMs(address) > 0) return { kind: 'wrong' };
    const user = fields.get('username') ?? '';
    const password = users.get(user);
    const count = this.#verify(request, fields, password ?? NOBODY);
    if (count === undefined || !password) {
      failures.add(address);
      return { kind: 'wrong' };
    }
    return this.#isRepeated(nonce, count, issuedMs) ? { kind: 'stale' } : { kind: 'proven', user };
  }

  /** @returns `nc`, if the response is right */
  #verify({ method }: SipRequest, fields: Params, password: Secret): number | undefined {
    const { realm, algorithm } = this.#options;
    // Proxies may have changed the Request-URI, so `uri` can be another one (RFC 3261, 22.4).
    const [username = '', nonce = '', uri = '', nc = '', cnonce = '', response = ''] = (
      ['username', 'nonce', 'uri', 'nc', 'cnonce', 'response'] as const
    ).map((name) => fields.get(name));
    const expected = digestResponse(this.#hash, {
      username,
      realm,
      password: password.reveal(),
      nonce,
      method,
      uri,
      qop: { nc, cnonce },
    });
    const isRight = isSame(expected, response.toLowerCase());
    const isComplete =
      (fields.get('algorithm') ?? 'MD5').toUpperCase() === algorithm &&
      fields.get('qop')?.toLowerCase() === 'auth' &&
      cnonce !== '' &&
      /^[0-9a-f]{8}$/i.test(nc);
    return isRight && isComplete ? Number.parseInt(nc, 16) : undefined;
  }

  /** `nc` must rise: otherwise somebody sends again what he has overheard. */
  #isRepeated(nonce: string, count: number, issuedMs: number): boolean {
    const known = this.#used.get(nonce);
    if (known) {
      if (count <= known.count) return true;
      known.count = count;
      return false;
    }
    if (issuedMs <= this.#forgottenMs || count === 0) return true;
    this.#used.set(nonce, { count, issuedMs });
    this.#forget();
    return false;
  }

  #forget(): void {
    const oldestMs = this.#options.clock.now() - NONCE_MS;
    for (const [nonce, { issuedMs }] of this.#used) {
      const isFull = this.#used.size > MAX_NONCES;
      if (!isFull && issuedMs >= oldestMs) return;
      this.#used.delete(nonce);
      this.#forgottenMs = Math.max(this.#forgottenMs, issuedMs);
    }
  }

  /** When a nonce of this gateway was issued; `undefined` if it is too old, or not one. */
  #timeOf(nonce: string, address: string): number | undefined {
    const [, time, salt, signature] = NONCE.exec(nonce) ?? [];
    if (!time || !salt || !signature || !isSame(this.#sign(time, salt, address), signature)) return undefined;
    const issuedMs = Number.parseInt(time, 36);
    return this.#options.clock.now() - issuedMs <= NONCE_MS ? issuedMs : undefined;
  }

  #sign(time: string, salt: string, address: string): string {
    return createHmac('sha256', this.#key).update(`${time} ${salt} ${address}`).digest('hex').slice(0, 32);
  }
}

/** In a time that does not depend on where they differ. */
const isSame = (expected: string, given: string): boolean => {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
};
