/** @typedef {import('../client/stats.js').PublicationStats} PublicationStats */

/**
 * What was sent in the last second, in words.
 *
 * @param {PublicationStats} stats
 * @returns {{ tone: 'good' | 'warn' | 'bad', text: string }}
 */
export function uplinkWords({ bitrate, loss, roundTripMs, quality, limit }) {
  const figures = `${Math.round(bitrate)} kbit/s, ${Math.round(loss * 100)} % lost, round trip ${Math.round(roundTripMs)} ms`;
  const tone = quality === 'good' ? 'good' : quality === 'fair' ? 'warn' : 'bad';
  return { tone, text: WORDS[limit](figures, quality) };
}

/** @type {Record<PublicationStats['limit'], (figures: string, quality: PublicationStats['quality']) => string>} */
const WORDS = {
  '': (figures) => `Uplink: good (${figures}).`,
  nothing: (figures) => `Uplink: nothing is sent (${figures}).`,
  loss: (figures, quality) =>
    quality === 'poor'
      ? `Uplink: bad, packets are lost (${figures}). Use a cable.`
      : `Uplink: viewers may see the loss (${figures}).`,
  delay: (figures) => `Uplink: the way to the gateway is long (${figures}).`,
  bandwidth: (figures) =>
    `Uplink: too slow for this resolution, so the browser sends less (${figures}). Choose a lower one.`,
  cpu: (figures) => `This computer is too slow for this resolution (${figures}). Choose a lower one.`,
};
