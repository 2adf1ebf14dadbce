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
 * What a packet says of its place: it begins a frame, it belongs to the frame before it, or either is possible.
 */
export type Place = 'begins' | 'continues' | 'either';

/**
 * Whether the marker bit ends frames. Some publishers set it on each slice, or on the first packet: that shows when a
 * packet belongs to a frame that a marker has ended.
 */
type Markers = 'unproven' | 'honest' | 'lying';

export interface DepacketizerOptions {
  readonly provesMarkers?: boolean;
}

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
 * Assembles frames from RTP packets in order. A frame ends before a packet with a new timestamp, before a packet that
 * begins another frame, and with the marker, at once unless the markers of this publisher have proved to be wrong.
 * Frames with missing packets are dropped and counted. Packets may contain any bytes.
 */
export abstract class Depacketizer<P extends Frame> {
  #timestamp: number | undefined;
  #bytes = 0;
  #packets = 0;
  #damaged = false;
  #lossBefore = false;
  #corrupted = true;
  #damagedFrames = 0;
  #markers: Markers;
  /** The marker has been seen in this frame. */
  #isMarked = false;
  /** The timestamp of the last frame, if the marker ended it. */
  #endedByMarker: number | undefined;

  /**
   * @param options.provesMarkers the first frame waits for the packet after it, which shows whether markers are right:
   *   otherwise the first frame is lost if they are not
   */
  constructor({ provesMarkers = false }: DepacketizerOptions = {}) {
    this.#markers = provesMarkers ? 'unproven' : 'honest';
  }

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

  /** Whether a frame that may be complete waits for the next packet: see {@link flush}. */
  get isWaiting(): boolean {
    return this.#timestamp !== undefined && !this.#damaged && !this.isOpen;
  }

  /**
   * Takes the next packet in order. Returns the frames that it completes: usually none or one, two if a marker was
   * missing.
   */
  push(packet: RtpPacket): readonly P[] {
    if (packet.payload.length === 0) return NONE;
    const frames = this.#separate(packet);
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
    if (!packet.marker || !this.#endsWithMarker()) return frames;
    const finished = this.#finish(true);
    return frames.length > 0 ? [...frames, ...finished] : finished;
  }

  /** One or more packets are missing before the next one. Returns the frame before them, if that is complete. */
  packetLost(): readonly P[] {
    const frames = this.#isMarked && this.#markers === 'unproven' ? this.#finish(false) : NONE;
    this.#lossBefore = true;
    this.#corrupted = true;
    this.#endedByMarker = undefined;
    if (this.#timestamp === undefined) this.clear(true);
    else this.#damage();
    return frames;
  }

  /** Ends the frame that waits for the next packet: none has come for some time. */
  flush(): readonly P[] {
    return this.isWaiting ? this.#finish(true) : NONE;
  }

  /** Parts of the present frame are missing. */
  protected get isDamaged(): boolean {
    return this.#damaged;
  }

  /** What follows cannot be decoded before the next key frame. */
  protected missesFrames(): void {
    this.#corrupted = true;
  }

  /** What a packet says of its place that has the timestamp of the present frame, or of one that a marker has ended. */
  protected abstract placeOf(payload: Buffer): Place;

  /**
   * Adds a packet's payload, which is never empty, to the frame.
   *
   * @param first the first packet of the frame that was received
   * @param lossBefore packets are missing directly before it, so the frame may have begun earlier
   * @returns whether the frame can still become complete
   */
  protected abstract add(payload: Buffer, first: boolean, lossBefore: boolean): boolean;

  /** Whether the last packet is continued in the next one: the frame has not ended, whatever its marker says. */
  protected abstract get isOpen(): boolean;

  /** Whether the packets themselves say that the frame is complete, or there is none yet: the marker needs no proof. */
  protected abstract get endIsKnown(): boolean;

  /** Builds the frame. `undefined` if it contains nothing to show, `false` if it is incomplete. */
  protected abstract complete(): FrameContent<P> | undefined | false;

  /**
   * Discards what was added since the last frame.
   *
   * @param incomplete packets are missing: nothing of it belongs to the next frame
   */
  protected abstract clear(incomplete: boolean): void;

  /** Ends the frame before this packet, and learns from it whether the last marker was right. */
  #separate({ timestamp, payload }: RtpPacket): readonly P[] {
    const isNew = timestamp !== (this.#timestamp ?? this.#endedByMarker);
    const place = isNew ? 'begins' : this.placeOf(payload);
    const wasMarked = this.#isMarked || this.#endedByMarker !== undefined;
    if (wasMarked && !this.#damaged && place === 'begins' && this.#markers === 'unproven') this.#markers = 'honest';
    if (this.#timestamp !== undefined) {
      if (place === 'continues' && this.#isMarked) this.#doubt();
      if (place !== 'begins') return NONE;
      // What is missing may be the beginning of the next frame.
      if (this.#damaged && !isNew) this.#lossBefore = true;
      return this.#finish(false);
    }
    if (place === 'continues' && this.#endedByMarker !== undefined) {
      // The frame was passed on without this part.
      this.#doubt();
      this.#timestamp = timestamp;
      this.#damage();
    }
    return NONE;
  }

  #doubt(): void {
    this.#markers = 'lying';
    this.#isMarked = false;
    this.#endedByMarker = undefined;
  }

  #endsWithMarker(): boolean {
    if (!this.#damaged && this.isOpen) {
      this.#doubt();
      return false;
    }
    if (this.#markers === 'honest' || (!this.#damaged && this.endIsKnown)) return true;
    this.#isMarked = true;
    return false;
  }

  #damage(): void {
    this.#damaged = true;
    this.#corrupted = true;
    this.clear(true);
  }

  /** Ends the frame; empty if it is incomplete. */
  #finish(byMarker: boolean): readonly P[] {
    let frames: readonly P[] = NONE;
    const content = this.#damaged ? false : this.complete();
    if (content === false) {
      this.#damagedFrames++;
      this.#corrupted = true;
    } else if (content) {
      if (content.keyFrame) this.#corrupted = false;
      frames = [{ ...content, timestamp: this.#timestamp!, corrupted: this.#corrupted } as P];
    }
    this.clear(this.#damaged);
    this.#endedByMarker = byMarker && content !== undefined ? this.#timestamp : undefined;
    this.#timestamp = undefined;
    this.#isMarked = false;
    this.#bytes = 0;
    this.#packets = 0;
    this.#damaged = false;
    return frames;
  }
}
