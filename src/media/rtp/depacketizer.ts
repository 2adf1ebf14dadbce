import type { RtpPacket } from './rtp-packet.ts';

/** One frame of any codec. */
export interface Frame {
  /** RTP timestamp, 32 bits. */
  readonly timestamp: number;
  /** A decoder can start here. */
  readonly keyFrame: boolean;
  /**
   * A frame since the last key frame is missing, or there was no key frame yet: this one cannot be decoded correctly.
   */
  readonly corrupted: boolean;
}

/** What a codec reads from the packets of one frame; the other fields are the same for all codecs. */
export type FrameContent<P extends Frame> = Omit<P, 'timestamp' | 'corrupted'>;

/**
 * Bounds memory. Far above any frame of a live stream: 4K at 100 Mbit/s with one key frame per second has 12 MB at
 * most.
 */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** A frame of 16 MB in packets of 1200 bytes. */
const MAX_FRAME_PACKETS = 14_000;
/** Most packets complete no frame. */
const NONE: readonly never[] = [];

/**
 * Assembles frames from RTP packets in order. A frame ends with the marker or before a new timestamp. Frames with
 * missing packets are dropped and counted. Packets may contain any bytes.
 */
export abstract class Depacketizer<P extends Frame> {
  #timestamp: number | undefined;
  #bytes = 0;
  #packets = 0;
  #damaged = false;
  #lossBefore = false;
  #corrupted = true;
  #damagedFrames = 0;

  /**
   * Whether a frame since the last key frame is missing, or there was no key frame yet: a key frame must be requested.
   */
  get corrupted(): boolean {
    return this.#corrupted;
  }

  /** Number of incomplete frames that were dropped. */
  get damagedFrames(): number {
    return this.#damagedFrames;
  }

  /**
   * Takes the next packet in order. Returns the frames that it completes: usually none or one, two if a marker was
   * missing.
   */
  push(packet: RtpPacket): readonly P[] {
    if (packet.payload.length === 0) return NONE;
    let frames: readonly P[] = NONE;
    if (this.#timestamp !== undefined && packet.timestamp !== this.#timestamp) frames = this.#finish();
    const first = this.#timestamp === undefined;
    const lossBefore = this.#lossBefore;
    this.#lossBefore = false;
    this.#timestamp = packet.timestamp;
    this.#bytes += packet.payload.length;
    this.#packets++;
    if (!this.#damaged) {
      const tooLarge = this.#bytes > MAX_FRAME_BYTES || this.#packets > MAX_FRAME_PACKETS;
      if (tooLarge || !this.add(packet.payload, first, lossBefore)) this.#damage();
    }
    if (!packet.marker) return frames;
    const finished = this.#finish();
    return frames.length > 0 ? [...frames, ...finished] : finished;
  }

  /** One or more packets are missing before the next one. */
  packetLost(): void {
    this.#lossBefore = true;
    this.#corrupted = true;
    if (this.#timestamp !== undefined) this.#damage();
  }

  /**
   * Adds a packet's payload, which is never empty, to the frame.
   *
   * @param first the first packet of the frame that was received
   * @param lossBefore packets are missing directly before it, so the frame may have begun earlier
   * @returns whether the frame can still become complete
   */
  protected abstract add(payload: Buffer, first: boolean, lossBefore: boolean): boolean;

  /** Builds the frame. `undefined` if it contains nothing to show, `false` if it is incomplete. */
  protected abstract complete(): FrameContent<P> | undefined | false;

  /** Discards what was added since the last frame. */
  protected abstract clear(): void;

  #damage(): void {
    this.#damaged = true;
    this.#corrupted = true;
    this.clear();
  }

  /** Ends the frame; empty if it is incomplete. */
  #finish(): readonly P[] {
    let frames: readonly P[] = NONE;
    const content = this.#damaged ? false : this.complete();
    if (content === false) {
      this.#damagedFrames++;
      this.#corrupted = true;
    } else if (content) {
      if (content.keyFrame) this.#corrupted = false;
      frames = [{ ...content, timestamp: this.#timestamp!, corrupted: this.#corrupted } as P];
    }
    this.clear();
    this.#timestamp = undefined;
    this.#bytes = 0;
    this.#packets = 0;
    this.#damaged = false;
    return frames;
  }
}
