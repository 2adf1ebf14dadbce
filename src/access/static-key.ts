import { createHash, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type { Secret } from '../net/secret.ts';
import { ALL_ACTIONS, type AccessProvider, type Credentials, type Principal } from './authorizer.ts';

const PRINCIPAL: Principal = { id: 'rest_api_key', actions: ALL_ACTIONS };

/**
 * `rest_api_key`: one key that allows everything. It recognises every token and, where a client sends no token, every
 * password: Red5 Pro's clients can send nothing else.
 */
export class StaticKeyProvider implements AccessProvider {
  readonly #digest: Buffer;

  constructor(key: Secret) {
    this.#digest = digest(key);
  }

  async identify({ token, password }: Credentials): Promise<Principal | undefined> {
    const presented = token ?? password;
    if (!presented) return undefined;
    if (timingSafeEqual(digest(presented), this.#digest)) return PRINCIPAL;
    throw new GatewayError(
      'UNAUTHORIZED',
      'The key is wrong: send rest_api_key as "Authorization: Bearer KEY" or "X-Api-Key: KEY".',
    );
  }
}

/** Digests are compared in constant time, so that neither the length nor a common prefix of the key can be measured. */
const digest = (secret: Secret): Buffer => createHash('sha256').update(secret.reveal()).digest();
