/**
 * What the page remembers across a reload, in `sessionStorage`: it is gone when the tab is closed. Stream keys and
 * passwords of destinations are never stored.
 */

const DESTINATIONS = 'webrtc-transponder.destinations';
const PUBLICATION = 'webrtc-transponder.publication';

/**
 * Scheme, user and password, host and port, path. The gateway has the same rule for `rtmpUrl` (src/net/destination.ts).
 */
const RTMP_URL = /^(rtmps?:\/\/)(?:[^@/?#]*@)?((?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?)\/([^?#@]*)(?:[?#][^@]*)?$/i;

/**
 * @typedef {object} Destination
 * @property {string} url without secrets
 * @property {boolean} full the URL ends with the stream key
 * @property {string} [platform] in place of a URL
 * @property {boolean} complete false when a part of the URL, or the stream key, was left out
 *
 * @typedef {object} LeftPublication a stream that this page was publishing when it was left
 * @property {string} name
 * @property {string} resolution
 * @property {number} leftAt milliseconds since the epoch
 */

/**
 * Leaves out what may be secret: user and password, query, and the path after the first segment of the application.
 * This is the rule by which the gateway shows destinations. With `full` the last segment of the path is the stream key.
 *
 * @param {string} url as it was typed
 * @param {boolean} full
 * @returns {Destination}
 */
export function withoutSecrets(url, full) {
  const typed = url.trim();
  const [, scheme, server, path = ''] = RTMP_URL.exec(typed) ?? [];
  if (!scheme) return { url: '', full, complete: typed === '' };
  const segments = path.replace(/\/+$/, '').split('/');
  if (full) segments.pop();
  const application = /^[\w.~-]*/.exec(segments[0] ?? '')?.[0] ?? '';
  const kept = `${scheme}${server}/${application}`;
  return { url: full && application ? `${kept}/` : kept, full, complete: !full && kept === typed.replace(/\/+$/, '') };
}

/** @param {readonly Destination[]} destinations */
export function rememberDestinations(destinations) {
  write(DESTINATIONS, destinations);
}

/** @returns {Destination[]} empty before the first change */
export function rememberedDestinations() {
  return /** @type {Destination[] | undefined} */ (read(DESTINATIONS)) ?? [];
}

/** @param {LeftPublication | undefined} publication undefined: nothing is to be resumed */
export function rememberPublication(publication) {
  if (publication) write(PUBLICATION, publication);
  else sessionStorage.removeItem(PUBLICATION);
}

/**
 * The publication that the gateway may still hold. It is forgotten with this call, so that it is resumed once, and not
 * by a copy of the tab.
 *
 * @param {number} windowMs how long the gateway holds the stream of a publisher that was lost
 * @returns {(LeftPublication & { heldUntil: number }) | undefined}
 */
export function takeLeftPublication(windowMs) {
  const left = /** @type {LeftPublication | undefined} */ (read(PUBLICATION));
  rememberPublication(undefined);
  if (!left) return undefined;
  const heldUntil = left.leftAt + windowMs;
  return heldUntil > Date.now() ? { ...left, heldUntil } : undefined;
}

/**
 * @param {string} key
 * @param {unknown} value
 */
function write(key, value) {
  sessionStorage.setItem(key, JSON.stringify(value));
}

/** @param {string} key */
function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? '') ?? undefined;
  } catch {
    return undefined;
  }
}
