import { createHash, randomBytes } from 'node:crypto';

/**
 * Adobe's authentication of publishers (`authmod=adobe`: the access plug-in of Flash Media Server, also Wowza; Akamai
 * uses another one). It uses the descriptions of rejected `connect` commands: the first rejection asks for a user, the
 * second gives a salt and a challenge.
 */
export type AuthRequest =
  /** The server asks for the user. */
  | { readonly kind: 'user' }
  /** The server asks for a proof of the password. */
  | {
      readonly kind: 'response';
      readonly salt: string;
      readonly challenge: string;
      readonly opaque: string | undefined;
    }
  /** Wrong user or password. */
  | { readonly kind: 'failed' }
  /** A method that is not supported, such as `llnw`. */
  | { readonly kind: 'unknown' };

/** What the description of a rejected `connect` asks for; `undefined` if it is not about authentication. */
export function parseAuthRequest(description: string): AuthRequest | undefined {
  if (!/authmod\s*=/.test(description)) return undefined;
  if (!/authmod\s*=\s*adobe\b/.test(description)) return { kind: 'unknown' };
  const query = /\?(\S*)/.exec(description)?.[1];
  if (query === undefined) return /code=403/.test(description) ? { kind: 'user' } : { kind: 'failed' };
  const parameters = new Map(
    query.split('&').map((parameter) => {
      const at = parameter.indexOf('=');
      return at < 0 ? [parameter, ''] : [parameter.slice(0, at), parameter.slice(at + 1)];
    }),
  );
  if (parameters.get('reason') !== 'needauth') return { kind: 'failed' };
  return {
    kind: 'response',
    salt: parameters.get('salt') ?? '',
    challenge: parameters.get('challenge') ?? '',
    opaque: parameters.get('opaque'),
  };
}

/** What is appended to the application and to tcUrl to name the user. */
export function userQuery(user: string): string {
  return `authmod=adobe&user=${encodeURIComponent(user)}`;
}

/** What is appended to prove the password. The password itself is never sent. */
export function responseQuery(
  user: string,
  password: string,
  request: { readonly salt: string; readonly challenge: string; readonly opaque: string | undefined },
  clientChallenge = randomBytes(4).toString('hex'),
): string {
  const secret = md5Base64(user + request.salt + password);
  const response = md5Base64(secret + (request.opaque ?? request.challenge) + clientChallenge);
  const opaque = request.opaque === undefined ? '' : `&opaque=${request.opaque}`;
  return `${userQuery(user)}&challenge=${clientChallenge}&response=${response}${opaque}`;
}

/** `app` or `tcUrl` with a further query parameter. */
export function appendQuery(target: string, query: string): string {
  return query === '' ? target : `${target}${target.includes('?') ? '&' : '?'}${query}`;
}

function md5Base64(text: string): string {
  return createHash('md5').update(text).digest('base64');
}
