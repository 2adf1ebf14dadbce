/** Figures and times as the application shows them. */

/** @param {number} kilobits per second */
export const bitRate = (kilobits) =>
  kilobits >= 1000 ? `${(kilobits / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilobits)} kbit/s`;

/**
 * The bitrate of a stream, which is not known before the first measurement.
 *
 * @param {Readonly<Record<string, number>>} numbers of the stream
 */
export const streamRate = ({ bitrate = 0, bytes = 0 }) => (bytes > 0 ? bitRate(bitrate) : '–');

/** @param {string} iso */
export function timeOf(iso) {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString() : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

/** @type {Record<string, string>} */
const CODECS = { h264: 'H.264', vp8: 'VP8', vp9: 'VP9', av1: 'AV1', opus: 'Opus', pcmu: 'G.711', pcma: 'G.711' };

/** @param {Record<string, any>} stream the fields of one */
export const codecsOf = ({ videoCodec, audioCodec }) =>
  [videoCodec, audioCodec]
    .filter(Boolean)
    .map((name) => CODECS[name] ?? name)
    .join(' + ') || 'no media yet';

/** What `mediaProvider` says. @param {string} provider */
export const protocolOf = (provider) => (provider === '' ? 'WebRTC' : provider);

/** Seconds over which lost packets are counted. */
const LOSS_WINDOW = 10;

/**
 * Packets that were lost in the last ten seconds.
 *
 * @param {readonly import('./live-feed.js').Sample[]} samples
 */
export function lostLately(samples) {
  const last = samples.at(-1);
  if (!last) return 0;
  const first = samples.find(({ at }) => at >= last.at - LOSS_WINDOW) ?? last;
  return Math.max(0, (last.numbers['packetsLost'] ?? 0) - (first.numbers['packetsLost'] ?? 0));
}

/** The address of a stream's page. @param {string} name */
export const streamLink = (name) => `#/streams/${encodeURIComponent(name)}`;

/**
 * A part of the address as the user may have typed it.
 *
 * @param {string} part
 */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
