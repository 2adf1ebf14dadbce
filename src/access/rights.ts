import { GatewayError } from '../errors.ts';
import { hostMatches } from '../net/host-pattern.ts';
import type { Action, Principal, Resource } from './authorizer.ts';

/** What a principal may do by itself, without asking its provider. Pure, but for the clock. */

/** @throws {GatewayError} TOKEN_EXPIRED, or FORBIDDEN that names the action and what is missing */
export function checkRights(
  { actions, streams, destinations, expiresAt }: Principal,
  action: Action,
  { stream, destination }: Resource = {},
  now = Date.now(),
): void {
  if (expiresAt !== undefined && expiresAt <= now) throw tokenExpired();
  if (!actions.has(action)) throw forbidden(action, `they allow ${list([...actions], 'no action')}`);
  if (stream !== undefined && streams && !streams.some((pattern) => matchesName(pattern, stream)))
    throw forbidden(action, `they do not include the stream ${JSON.stringify(stream)}`);
  if (destination && destinations && !destinations.some((pattern) => hostMatches(pattern, destination.host)))
    throw forbidden(action, `they do not include the destination ${destination.host}`);
}

/** Whether the principal may use streams of this name; lists show it only these. */
export const mayUseStream = ({ streams }: Principal, name: string): boolean =>
  !streams || streams.some((pattern) => matchesName(pattern, name));

export const tokenExpired = (): GatewayError =>
  new GatewayError('TOKEN_EXPIRED', 'The token has expired. Get a new one and repeat the request.');

export const forbidden = (action: Action, missing: string): GatewayError =>
  new GatewayError('FORBIDDEN', `These credentials do not allow the action "${action}": ${missing}.`);

const list = (items: readonly string[], none: string): string => (items.length > 0 ? `only ${items.join(', ')}` : none);

/**
 * `*` stands for any characters, none included. Linear in the length of the name for each `*`: patterns come from tokens.
 */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let position = first.length;
  const end = name.length - last.length;
  for (const part of others) {
    const found = name.indexOf(part, position);
    if (found < 0 || found + part.length > end) return false;
    position = found + part.length;
  }
  return true;
}
