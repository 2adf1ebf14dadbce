import type { types } from 'mediasoup';

/**
 * The hash functions of `a=fingerprint` lines that mediasoup knows, with the length of their values in bytes. The best
 * comes first: all current clients send SHA-256.
 */
const HASHES: ReadonlyMap<string, { readonly algorithm: types.FingerprintAlgorithm; readonly bytes: number }> = new Map(
  (
    [
      ['sha-256', 32],
      ['sha-384', 48],
      ['sha-512', 64],
      ['sha-224', 28],
      ['sha-1', 20],
    ] as const
  ).map(([algorithm, bytes]) => [algorithm, { algorithm, bytes }]),
);
const PREFERENCE: readonly string[] = [...HASHES.keys()];
const MAX_FINGERPRINTS = 16;

/**
 * The certificate fingerprints of a media section, or else those of the session, the best hash function first (RFC 8122,
 * 5). Unknown hash functions and values that are none are left out. Not by sdp-transform, which keeps only the last line
 * of each section.
 *
 * @param index of the media section
 */
export function fingerprintsOf(sdp: string, index: number): types.DtlsFingerprint[] {
  const [session = [], ...sections] = splitSections(sdp);
  const own = usable(sections[index] ?? []);
  return own.length > 0 ? own : usable(session);
}

/** The lines of the session, then those of each media section. */
function splitSections(sdp: string): string[][] {
  const parts: string[][] = [[]];
  for (const line of sdp.split(/\r\n|\r|\n/)) {
    if (line.startsWith('m=')) parts.push([]);
    parts.at(-1)!.push(line);
  }
  return parts;
}

function usable(lines: readonly string[]): types.DtlsFingerprint[] {
  return lines
    .flatMap((line) => {
      const [, name = '', value = ''] = /^a=fingerprint:(\S+)\s+(\S+)\s*$/.exec(line) ?? [];
      const hash = HASHES.get(name.toLowerCase());
      return hash && isHex(value, hash.bytes) ? [{ algorithm: hash.algorithm, value: value.toUpperCase() }] : [];
    })
    .sort((one, other) => PREFERENCE.indexOf(one.algorithm) - PREFERENCE.indexOf(other.algorithm))
    .slice(0, MAX_FINGERPRINTS);
}

const isHex = (value: string, bytes: number): boolean =>
  value.length === bytes * 3 - 1 && /^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(value);
