import { NO_DETAILS, type PacketDetails, type TrackClock } from '../media/rtp/media-clock.ts';
import { ReorderBuffer } from '../media/rtp/reorder-buffer.ts';
import { parseRtpPacket, type RtpPacket } from '../media/rtp/rtp-packet.ts';
import type { AudioTrack, TrackSubscription, VideoTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';

/** Maximum number of packets behind a gap: a third of a second of 1080p at 8 Mbit/s. */
const MAX_PACKETS_HELD = 512;
/**
 * A loss is noticed with the next packet, one video frame or 40 ms of audio later; the retransmission arrives one round
 * trip after that. It may be lost as well: mediasoup requests it again after a round trip, checking every 40 ms. Two
 * attempts take 80 ms and two round trips.
 */
const TWO_TRIES_MS = 80;
/** The longest delay that viewers accept. Audio has to wait as long: see `audio-line.ts`. */
export const MAX_REORDER_WAIT_MS = 400;
/** A typical round trip, used until it is measured, which takes some seconds. */
const ASSUMED_ROUND_TRIP_MS = 50;

/** How long to wait for a missing packet, for a publisher's round trip; 0: not known yet. */
export const reorderWaitMs = (roundTripMs: number): number =>
  Math.min(MAX_REORDER_WAIT_MS, TWO_TRIES_MS + 2 * (roundTripMs || ASSUMED_ROUND_TRIP_MS));

export interface TrackInputHandlers {
  packet(packet: RtpPacket, nowMs: number): void;
  /**
   * What a packet says of its time, besides its timestamp. `undefined`: it says nothing, and another packet of the same
   * frame does. Default: no details.
   */
  details?(packet: RtpPacket): PacketDetails | undefined;
  /** Packets are missing at this position. */
  lost(): void;
}

/** One track of the current publisher: its packets in order, and its clock. */
export class TrackInput {
  readonly clock: TrackClock;
  readonly #subscription: TrackSubscription;
  readonly #reorder = new ReorderBuffer({ maxPackets: MAX_PACKETS_HELD });
  readonly #handlers: TrackInputHandlers;
  readonly #now: () => number;
  /** Packets after a pause, until the clock has decided where they belong. */
  #undecided: RtpPacket[] = [];
  #closed = false;

  private constructor(
    subscription: TrackSubscription,
    clock: TrackClock,
    handlers: TrackInputHandlers,
    now: () => number,
  ) {
    this.#subscription = subscription;
    this.clock = clock;
    this.#handlers = handlers;
    this.#now = now;
    subscription.on('rtp', (datagram) => this.#take(datagram));
    subscription.on('interrupted', () => {
      this.#release(now());
      handlers.lost();
    });
    subscription.on('senderReport', (report) => clock.senderReport(report, now()));
  }

  /** @param now the monotonic clock, in milliseconds */
  static async create(
    track: AudioTrack | VideoTrack,
    clock: TrackClock,
    handlers: TrackInputHandlers,
    now: () => number = tickMs,
  ): Promise<TrackInput> {
    return new TrackInput(await track.subscribe(), clock, handlers, now);
  }

  requestKeyFrame(): void {
    if (!this.#closed) this.#subscription.requestKeyFrame();
  }

  /** Gives up gaps that have waited long enough; called regularly. */
  poll(nowMs: number): void {
    if (this.#closed) return;
    if (this.#undecided.length > 0 && !this.clock.isUndecided(nowMs)) this.#release(nowMs);
    if (this.#reorder.held > 0) this.#handleDue(nowMs);
  }

  close(): void {
    this.#closed = true;
    this.#subscription.removeAllListeners();
    this.#subscription.close();
  }

  #take(datagram: Buffer): void {
    const packet = parseRtpPacket(datagram);
    if (!packet) return;
    const nowMs = this.#now();
    const { timestamp, sequenceNumber } = packet;
    const details = this.#handlers.details ? this.#handlers.details(packet) : NO_DETAILS;
    if (details) this.clock.arrival(timestamp, nowMs, details, sequenceNumber);
    else this.clock.skip(sequenceNumber);
    if (this.clock.isUndecided(nowMs) && this.#undecided.length < MAX_PACKETS_HELD) {
      this.#undecided.push(packet);
      return;
    }
    if (this.#undecided.length > 0) this.#release(nowMs);
    this.#order(packet, nowMs);
  }

  #release(nowMs: number): void {
    const packets = this.#undecided;
    this.#undecided = [];
    for (const packet of packets) this.#order(packet, nowMs);
  }

  #order(packet: RtpPacket, nowMs: number): void {
    if (this.#reorder.passes(packet)) return this.#handlers.packet(packet, nowMs);
    this.#reorder.push(packet, nowMs);
    this.#handleDue(nowMs);
  }

  #handleDue(nowMs: number): void {
    for (const item of this.#reorder.pop(nowMs, reorderWaitMs(this.#subscription.roundTripMs))) {
      if ('lost' in item) this.#handlers.lost();
      else this.#handlers.packet(item, nowMs);
    }
  }
}
