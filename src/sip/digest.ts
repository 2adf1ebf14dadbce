import { createHash, randomBytes } from 'node:crypto';
import type { Secret } from '../net/secret.ts';
import { parseDigestFields, quote, type Params } from './message/text.ts';

/** Digest authentication of a client (RFC 7616, RFC 8760). */

export interface SipCredentials {
  readonly username: string;
  readonly password: Secret;
}

/** OpenSSL's names of the algorithms. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['MD5', 'md5'],
  ['SHA-256', 'sha256'],
  ['SHA-512-256', 'sha512-256'],
]);

/** Nonces that are counted; a server gives a new one now and then. */
const MAX_NONCES = 16;

/** How often each nonce was used: `nc` must rise. */
export class NonceCounts {
  readonly #counts = new Map<string, number>();

  next(nonce: string): number {
    const count = (this.#counts.get(nonce) ?? 0) + 1;
    this.#counts.delete(nonce);
    this.#counts.set(nonce, count);
    if (this.#counts.size > MAX_NONCES) this.#counts.delete(this.#counts.keys().next().value!);
    return count;
  }
}

export interface DigestRequest {
  readonly method: string;
  readonly uri: string;
  readonly counts: NonceCounts;
  /** For tests. */
  readonly cnonce?: string;
}

/** A challenge that can be answered. */
export interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly stale: boolean;
  readonly fields: Params;
  readonly hash: string;
  readonly hasQop: boolean;
}

/** The first challenge whose algorithm is known, which is the one that the server prefers. */
export function chooseChallenge(headers: readonly string[]): Challenge | undefined {
  for (const header of headers) {
    const fields = parseDigestFields(header);
    const hash = HASHES.get((fields?.get('algorithm') ?? 'MD5').toUpperCase());
    const realm = fields?.get('realm');
    const nonce = fields?.get('nonce');
    if (!fields || !hash || realm === undefined || !nonce) continue;
    const qop = fields.get('qop')?.split(',');
    if (qop && !qop.some((one) => one.trim().toLowerCase() === 'auth')) continue;
    const stale = fields.get('stale')?.toLowerCase() === 'true';
    return { realm, nonce, stale, fields, hash, hasQop: qop !== undefined };
  }
  return undefined;
}

/** The value of `Authorization` or `Proxy-Authorization`. */
export function answerChallenge(
  { realm, nonce, fields, hash, hasQop }: Challenge,
  { username, password }: SipCredentials,
  { method, uri, counts, cnonce = randomBytes(12).toString('hex') }: DigestRequest,
): string {
  const nc = counts.next(nonce).toString(16).padStart(8, '0');
  const response = digestResponse(hash, {
    username,
    realm,
    password: password.reveal(),
    nonce,
    method,
    uri,
    ...(hasQop && { qop: { nc, cnonce } }),
  });
  const opaque = fields.get('opaque');
  const algorithm = fields.get('algorithm');
  return [
    `Digest username=${quote(username)}`,
    `realm=${quote(realm)}`,
    `nonce=${quote(nonce)}`,
    `uri=${quote(uri)}`,
    `response="${response}"`,
    ...(algorithm === undefined ? [] : [`algorithm=${algorithm.replace(/[^\w-]/g, '')}`]),
    ...(hasQop ? [`qop=auth`, `nc=${nc}`, `cnonce="${cnonce}"`] : []),
    ...(opaque === undefined ? [] : [`opaque=${quote(opaque)}`]),
  ].join(', ');
}

export interface DigestInput {
  readonly username: string;
  readonly realm: string;
  readonly password: string;
  readonly nonce: string;
  readonly method: string;
  readonly uri: string;
  readonly qop?: { readonly nc: string; readonly cnonce: string };
}

/** @param hash OpenSSL's name */
export function digestResponse(hash: string, input: DigestInput): string {
  const digest = (...parts: readonly string[]): string => createHash(hash).update(parts.join(':')).digest('hex');
  const { username, realm, password, nonce, method, uri, qop } = input;
  const secret = digest(username, realm, password);
  const request = digest(method, uri);
  return qop ? digest(secret, nonce, qop.nc, qop.cnonce, 'auth', request) : digest(secret, nonce, request);
}

/** OpenSSL's name of an algorithm of digest authentication. */
export const hashOf = (algorithm: string): string | undefined => HASHES.get(algorithm.toUpperCase());
