import { GatewayError } from '../../errors.ts';
import { limitHits } from '../../observe/limits.ts';

/** Counts a client that sends too many messages, and returns the reason for its end. */
export function tooFast(): GatewayError {
  limitHits.count('max_ws_messages_per_second');
  return new GatewayError('RATE_LIMITED', 'The client sends too many messages (max_ws_messages_per_second).');
}
