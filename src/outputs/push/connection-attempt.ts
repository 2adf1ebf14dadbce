import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';

/** The same addresses, beginning with another one. */
function rotated(addresses: readonly string[], by: number): readonly string[] {
  const first = by % addresses.length;
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}

/**
 * Why a destination could not be resolved for a connection. A name that resolved when the push was started and does not
 * resolve now is a network fault, which may heal. A refusal by the policy is final.
 */
export function reconnectError(error: unknown): GatewayError {
  const known = toGatewayError(error, 'DESTINATION_UNREACHABLE');
  return known.code === 'DESTINATION_NOT_RESOLVED' || known.code === 'DNS_UNAVAILABLE'
    ? new GatewayError('DESTINATION_UNREACHABLE', known.message, { cause: known })
    : known;
}

/** Finds the addresses for each connection of a leg. An attempt after one that never pushed begins with another address. */
export class ConnectionAddresses {
  readonly #resolve: (place: Destination) => Promise<ResolvedDestination>;
  #checked: readonly string[] | GatewayError | undefined;
  #failed = 0;

  /**
   * @param checked what was found when the request was checked
   * @param idle the leg does not connect at once: an error is then not the reason why it fails
   */
  constructor(
    resolve: (place: Destination) => Promise<ResolvedDestination>,
    checked: readonly string[] | GatewayError,
    idle = false,
  ) {
    this.#resolve = resolve;
    this.#checked = idle && checked instanceof GatewayError ? undefined : checked;
  }

  /** What was checked serves one connection only: what a name resolves to changes. */
  next(): (place: Destination) => Promise<readonly string[]> {
    const checked = this.#checked;
    this.#checked = undefined;
    return async (place) => {
      if (checked instanceof GatewayError) throw checked;
      const addresses = checked ?? (await this.#resolve(place)).addresses;
      return rotated(addresses, this.#failed);
    };
  }

  /** An attempt has failed before it pushed. */
  failed(): void {
    this.#failed++;
  }
}
