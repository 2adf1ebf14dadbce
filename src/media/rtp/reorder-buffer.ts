import type { RtpPacket } from './rtp-packet.ts';

/** Packets that never arrived, at this position in the order. */
export interface PacketLoss {
  /** Their number according to the sequence numbers; at least 1. */
  readonly lost: number;
}

export interface ReorderBufferOptions {
  /** Maximum number of packets that wait behind a gap; beyond it, the oldest gap is given up early. */
  readonly maxPackets: number;
}

export interface ReorderCounters {
  /** Packets that arrived after a later one and were put in order. */
  reordered: number;
  duplicates: number;
  /** Packets that arrived after they had been given up. */
  late: number;
  lost: number;
  /** Number of new sequences. */
  restarts: number;
}

/**
 * A packet this far from the expected number belongs to a new sequence, not to a burst of losses (MAX_DROPOUT of RFC
 * 3550, A.1).
 */
const MAX_DISTANCE = 3000;

/**
 * Puts packets in the order of their sequence numbers. It waits for missing packets, since retransmissions are late,
 * then gives up the gap and reports it in its position. Packets for which {@link passes} is true need no buffering; all
 * others are {@link push}ed. {@link pop} is called afterwards, and regularly while {@link held} is not 0.
 */
export class ReorderBuffer {
  readonly counters: ReorderCounters = { reordered: 0, duplicates: 0, late: 0, lost: 0, restarts: 0 };
  readonly #slots: Array<RtpPacket | undefined>;
  readonly #arrivals: Float64Array;
  readonly #mask: number;
  readonly #maxPackets: number;
  #ready: Array<RtpPacket | PacketLoss> = [];
  /** The expected sequence number, extended beyond 16 bits; `undefined` before the first packet. */
  #next: number | undefined;
  #highest = 0;
  #held = 0;
  #ssrc = 0;
  /** When the first packet behind the oldest gap arrived. */
  #gapSince = 0;
  /** The first packet of a possible new sequence; a second one near it confirms it. */
  #stray: RtpPacket | undefined;

  constructor(options: ReorderBufferOptions) {
    if (!(options.maxPackets >= 1 && options.maxPackets <= MAX_DISTANCE))
      throw new RangeError(`maxPackets must be 1 to ${MAX_DISTANCE}`);
    const size = 2 ** Math.ceil(Math.log2(options.maxPackets + 1));
    this.#maxPackets = options.maxPackets;
    this.#slots = new Array<RtpPacket | undefined>(size).fill(undefined);
    this.#arrivals = new Float64Array(size);
    this.#mask = size - 1;
  }

  /** Number of packets that wait behind a gap. */
  get held(): number {
    return this.#held;
  }

  /**
   * Whether a packet is the expected one and none waits, as with nearly all. It then counts as returned, and must not
   * be pushed.
   */
  passes(packet: RtpPacket): boolean {
    if (
      this.#held > 0 ||
      this.#next === undefined ||
      packet.ssrc !== this.#ssrc ||
      packet.sequenceNumber !== (this.#next & 0xffff)
    )
      return false;
    this.#stray = undefined;
    this.#highest = this.#next++;
    return true;
  }

  push(packet: RtpPacket, nowMs: number): void {
    if (this.#next === undefined) this.#begin(packet);
    else if (packet.ssrc !== this.#ssrc) this.#restart(packet);
    const distance = signed16(packet.sequenceNumber - this.#next!);
    if (Math.abs(distance) > MAX_DISTANCE) return this.#pushStray(packet, nowMs);
    this.#stray = undefined;
    if (distance < 0) {
      this.counters.late++;
      return;
    }
    this.#insert(packet, this.#next! + distance, nowMs);
  }

  /**
   * Returns what is due, in order. A gap that is older than `waitMs` is given up: a {@link PacketLoss} takes its place.
   */
  pop(nowMs: number, waitMs: number): Array<RtpPacket | PacketLoss> {
    while (this.#held > 0 && nowMs - this.#gapSince >= waitMs) this.#giveUpGap();
    const due = this.#ready;
    if (due.length > 0) this.#ready = [];
    return due;
  }

  #begin(packet: RtpPacket): void {
    this.#next = packet.sequenceNumber;
    this.#highest = packet.sequenceNumber - 1;
    this.#ssrc = packet.ssrc;
  }

  #insert(packet: RtpPacket, position: number, nowMs: number): void {
    while (position - this.#next! > this.#maxPackets) {
      if (this.#held > 0) this.#giveUpGap();
      else this.#lose(position - this.#next! - this.#maxPackets);
    }
    const slot = position & this.#mask;
    if (this.#slots[slot]) {
      this.counters.duplicates++;
      return;
    }
    if (position < this.#highest) this.counters.reordered++;
    this.#highest = Math.max(this.#highest, position);
    if (this.#held === 0) this.#gapSince = nowMs;
    this.#slots[slot] = packet;
    this.#arrivals[slot] = nowMs;
    this.#held++;
    this.#release();
  }

  /**
   * Moves the packets without a gap to the output. The wait for the next gap began when the first packet behind it
   * arrived.
   */
  #release(): void {
    let moved = false;
    for (;;) {
      const slot = this.#next! & this.#mask;
      const packet = this.#held > 0 ? this.#slots[slot] : undefined;
      if (!packet) break;
      this.#slots[slot] = undefined;
      this.#ready.push(packet);
      this.#held--;
      this.#next!++;
      moved = true;
    }
    if (moved && this.#held > 0) this.#gapSince = this.#earliestArrival();
  }

  #earliestArrival(): number {
    let earliest = Infinity;
    for (let position = this.#next! + 1; position <= this.#highest; position++) {
      const slot = position & this.#mask;
      if (this.#slots[slot] && this.#arrivals[slot]! < earliest) earliest = this.#arrivals[slot]!;
    }
    return earliest;
  }

  #giveUpGap(): void {
    let position = this.#next!;
    while (!this.#slots[position & this.#mask]) position++;
    this.#lose(position - this.#next!);
    this.#release();
  }

  #lose(count: number): void {
    this.#ready.push({ lost: count });
    this.counters.lost += count;
    this.#next! += count;
  }

  /**
   * Keeps a packet from far away; a second one near it means that the source has started a new sequence (RFC 3550,
   * A.1).
   */
  #pushStray(packet: RtpPacket, nowMs: number): void {
    const first = this.#stray;
    const distance = first ? signed16(packet.sequenceNumber - first.sequenceNumber) : 0;
    if (!first || distance === 0 || Math.abs(distance) > this.#maxPackets) {
      this.#stray = packet;
      return;
    }
    const [earlier, later] = distance > 0 ? [first, packet] : [packet, first];
    this.#restart(earlier);
    this.push(earlier, nowMs);
    this.push(later, nowMs);
  }

  /** Releases all packets, reports the break as a loss, and expects this packet next. */
  #restart(packet: RtpPacket): void {
    while (this.#held > 0) this.#giveUpGap();
    this.#ready.push({ lost: 1 });
    this.counters.lost++;
    this.counters.restarts++;
    this.#begin(packet);
  }
}

/** The distance between two 16-bit sequence numbers, −32768 to 32767. */
function signed16(difference: number): number {
  return (difference << 16) >> 16;
}
