/**
 * Control and format characters, among them those that reverse the direction of text (U+202E), separators other than a
 * space, unassigned ones.
 */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/**
 * Text of other servers as the page shows it: invisible characters as their code points, so that they cannot change how
 * the rest reads.
 *
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(INVISIBLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/**
 * @param {number} count
 * @param {string} what in the singular
 * @param {string} [many] in the plural
 */
export const counted = (count, what, many = `${what}s`) => `${count} ${count === 1 ? what : many}`;

/**
 * A time of the REST interface as the user's clock shows it.
 *
 * @param {string} iso
 * @returns {string}
 */
export function clockTime(iso) {
  return new Date(iso).toLocaleTimeString();
}

/**
 * @param {import('../client/push-api.js').PublisherAway} away
 * @returns {string}
 */
export function awayText({ since, until }) {
  const limit = until ? `until ${clockTime(until)}` : 'until the push is terminated';
  return `Publisher away since ${clockTime(since)}. The gateway waits for it ${limit}.`;
}

/**
 * What a key or a token allows, in one line.
 *
 * @param {import('./access.js').Principal} principal
 * @returns {string}
 */
export function rightsText({ id, actions, streams, destinations, expiresAt }) {
  const list = (/** @type {readonly string[] | undefined} */ items) =>
    items === undefined ? 'all' : items.length > 0 ? items.join(', ') : 'none';
  return visible(
    [
      `You are ${id}. Allowed: ${actions.join(', ') || 'nothing'}`,
      `streams: ${list(streams)}`,
      ...(destinations ? [`destinations: ${list(destinations)}`] : []),
      ...(expiresAt ? [`until ${clockTime(expiresAt)}`] : []),
    ].join('; '),
  );
}

/**
 * @param {number} count
 * @returns {string}
 */
export function byteCount(count) {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}
