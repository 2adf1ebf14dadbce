import { SETTING_KEYS, type SettingKey } from './schema.ts';

/**
 * What becomes of a key that is not a setting of this gateway. A whole `flashphoner.properties` can be used, and WCS
 * has hundreds of settings that mean nothing here, so such a key is ignored, unless it is probably a misspelt setting
 * of the gateway.
 */

/** Edits (letters added, dropped or changed) up to which a key is a misspelt one. */
const MISSPELT_EDITS = 2;

/** WCS has no settings that begin so. Most of these protect the gateway: one that is ignored could leave it open. */
const OWN_PREFIXES = ['destination_', 'rest_api_', 'cors_', 'tls_', 'listen_'] as const;

/** Settings of WCS that are within {@link MISSPELT_EDITS} of one of the gateway's. */
const WCS_SETTINGS: ReadonlySet<string> = new Set(['rtmfp.port', 'rtmp.port', 'rtmps.port', 'rtsp.port', 'ssh.port']);

/** Whether an unknown key is probably meant to be a setting of the gateway. */
export function isMisspelt(unknown: string): boolean {
  if (WCS_SETTINGS.has(unknown)) return false;
  if (OWN_PREFIXES.some((prefix) => unknown.startsWith(prefix))) return true;
  const nearest = findNearest(unknown);
  // Of a short key two letters are most of it.
  return nearest !== undefined && nearest.edits <= Math.min(MISSPELT_EDITS, Math.floor(unknown.length / 3));
}

/** "Did you mean …?" for a key that is similar to a setting, otherwise where to look. */
export function suggest(unknown: string): string {
  const nearest = findNearest(unknown);
  // A third of the key may be wrong; more is another word.
  return nearest && nearest.edits <= Math.floor(unknown.length / 3)
    ? ` Did you mean ${nearest.key}?`
    : ' All settings are listed in config/gateway.properties.example.';
}

/** Longer keys are not compared: no setting has as many letters. */
const MAX_KEY_LENGTH = 80;

function findNearest(unknown: string): { readonly key: SettingKey; readonly edits: number } | undefined {
  if (unknown.length > MAX_KEY_LENGTH) return undefined;
  const candidates = SETTING_KEYS.map((key) => ({ key, edits: editDistance(normalise(unknown), normalise(key)) }));
  return candidates.reduce((best, one) => (one.edits < best.edits ? one : best));
}

const normalise = (key: string): string => key.toLowerCase().replace(/[-.]/g, '_');

/** The Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
