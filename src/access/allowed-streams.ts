import { GatewayError } from '../errors.ts';
import type { Principal } from './authorizer.ts';

/** Names that are remembered for one client; the oldest are dropped. */
const MAX_NAMES = 256;

/**
 * The streams that an application server has allowed clients to publish or play, for the requests that it is not asked
 * about: snapshots, and whether a stream is available.
 */
export class AllowedStreams {
  readonly #names = new WeakMap<Principal, Set<string>>();

  add(principal: Principal, name: string): void {
    const names = this.#names.get(principal) ?? new Set();
    this.#names.set(principal, names.add(name));
    if (names.size > MAX_NAMES) names.delete(names.values().next().value!);
  }

  /** @throws {GatewayError} FORBIDDEN */
  check(principal: Principal, name: string): void {
    if (this.#names.get(principal)?.has(name)) return;
    throw new GatewayError(
      'FORBIDDEN',
      'The application server decides about publishing and playing. Play the stream first.',
    );
  }
}
