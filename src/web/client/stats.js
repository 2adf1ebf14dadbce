/**
 * @typedef {'good' | 'fair' | 'poor'} Quality
 *
 * @typedef {object} PublicationStats what was sent in the last second
 * @property {number} bitrate kilobits per second, audio and video
 * @property {number} fps 0 without video
 * @property {number} width 0 without video
 * @property {number} height
 * @property {number} loss share of the packets that the gateway has not received, 0 to 1
 * @property {number} roundTripMs 0 while it is not known
 * @property {Quality} quality
 * @property {'' | 'nothing' | 'loss' | 'delay' | 'bandwidth' | 'cpu'} limit what keeps the quality down; `nothing`: no
 * media is sent
 */

/** Above these, viewers notice: packets are sent again, and the picture freezes for moments. */
const FAIR = { loss: 0.02, roundTripMs: 300 };
const POOR = { loss: 0.08, roundTripMs: 800 };

/** Readings of a connection, one in each second, during which browsers find out how much the network carries. */
const PROBING = 8;

/** Turns the reports of a connection into {@link PublicationStats}. */
export class StatsReader {
  /** @type {{ bytes: number, at: number } | undefined} */
  #last;
  /** Readings of this connection. */
  #readings = 0;

  /**
   * @param {Iterable<any>} reports of `RTCPeerConnection.getStats()`
   * @param {number} now milliseconds
   * @returns {PublicationStats | undefined} undefined for the first reports of a connection
   */
  read(reports, now) {
    const sum = { bytes: 0, fps: 0, width: 0, height: 0, loss: 0, roundTripMs: 0, limited: '' };
    for (const report of reports) {
      if (report.type === 'outbound-rtp') {
        sum.bytes += report.bytesSent ?? 0;
        if (report.kind !== 'video') continue;
        Object.assign(sum, { fps: report.framesPerSecond ?? 0, limited: report.qualityLimitationReason ?? '' });
        Object.assign(sum, { width: report.frameWidth ?? 0, height: report.frameHeight ?? 0 });
      } else if (report.type === 'remote-inbound-rtp') {
        sum.loss = Math.max(sum.loss, report.fractionLost ?? 0);
        sum.roundTripMs = Math.max(sum.roundTripMs, (report.roundTripTime ?? 0) * 1000);
      }
    }
    const { bytes, limited, ...seen } = sum;
    const last = this.#last;
    this.#last = { bytes, at: now };
    // A new connection counts from zero.
    if (!last || bytes < last.bytes) this.#readings = 0;
    if (this.#readings++ === 0 || !last || now <= last.at) return undefined;
    const bitrate = ((bytes - last.bytes) * 8) / (now - last.at);
    const isProbing = limited === 'bandwidth' && this.#readings <= PROBING;
    return { bitrate, ...seen, ...verdict({ bitrate, limited: isProbing ? '' : limited, ...seen }) };
  }
}

/**
 * @param {{ bitrate: number, loss: number, roundTripMs: number, limited: string }} sent
 * @returns {Pick<PublicationStats, 'quality' | 'limit'>}
 */
function verdict({ bitrate, loss, roundTripMs, limited }) {
  if (bitrate === 0) return { quality: 'poor', limit: 'nothing' };
  if (loss > POOR.loss) return { quality: 'poor', limit: 'loss' };
  if (roundTripMs > POOR.roundTripMs) return { quality: 'poor', limit: 'delay' };
  if (loss > FAIR.loss) return { quality: 'fair', limit: 'loss' };
  if (roundTripMs > FAIR.roundTripMs) return { quality: 'fair', limit: 'delay' };
  if (limited === 'bandwidth' || limited === 'cpu') return { quality: 'fair', limit: limited };
  return { quality: 'good', limit: '' };
}
