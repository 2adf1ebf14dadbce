import { createHash } from 'node:crypto';

/**
 * Prefix of the tokens given to clients that brought none. The Web SDK sends them back; they do not make a client an
 * owner.
 */
const GIVEN = 'guest-';

export const giveToken = (sessionId: string): string => GIVEN + sessionId;

/**
 * Identifies the owner of a client's streams by the `authToken` that it brought: clients with the same token share
 * their streams. The token itself is not stored.
 */
export function ownerOf(authToken: unknown): string | undefined {
  if (typeof authToken !== 'string' || authToken === '' || authToken.startsWith(GIVEN)) return undefined;
  return createHash('sha256').update(`authToken ${authToken}`).digest('base64url');
}
