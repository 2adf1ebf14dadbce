import { toGatewayError } from '../../errors.ts';
import { renamed, type Destination } from '../../net/destination.ts';
import { retryRules } from './retry-rules.ts';
import type { CheckedDestination, TransponderEnvironment } from './transponder-start.ts';
import type { StartRequest } from './transponder-control.ts';

/** The fields of a request that name its destinations. */
const FIELDS = ['rtmpUrl', 'backupUrl'];

/**
 * The addresses of the destinations of a push, in their order. A push that reconnects also waits for a DNS that does
 * not answer at present.
 *
 * @throws {GatewayError} DESTINATION_NOT_RESOLVED, DNS_UNAVAILABLE, DESTINATION_FORBIDDEN
 */
export function resolveDestinations(
  destinations: readonly Destination[],
  request: StartRequest,
  { resolve, retry }: Pick<TransponderEnvironment, 'resolve' | 'retry'>,
): Promise<CheckedDestination[]> {
  const check = async (destination: Destination, index: number): Promise<CheckedDestination> => {
    try {
      const { addresses } = await resolve(destination);
      return { destination, addresses };
    } catch (thrown) {
      const error = index === 0 ? toGatewayError(thrown) : renamed(thrown, FIELDS[index]!);
      if (error.code !== 'DNS_UNAVAILABLE' || !retryRules(request, retry).enabled) throw error;
      return { destination, addresses: [], unresolved: error };
    }
  };
  return Promise.all(destinations.map(check));
}
