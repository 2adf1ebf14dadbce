import { GatewayError } from '../errors.ts';
import { hostMatches } from '../net/host-pattern.ts';
import { ROOM_RIGHTS, type Action, type Principal, type Resource, type RoomRight } from './authorizer.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** What a principal may do by itself, without asking its provider. Pure, but for the clock. */

/** @throws {GatewayError} TOKEN_EXPIRED, or FORBIDDEN that names the action and what is missing */
export function checkRights(
  principal: Principal,
  action: Action,
  { stream, scope, destination }: Resource = {},
  now = wallClockMs(),
): void {
  const { actions, streams, destinations, expiresAt } = principal;
  if (expiresAt !== undefined && expiresAt <= now) throw tokenExpired();
  if (!actions.has(action)) throw forbidden(action, `they allow ${list([...actions], 'no action')}`);
  if (stream !== undefined && streams && !streams.some((pattern) => matchesName(pattern, stream)))
    throw forbidden(action, `they do not include the stream ${JSON.stringify(stream)}`);
  if (scope !== undefined && !(action === 'join' ? mayJoinRoom : mayOperateRoom)(principal, scope))
    throw forbidden(action, `they do not include the room ${JSON.stringify(scope)}`);
  if (destination && destinations && !destinations.some((pattern) => hostMatches(pattern, destination.host)))
    throw forbidden(action, `they do not include the destination ${destination.host}`);
}

/** Whether the principal may use streams of this name; lists show it only these. */
export const mayUseStream = ({ streams }: Principal, name: string): boolean =>
  !streams || streams.some((pattern) => matchesName(pattern, name));

/**
 * What the principal may do as a member of a room. Of the patterns that fit, the one with the most characters decides;
 * an exact path comes before all patterns. Empty: it may not join.
 */
export function roomRights({ rooms }: Principal, scope: string): readonly RoomRight[] {
  if (!rooms) return ROOM_RIGHTS;
  const exact = rooms.get(scope);
  if (exact) return exact;
  const fitting = [...rooms].filter(([pattern]) => matchesName(pattern, scope));
  const longest = Math.max(...fitting.map(([pattern]) => specificity(pattern)));
  const deciding = fitting.filter(([pattern]) => specificity(pattern) === longest).map(([, rights]) => rights);
  // The order of claims is not that of the token's author, so patterns of the same length count together.
  return deciding.length === 0 ? [] : ROOM_RIGHTS.filter((right) => deciding.every((rights) => rights.includes(right)));
}

const mayJoinRoom = (principal: Principal, scope: string): boolean => roomRights(principal, scope).length > 0;

/**
 * Whether the principal may see and change a room from outside, given the action. Credentials that are limited to
 * certain streams name their rooms too.
 */
export const mayOperateRoom = (principal: Principal, scope: string): boolean =>
  (principal.rooms !== undefined || principal.streams === undefined) && mayJoinRoom(principal, scope);

const specificity = (pattern: string): number => pattern.replaceAll('*', '').length;

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
