/** Jumps of the sequence number up to this one are losses; more is another sequence (RFC 3550, A.1). */
const MAX_JUMP = 3000;
const MAX_LATE = 500;

export interface RewriterOptions {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly clockRate: number;
}

/**
 * Gives the packets of a peer one SSRC, one payload type and one row of numbers and timestamps, whatever the peer
 * changes: SSRC and timestamps often do after a transfer or a hold.
 */
export class RtpRewriter {
  readonly #options: RewriterOptions;
  #ssrc: number | undefined;
  #sequenceOffset = 0;
  #timestampOffset = 0;
  /** Of the last packet in order, as it was sent on. */
  #lastSequence = 0;
  #lastTimestamp = 0;
  #lastMs = 0;
  /** The number that must follow for a jump to be a new sequence. */
  #suspect: number | undefined;
  /** How often the peer has changed its source. */
  changes = 0;

  constructor(options: RewriterOptions) {
    this.#options = options;
  }

  /** The SSRC of the peer. */
  get remoteSsrc(): number | undefined {
    return this.#ssrc;
  }

  /**
   * Changes a packet in place.
   *
   * @returns whether it is to be used
   */
  rewrite(packet: Buffer, nowMs: number): boolean {
    const ssrc = packet.readUInt32BE(8);
    const sequence = packet.readUInt16BE(2);
    const timestamp = packet.readUInt32BE(4);
    if (this.#ssrc === undefined) this.#begin(ssrc, 0, 0);
    else if (ssrc !== this.#ssrc) this.#change(ssrc, sequence, timestamp, nowMs);
    const step = signed16(sequence + this.#sequenceOffset - this.#lastSequence);
    if (this.#lastMs > 0 && (step > MAX_JUMP || step < -MAX_LATE)) {
      const isProven = this.#suspect === sequence;
      this.#suspect = (sequence + 1) & 0xffff;
      if (!isProven) return false;
      this.#change(ssrc, sequence, timestamp, nowMs);
    }
    this.#suspect = undefined;
    const [newSequence, newTimestamp] = [
      (sequence + this.#sequenceOffset) & 0xffff,
      (timestamp + this.#timestampOffset) >>> 0,
    ];
    if (this.#lastMs === 0 || signed16(newSequence - this.#lastSequence) > 0) {
      this.#lastSequence = newSequence;
      this.#lastTimestamp = newTimestamp;
      this.#lastMs = nowMs;
    }
    packet[1] = (packet[1]! & 0x80) | this.#options.payloadType;
    packet.writeUInt16BE(newSequence, 2);
    packet.writeUInt32BE(newTimestamp, 4);
    packet.writeUInt32BE(this.#options.ssrc, 8);
    return true;
  }

  /** A timestamp of a sender report of the peer, as the packets have it now. `undefined`: of another source. */
  timestampOf(ssrc: number, timestamp: number): number | undefined {
    return ssrc === this.#ssrc ? (timestamp + this.#timestampOffset) >>> 0 : undefined;
  }

  #begin(ssrc: number, sequenceOffset: number, timestampOffset: number): void {
    this.#ssrc = ssrc;
    this.#sequenceOffset = sequenceOffset;
    this.#timestampOffset = timestampOffset;
  }

  /** Goes on after the time that has passed. One number is left out: it shows readers that something is missing. */
  #change(ssrc: number, sequence: number, timestamp: number, nowMs: number): void {
    this.changes++;
    const elapsed = Math.round(((nowMs - this.#lastMs) / 1000) * this.#options.clockRate);
    this.#begin(ssrc, this.#lastSequence + 2 - sequence, this.#lastTimestamp + elapsed - timestamp);
  }
}

/** The difference of two 16-bit numbers, from -32768 to 32767. */
const signed16 = (difference: number): number => ((difference + 0x8000) & 0xffff) - 0x8000;
