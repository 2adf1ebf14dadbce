import type { RtpPacket } from './rtp-packet.ts';

/** One frame of any codec. */
export interface Frame {
  /** RTP timestamp, 32 bits. */
  readonly timestamp: number;
  /** A decoder can start here. */
  readonly keyFrame: boolean;
  /** A frame since the last key frame is missing (or there was none yet), so this one cannot be decoded rightly. */
  readonly corrupted: boolean;
}

/** What a codec finds in the packets of one frame; the rest is the same for all codecs. */
export type FrameContent<P extends Frame> = Omit<P, 'timestamp' | 'corrupted'>;

/** No frame of a live stream comes near it (4K at 100 Mbit/s with one key frame of a second's bits: 12 MB), and memory stays bounded. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** A frame of 16 MB in packets of 1200 bytes. */
const MAX_FRAME_PACKETS = 14_000;
/** Most packets complete no frame. */
const NONE: readonly never[] = [];

/**
 * Puts frames together from RTP packets in order. A frame ends with the marker or with a new timestamp; one from which packets are
 * missing is thrown away and counted. Packets may hold any bytes.
 */
export abstract class Depacketizer<P extends Frame> {
  #timestamp: number | undefined;
  #bytes = 0;
  #packets = 0;
  #damaged = false;
  #lossBefore = false;
  #corrupted = true;
  #damagedFrames = 0;

  /** Whether a frame since the last key frame is missing, or none has come yet: time to ask for a key frame. */
  get corrupted(): boolean {
    return this.#corrupted;
  }

  /** Frames that were begun and thrown away. */
  get damagedFrames(): number {
    return this.#damagedFrames;
  }

  /** Takes the next packet in order; returns the frames that it completes (mostly none or one, two when a marker was missing). */
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
   * Takes a packet's payload (never empty) into the frame.
   *
   * @param first the frame's first packet, as far as it is known
   * @param lossBefore packets are missing right before it, so it may not be the first after all
   * @returns whether the frame can still become whole
   */
  protected abstract add(payload: Buffer, first: boolean, lossBefore: boolean): boolean;

  /** The frame from what was added; `undefined` if it holds nothing to show. `false`: it is not whole. */
  protected abstract complete(): FrameContent<P> | undefined | false;

  /** Forgets what was added since the last frame. */
  protected abstract clear(): void;

  #damage(): void {
    this.#damaged = true;
    this.#corrupted = true;
    this.clear();
  }

  /** The frame, if it is one. */
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
