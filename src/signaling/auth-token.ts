import { createHash } from 'node:crypto';

/** Begins the tokens that are given to clients that brought none. The Web SDK sends them back, which makes nobody an owner. */
const GIVEN = 'guest-';

export const giveToken = (sessionId: string): string => GIVEN + sessionId;

/**
 * Whose streams those of a client are, as far as it brought an `authToken` of its own: whoever brings the same one owns them too.
 * The token itself is kept nowhere.
 */
export function ownerOf(authToken: unknown): string | undefined {
  if (typeof authToken !== 'string' || authToken === '' || authToken.startsWith(GIVEN)) return undefined;
  return createHash('sha256').update(`authToken ${authToken}`).digest('base64url');
}
