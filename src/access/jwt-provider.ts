import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { GatewayError } from '../errors.ts';
import { boundedRequest } from '../net/bounded-request.ts';
import type { Secret } from '../net/secret.ts';
import type { AccessProvider, Action, Credentials, Grant, Principal } from './authorizer.ts';
import type { KeepFirst } from './first-uses.ts';
import { JwtClaimsSchema } from './jwt-claims.ts';
import { tokenExpired } from './rights.ts';
import { UsedDurations } from './used-durations.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** Where the keys that verify signatures come from. */
export type JwtKeys =
  | { readonly secret: Secret }
  /** A PEM file. */
  | { readonly publicKeyFile: string }
  | { readonly jwksUrl: string };

export interface JwtProviderOptions {
  readonly keys: JwtKeys;
  /** Empty: not checked. */
  readonly issuer?: string;
  readonly audience?: string;
  /** Default: `maxDuration` counts in this process only. */
  readonly keepFirst?: KeepFirst | undefined;
}

/** Three parts in base64url: a signed token. Everything else is left to other providers. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
/** Characters. */
const MAX_TOKEN_LENGTH = 16 * 1024;
const JWKS_LIMIT_BYTES = 256 * 1024;
const JWKS_TIMEOUT_MS = 5000;
const JWKS_MAX_AGE_MS = 600_000;
/** Milliseconds between two requests for keys that were not found in the set. */
const JWKS_COOLDOWN_MS = 30_000;

/** JSON Web Tokens (RFC 7519). The algorithms follow from the configured key, never from the token, so `none` and confusion fail. */
export class JwtProvider implements AccessProvider {
  readonly #verify: (token: string) => Promise<unknown>;
  readonly #keepFirst: KeepFirst | undefined;
  readonly #durations = new UsedDurations();
  readonly #tokens = new WeakMap<Principal, string>();

  private constructor(verify: (token: string) => Promise<unknown>, keepFirst: KeepFirst | undefined) {
    this.#verify = verify;
    this.#keepFirst = keepFirst;
  }

  /** @throws {GatewayError} SETTINGS_INVALID if the key cannot be used */
  static create({ keys, issuer, audience, keepFirst }: JwtProviderOptions): JwtProvider {
    const { key, algorithms } = verificationKey(keys);
    const options = {
      algorithms,
      requiredClaims: ['exp', 'sub'],
      ...(issuer && { issuer }),
      ...(audience && { audience }),
    };
    return new JwtProvider(async (token) => {
      const { payload } = await (typeof key === 'function'
        ? jwtVerify(token, key, options)
        : jwtVerify(token, key, options));
      return payload;
    }, keepFirst);
  }

  async identify({ token, password }: Credentials): Promise<Principal | undefined> {
    const text = (token ?? password)?.reveal();
    if (text === undefined || text.length > MAX_TOKEN_LENGTH || !JWT.test(text)) return undefined;
    const claims = JwtClaimsSchema.safeParse(await this.#check(text));
    if (!claims.success) throw refused(`claim ${claims.error.issues[0]?.path.join('.') ?? ''} is not valid`);
    const { sub, act, streams, rooms, destinations, maxDuration, exp } = claims.data;
    const principal: Principal = {
      id: `jwt:${sub}`,
      actions: new Set(act),
      streams,
      ...(rooms && { rooms: new Map(Object.entries(rooms)) }),
      destinations,
      maxDurationS: maxDuration,
      expiresAt: exp * 1000,
    };
    this.#tokens.set(principal, createHash('sha256').update(text).digest('base64url'));
    return principal;
  }

  async authorize(principal: Principal, action: Action): Promise<Grant> {
    const { maxDurationS, expiresAt } = principal;
    if (action !== 'publish' || maxDurationS === undefined) return {};
    const token = this.#tokens.get(principal)!;
    const allowedMs = await this.#leftMs(token, maxDurationS * 1000, expiresAt!);
    const leftMs = this.#durations.left(token, allowedMs, expiresAt!);
    if (leftMs <= 0)
      throw new GatewayError('TOKEN_EXPIRED', 'The maxDuration of this token has passed. Get a new one.');
    return { endsAt: Math.round(wallClockMs() + leftMs) };
  }

  /** Also after a use before a restart, or on another node. */
  async #leftMs(token: string, durationMs: number, expiresAt: number): Promise<number> {
    const now = wallClockMs();
    const endsAt = await this.#keepFirst?.(token, now + durationMs, new Date(expiresAt));
    return endsAt === undefined ? durationMs : endsAt - now;
  }

  async #check(token: string): Promise<unknown> {
    try {
      return await this.#verify(token);
    } catch (error) {
      throw toAccessError(error);
    }
  }
}

function toAccessError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof errors.JWTExpired) return tokenExpired();
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return keysUnavailable(error);
  if (error instanceof errors.JWTClaimValidationFailed)
    return refused(
      error.claim === 'nbf' ? 'it is not valid yet' : `claim ${error.claim} is missing or not the required one`,
    );
  if (error instanceof errors.JOSEAlgNotAllowed) return refused('its algorithm is not that of the configured key');
  // JOSEError is also what jose throws for an answer of the JWKS server that is not 200.
  if (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC') return keysUnavailable(error);
  return refused('its signature or form is not valid');
}

const refused = (why: string): GatewayError => new GatewayError('UNAUTHORIZED', `The token is not accepted: ${why}.`);

const keysUnavailable = (cause: unknown): GatewayError =>
  new GatewayError('ACCESS_UNAVAILABLE', 'The keys of jwt_jwks_url cannot be read, so tokens cannot be checked.', {
    cause,
  });

interface VerificationKey {
  readonly key: Uint8Array | KeyObject | JWTVerifyGetKey;
  readonly algorithms: string[];
}

function verificationKey(keys: JwtKeys): VerificationKey {
  if ('secret' in keys) return { key: Buffer.from(keys.secret.reveal()), algorithms: ['HS256'] };
  if ('jwksUrl' in keys) return { key: remoteKeys(keys.jwksUrl), algorithms: ['RS256', 'ES256', 'EdDSA', 'Ed25519'] };
  const { publicKeyFile } = keys;
  let key: KeyObject;
  try {
    key = createPublicKey(readFileSync(publicKeyFile));
  } catch (cause) {
    throw new GatewayError('SETTINGS_INVALID', `jwt_public_key ${publicKeyFile} is not a readable key in a PEM file.`, {
      cause,
    });
  }
  return { key, algorithms: algorithmsOf(key, publicKeyFile) };
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject, file: string): string[] {
  if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) return ['RS256'];
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return ['ES256'];
  if (asymmetricKeyType === 'ed25519') return ['EdDSA', 'Ed25519'];
  throw new GatewayError(
    'SETTINGS_INVALID',
    `jwt_public_key ${file} must be RSA of 2048 bits or more, EC P-256 or Ed25519.`,
  );
}

/** Cached, refreshed after ten minutes and when a token names an unknown key. */
function remoteKeys(url: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(url), {
    timeoutDuration: JWKS_TIMEOUT_MS,
    cooldownDuration: JWKS_COOLDOWN_MS,
    cacheMaxAge: JWKS_MAX_AGE_MS,
    [customFetch]: async (target: string) => {
      try {
        const { status, body } = await boundedRequest({
          url: new URL(target),
          timeoutMs: JWKS_TIMEOUT_MS,
          maxBytes: JWKS_LIMIT_BYTES,
        });
        return new Response(body, { status });
      } catch (error) {
        throw keysUnavailable(error);
      }
    },
  });
}
