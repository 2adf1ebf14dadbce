import { createHmac, randomBytes } from 'node:crypto';
import type { Secret } from '../net/secret.ts';

/** Digests of 32 bytes: half a megabyte. */
const MAX_KNOWN = 10_000;

/** Remembers the credentials that were accepted last, as digests under a key of this process. */
export class KnownCredentials {
  readonly #key = randomBytes(32);
  /** The least recently used first. */
  readonly #digests = new Set<string>();

  /** Stands for the credential where it must not be kept. */
  digest(secret: Secret): string {
    return createHmac('sha256', this.#key).update(secret.reveal()).digest('base64');
  }

  has(digest: string): boolean {
    return this.#digests.has(digest);
  }

  add(digest: string): void {
    this.#digests.delete(digest);
    this.#digests.add(digest);
    if (this.#digests.size > MAX_KNOWN) this.#digests.delete(this.#digests.values().next().value!);
  }
}
