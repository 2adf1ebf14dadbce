import { createHash } from 'node:crypto';

/**
 * Prefix of the tokens given to clients that brought none. The Web SDK sends them back; they do not make a client an
 * owner.
 */
const GIVEN = 'guest-';

export const giveToken = (sessionId: string): string => GIVEN + sessionId;

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** The `authToken` that a client brought. */
function broughtToken(authToken: unknown): string | undefined {
  const text = textOf(authToken);
  return text?.startsWith(GIVEN) ? undefined : text;
}

/** `custom.token` of a connection or a stream: the SDK sends the `custom` that a page sets. */
export const customToken = (custom: unknown): string | undefined =>
  textOf((custom as { token?: unknown } | null | undefined)?.token);

/**
 * The credential of a connection. `authToken` is the last choice, because a page may use it only to identify itself as the owner of its
 * streams.
 */
export const credentialOf = (
  { authToken, custom }: Readonly<Record<string, unknown>>,
  urlToken: string | undefined,
): string | undefined => customToken(custom) ?? textOf(urlToken) ?? broughtToken(authToken);

/**
 * Identifies the owner of a client's streams by its principal and the `authToken` that it brought, else by its credential: clients with
 * the same ones share their streams. The token itself is not stored.
 *
 * @param credential that has been accepted; undefined for a client that needs none
 */
export function ownerOf(principalId: string, authToken: unknown, credential: string | undefined): string | undefined {
  const token = broughtToken(authToken) ?? credential;
  if (token === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify(['authToken', principalId, token]))
    .digest('base64url');
}
