import { randomBytes } from 'node:crypto';

/** Keys of SRTP in SDP (RFC 4568). */

export type CryptoSuite = 'AES_CM_128_HMAC_SHA1_80' | 'AES_CM_128_HMAC_SHA1_32';

/** Bytes of the authentication tag by suite. */
export const TAG_BYTES: Readonly<Record<CryptoSuite, number>> = {
  AES_CM_128_HMAC_SHA1_80: 10,
  AES_CM_128_HMAC_SHA1_32: 4,
};

/** 16 bytes of key and 14 of salt. */
const KEY_BYTES = 30;

export interface CryptoKey {
  /** Number of the `a=crypto` line: an answer names the one that it takes. */
  readonly tag: number;
  readonly suite: CryptoSuite;
  readonly key: Buffer;
}

/** @returns `undefined` for what cannot be used: other suites, MKI, parameters that switch something off */
export function parseCrypto(line: {
  readonly id: number;
  readonly suite: string;
  readonly config: string;
  readonly sessionConfig?: string | undefined;
}): CryptoKey | undefined {
  const suite = String(line.suite).toUpperCase();
  if (!(suite in TAG_BYTES) || line.sessionConfig) return undefined;
  const match = /^inline:([A-Za-z0-9+/]{40}={0,2})(?:\|2?\^?\d{1,15})?$/.exec(String(line.config));
  const tag = Number(line.id);
  if (!match || !Number.isInteger(tag) || tag < 0 || tag > 999_999_999) return undefined;
  const key = Buffer.from(match[1]!, 'base64');
  return key.length === KEY_BYTES ? { tag, suite: suite as CryptoSuite, key } : undefined;
}

export const newCryptoKey = (tag: number, suite: CryptoSuite): CryptoKey => ({
  tag,
  suite,
  key: randomBytes(KEY_BYTES),
});

export const formatCrypto = ({ tag, suite, key }: CryptoKey): string =>
  `a=crypto:${tag} ${suite} inline:${key.toString('base64')}`;
