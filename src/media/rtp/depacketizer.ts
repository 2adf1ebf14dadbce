import type { RtpPacket } from './rtp-packet.ts';

/** One picture of any codec. */
export interface Picture {
  /** RTP timestamp, 32 bits. */
  readonly timestamp: number;
  /** A decoder can start here. */
  readonly keyFrame: boolean;
  /** A picture since the last key frame is missing (or there was none yet), so this one cannot be decoded rightly. */
  readonly corrupted: boolean;
}

/** What a codec finds in the packets of one picture; the rest is the same for all codecs. */
export type PictureContent<P extends Picture> = Omit<P, 'timestamp' | 'corrupted'>;

/** No picture of a live stream comes near it (4K at 100 Mbit/s with one key frame of a second's bits: 12 MB), and memory stays bounded. */
const MAX_PICTURE_BYTES = 16 * 1024 * 1024;
/** A picture of 16 MB in packets of 1200 bytes. */
const MAX_PICTURE_PACKETS = 14_000;
/** Most packets complete no picture. */
const NONE: readonly never[] = [];

/**
 * Puts pictures together from RTP packets in order. A picture ends with the marker or with a new timestamp; one from which packets are
 * missing is thrown away and counted. Packets may hold any bytes.
 */
export abstract class Depacketizer<P extends Picture> {
  #timestamp: number | undefined;
  #bytes = 0;
  #packets = 0;
  #damaged = false;
  #lossBefore = false;
  #corrupted = true;
  #damagedPictures = 0;

  /** Whether a picture since the last key frame is missing, or none has come yet: time to ask for a key frame. */
  get corrupted(): boolean {
    return this.#corrupted;
  }

  /** Pictures that were begun and thrown away. */
  get damagedPictures(): number {
    return this.#damagedPictures;
  }

  /** Takes the next packet in order; returns the pictures that it completes (mostly none or one, two when a marker was missing). */
  push(packet: RtpPacket): readonly P[] {
    if (packet.payload.length === 0) return NONE;
    let pictures: readonly P[] = NONE;
    if (this.#timestamp !== undefined && packet.timestamp !== this.#timestamp) pictures = this.#finish();
    const first = this.#timestamp === undefined;
    const lossBefore = this.#lossBefore;
    this.#lossBefore = false;
    this.#timestamp = packet.timestamp;
    this.#bytes += packet.payload.length;
    this.#packets++;
    if (!this.#damaged) {
      const tooLarge = this.#bytes > MAX_PICTURE_BYTES || this.#packets > MAX_PICTURE_PACKETS;
      if (tooLarge || !this.add(packet.payload, first, lossBefore)) this.#damage();
    }
    if (!packet.marker) return pictures;
    const finished = this.#finish();
    return pictures.length > 0 ? [...pictures, ...finished] : finished;
  }

  /** One or more packets are missing before the next one. */
  packetLost(): void {
    this.#lossBefore = true;
    this.#corrupted = true;
    if (this.#timestamp !== undefined) this.#damage();
  }

  /**
   * Takes a packet's payload (never empty) into the picture.
   *
   * @param first the picture's first packet, as far as it is known
   * @param lossBefore packets are missing right before it, so it may not be the first after all
   * @returns whether the picture can still become whole
   */
  protected abstract add(payload: Buffer, first: boolean, lossBefore: boolean): boolean;

  /** The picture from what was added; `undefined` if it holds nothing to show. `false`: it is not whole. */
  protected abstract complete(): PictureContent<P> | undefined | false;

  /** Forgets what was added since the last picture. */
  protected abstract clear(): void;

  #damage(): void {
    this.#damaged = true;
    this.#corrupted = true;
    this.clear();
  }

  /** The picture, if it is one. */
  #finish(): readonly P[] {
    let pictures: readonly P[] = NONE;
    const content = this.#damaged ? false : this.complete();
    if (content === false) {
      this.#damagedPictures++;
      this.#corrupted = true;
    } else if (content) {
      if (content.keyFrame) this.#corrupted = false;
      pictures = [{ ...content, timestamp: this.#timestamp!, corrupted: this.#corrupted } as P];
    }
    this.clear();
    this.#timestamp = undefined;
    this.#bytes = 0;
    this.#packets = 0;
    this.#damaged = false;
    return pictures;
  }
}
