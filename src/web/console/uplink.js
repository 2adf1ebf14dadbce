/**
 * @typedef {object} UplinkSample counters and figures of a connection at one time
 * @property {number} at milliseconds
 * @property {number} bytes sent
 * @property {number} lost share of packets, 0 to 1
 * @property {number} roundTripMs
 * @property {string} limitation why the browser sends less than it could: `none`, `bandwidth`, `cpu`, `other`
 *
 * @typedef {object} UplinkVerdict
 * @property {'good' | 'warn' | 'bad'} tone
 * @property {string} text
 */

/** Shares of lost packets from which viewers see it, and from which the stream is not worth watching. */
const [VISIBLE_LOSS, BAD_LOSS] = [0.02, 0.1];
/** Milliseconds. */
const SLOW_ROUND_TRIP = 300;

/**
 * The uplink in words.
 *
 * @param {UplinkSample} before
 * @param {UplinkSample} now
 * @returns {UplinkVerdict}
 */
export function uplinkVerdict(before, now) {
  const kilobits = Math.round((8 * (now.bytes - before.bytes)) / Math.max(1, now.at - before.at));
  const figures = `${kilobits} kbit/s, ${Math.round(now.lost * 100)} % lost, round trip ${Math.round(now.roundTripMs)} ms`;
  if (kilobits === 0) return { tone: 'bad', text: `Uplink: nothing is sent (${figures}).` };
  if (now.lost >= BAD_LOSS) return { tone: 'bad', text: `Uplink: bad, packets are lost (${figures}). Use a cable.` };
  if (now.limitation === 'bandwidth')
    return {
      tone: 'warn',
      text: `Uplink: too slow for this resolution, so the browser sends less (${figures}). Choose a lower one.`,
    };
  if (now.limitation === 'cpu')
    return { tone: 'warn', text: `This computer is too slow for this resolution (${figures}). Choose a lower one.` };
  if (now.lost >= VISIBLE_LOSS) return { tone: 'warn', text: `Uplink: viewers may see the loss (${figures}).` };
  if (now.roundTripMs >= SLOW_ROUND_TRIP)
    return { tone: 'warn', text: `Uplink: the way to the gateway is long (${figures}).` };
  return { tone: 'good', text: `Uplink: good (${figures}).` };
}

/**
 * @param {RTCStatsReport} report of a connection that sends
 * @param {number} at
 * @returns {UplinkSample}
 */
export function uplinkSample(report, at) {
  const sample = { at, bytes: 0, lost: 0, roundTripMs: 0, limitation: 'none' };
  report.forEach((entry) => {
    if (entry.type === 'outbound-rtp') {
      sample.bytes += entry.bytesSent ?? 0;
      if (entry.kind === 'video') sample.limitation = entry.qualityLimitationReason ?? 'none';
    } else if (entry.type === 'remote-inbound-rtp') {
      sample.lost = Math.max(sample.lost, entry.fractionLost ?? 0);
      sample.roundTripMs = Math.max(sample.roundTripMs, 1000 * (entry.roundTripTime ?? 0));
    }
  });
  return sample;
}
