import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';

export type AudioCodec = 'opus' | 'pcmu' | 'pcma';
export type VideoCodec = 'h264' | 'vp8' | 'vp9' | 'av1';

/** One RTCP sender report of the publisher: the same instant on its wall clock and on the track's RTP clock (RFC 3550, 6.4.1). */
export interface SenderReport {
  /** Milliseconds since 1900-01-01, on the publisher's clock. */
  readonly ntpMs: number;
  /** 32 bits, in units of the track's clock rate. */
  readonly rtpTimestamp: number;
}

export interface TrackSubscriptionEvents {
  /** One RTP packet in the order of arrival: retransmissions come late. The buffer belongs to the receiver. */
  rtp: [packet: Buffer];
  senderReport: [report: SenderReport];
  /** The track has ended at its source; nothing follows. */
  ended: [];
}

/** A running copy of a track's packets. Costs something, so it exists only while somebody needs the track. */
export interface TrackSubscription extends EventEmitter<TrackSubscriptionEvents> {
  /** The publisher's round-trip time in milliseconds; 0 while it is not known. */
  readonly roundTripMs: number;
  requestKeyFrame(): void;
  close(): void;
}

interface TrackBase {
  /** Hertz of the RTP timestamps. */
  readonly clockRate: number;
  /** Starts the flow of packets. Sequence numbers are the subscription's own, timestamps the publisher's. */
  subscribe(): Promise<TrackSubscription>;
}
export interface AudioTrack extends TrackBase {
  readonly kind: 'audio';
  readonly codec: AudioCodec;
}
export interface VideoTrack extends TrackBase {
  readonly kind: 'video';
  readonly codec: VideoCodec;
}

/** Whoever sends a stream at the moment: the tracks of one publish session. */
export interface Publisher {
  readonly id: string;
  readonly audio?: AudioTrack;
  readonly video?: VideoTrack;
  /** Asks the publisher to stop: the stream has ended for another reason than its own. */
  close(reason: GatewayError): void;
}

/** Something that the publishing page says of its stream: a track was muted, data for those who play it. */
export interface StreamMessage {
  readonly type: string;
  readonly payload?: unknown;
}

/** Pixels. */
export interface FrameSize {
  readonly width: number;
  readonly height: number;
}

/** A publisher that was lost and may still come back. */
export interface PublisherAbsence {
  readonly since: Date;
  /** When the stream ends unless the publisher is back. */
  readonly until: Date;
}

export interface LiveStreamEvents {
  /** A publisher sends: the first one, or one that came back within the window. */
  published: [publisher: Publisher];
  /** The publisher was lost without saying goodbye; the stream is held for it. */
  lost: [absence: PublisherAbsence];
  /** The publisher has something to say to those who play the stream. */
  message: [message: StreamMessage];
  /** The size of its frames is known now, or another one from now on. */
  resized: [size: FrameSize];
  /** The stream is over; nothing follows. */
  ended: [reason: GatewayError];
}

/** One publisher's media under a name. Survives the loss of its publisher for a while, so that pushes need not start anew. */
export class LiveStream extends EventEmitter<LiveStreamEvents> {
  readonly name: string;
  /** Who may continue the stream after a loss: the publisher with the same key. */
  readonly resumeKey: string | undefined;
  readonly startedAt: Date;
  #publisher: Publisher | undefined;
  #videoCodec: VideoCodec | undefined;
  #frameSize: FrameSize | undefined;
  #absence: PublisherAbsence | undefined;
  #ended: GatewayError | undefined;

  constructor(name: string, resumeKey: string | undefined) {
    super();
    this.setMaxListeners(0);
    this.name = name;
    this.resumeKey = resumeKey;
    this.startedAt = new Date();
  }

  /** The present publisher; `undefined` while the stream is held for a lost one, and at the end. */
  get publisher(): Publisher | undefined {
    return this.#publisher;
  }

  /** What the publisher sends, or has sent before it was lost: what a push needs does not change while the stream is held. */
  get videoCodec(): VideoCodec | undefined {
    return this.#videoCodec;
  }

  /** Set while the publisher is lost and its stream is held. */
  get absence(): PublisherAbsence | undefined {
    return this.#absence;
  }

  get endedBy(): GatewayError | undefined {
    return this.#ended;
  }

  /** Of the present publisher's, as far as somebody has read them: nobody does where the stream is only played. */
  get frameSize(): FrameSize | undefined {
    return this.#frameSize;
  }

  /** Called by whoever reads the frames, for each size that it finds. */
  resize(size: FrameSize): void {
    if (this.#frameSize?.width === size.width && this.#frameSize.height === size.height) return;
    this.#frameSize = size;
    this.emit('resized', size);
  }

  /** Called by the registry alone, as are {@link lose} and {@link end}. */
  attach(publisher: Publisher): void {
    if (this.#ended) throw new Error(`stream ${this.name} has ended`);
    this.#publisher = publisher;
    this.#absence = undefined;
    this.#videoCodec = publisher.video?.codec;
    this.emit('published', publisher);
  }

  /** @param windowMs for how long the stream is held, in milliseconds */
  lose(windowMs: number): void {
    if (this.#ended || !this.#publisher) return;
    this.#publisher = undefined;
    const since = new Date();
    this.#absence = { since, until: new Date(since.getTime() + windowMs) };
    // Whoever comes back may send other frames, or none.
    this.#frameSize = undefined;
    this.emit('lost', this.#absence);
  }

  end(reason: GatewayError): void {
    if (this.#ended) return;
    this.#ended = reason;
    const publisher = this.#publisher;
    this.#publisher = undefined;
    publisher?.close(reason);
    this.emit('ended', reason);
  }
}
