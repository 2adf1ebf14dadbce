import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../net/secret.ts';
import { ALL_ACTIONS, type AccessProvider, type Credentials, type Principal } from './authorizer.ts';

export interface StaticKeys {
  /** `rest_api_key`: allows everything. */
  readonly all?: Secret | undefined;
  /** `rest_api_read_key`: allows reading only. */
  readonly read?: Secret | undefined;
}

/**
 * The keys of the settings. A key is recognised as the token or, where a client sends no token, as the password: Red5 Pro's clients
 * can send nothing else.
 */
export class StaticKeyProvider implements AccessProvider {
  readonly #keys: readonly { readonly digest: Buffer; readonly principal: Principal }[];

  constructor({ all, read }: StaticKeys) {
    this.#keys = [
      ...(all ? [{ digest: digest(all), principal: { id: 'rest_api_key', actions: ALL_ACTIONS } }] : []),
      ...(read
        ? [{ digest: digest(read), principal: { id: 'rest_api_read_key', actions: new Set(['read'] as const) } }]
        : []),
    ];
  }

  async identify({ token, password }: Credentials): Promise<Principal | undefined> {
    const presented = token ?? password;
    if (!presented) return undefined;
    const given = digest(presented);
    return this.#keys.find((key) => timingSafeEqual(given, key.digest))?.principal;
  }
}

/** Digests are compared in constant time, so that neither the length nor a common prefix of the key can be measured. */
const digest = (secret: Secret): Buffer => createHash('sha256').update(secret.reveal()).digest();
