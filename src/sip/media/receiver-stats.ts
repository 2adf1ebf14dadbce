import type { ReportBlock } from './rtcp.ts';

/** What a receiver report says of a source (RFC 3550, A.3 and A.8). */
export class ReceiverStats {
  readonly #clockRate: number;
  #ssrc: number | undefined;
  #first = 0;
  #highest = 0;
  #received = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #jitter = 0;
  #transit: number | undefined;
  #report: { readonly middle: number; readonly atMs: number } | undefined;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** A packet as the peer has sent it. */
  packet(ssrc: number, sequence: number, timestamp: number, nowMs: number): void {
    if (ssrc !== this.#ssrc) this.#restart(ssrc, sequence);
    const step = ((sequence - this.#highest + 0x8000) & 0xffff) - 0x8000;
    if (step > 0) this.#highest += step;
    this.#received++;
    const transit = (nowMs / 1000) * this.#clockRate - timestamp;
    if (this.#transit !== undefined) {
      const difference = Math.abs(transit - this.#transit);
      if (difference < this.#clockRate * 10) this.#jitter += (difference - this.#jitter) / 16;
    }
    this.#transit = transit;
  }

  senderReport(ntpSeconds: number, ntpFraction: number, nowMs: number): void {
    this.#report = { middle: (((ntpSeconds & 0xffff) << 16) | (ntpFraction >>> 16)) >>> 0, atMs: nowMs };
  }

  /** `undefined` before the first packet. */
  block(nowMs: number): ReportBlock | undefined {
    if (this.#ssrc === undefined) return undefined;
    const expected = this.#highest - this.#first + 1;
    const expectedNow = expected - this.#expectedBefore;
    const lostNow = expectedNow - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    return {
      ssrc: this.#ssrc,
      fractionLost: expectedNow > 0 && lostNow > 0 ? Math.min(255, Math.floor((lostNow * 256) / expectedNow)) : 0,
      lost: Math.max(0, Math.min(0x7fffff, expected - this.#received)),
      highest: this.#highest,
      jitter: Math.floor(this.#jitter),
      lastReport: this.#report?.middle ?? 0,
      delay: this.#report ? Math.floor(((nowMs - this.#report.atMs) * 65_536) / 1000) : 0,
    };
  }

  #restart(ssrc: number, sequence: number): void {
    this.#ssrc = ssrc;
    this.#first = sequence;
    this.#highest = sequence;
    this.#received = 0;
    this.#expectedBefore = 0;
    this.#receivedBefore = 0;
    this.#jitter = 0;
    this.#transit = undefined;
    this.#report = undefined;
  }
}
