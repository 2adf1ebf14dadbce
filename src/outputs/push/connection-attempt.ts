import { GatewayError, toGatewayError } from '../../errors.ts';

/** The same addresses, beginning with another one. */
export function rotated(addresses: readonly string[], by: number): readonly string[] {
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
