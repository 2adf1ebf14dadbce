import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import type { ParameterSetStore } from '../media/codecs/avc-parameter-sets.ts';
import type { Logger } from '../observe/logger.ts';
import type { DataChannel } from './data-channel.ts';
import { wallClockDate } from '../runtime/wall-clock.ts';

export type AudioCodec = 'opus' | 'pcmu' | 'pcma';
export type VideoCodec = 'h264' | 'vp8' | 'vp9' | 'av1';

/**
 * An RTCP sender report of the publisher: one instant on its wall clock and on the track's RTP clock (RFC 3550, 6.4.1).
 */
export interface SenderReport {
  /** Milliseconds since 1900-01-01, on the publisher's clock. */
  readonly ntpMs: number;
  /** 32 bits, in units of the track's clock rate. */
  readonly rtpTimestamp: number;
}

export interface TrackSubscriptionEvents {
  /** An RTP packet, in order of arrival: retransmissions come late. The buffer belongs to the receiver. */
  rtp: [packet: Buffer];
  senderReport: [report: SenderReport];
  /** Packets are missing before the next one, which the sequence numbers do not show. */
  interrupted: [];
  /** The track has ended at its source; nothing follows. */
  ended: [];
}

/** A running copy of a track's packets. It costs CPU, so it exists only while the track is needed. */
export interface TrackSubscription extends EventEmitter<TrackSubscriptionEvents> {
  /** The publisher's round-trip time in milliseconds; 0 while unknown. */
  readonly roundTripMs: number;
  requestKeyFrame(): void;
  close(): void;
}

interface TrackBase {
  /** Hertz of the RTP timestamps. */
  readonly clockRate: number;
  /** Starts a flow of packets with sequence numbers of its own and the publisher's timestamps. */
  subscribe(): Promise<TrackSubscription>;
}
export interface AudioTrack extends TrackBase {
  readonly kind: 'audio';
  readonly codec: AudioCodec;
}
export interface VideoTrack extends TrackBase {
  readonly kind: 'video';
  readonly codec: VideoCodec;
  /** `false`: the publisher has agreed to neither way of requesting a key frame, PLI and FIR. */
  readonly takesRequests?: boolean;
  /** H.264: what is known of the publisher's parameter sets; readers of the track add those that they receive. */
  readonly parameterSets?: ParameterSetStore;
}

export interface PlaybackOptions {
  readonly offerSdp: string;
  /** IP address of the client. */
  readonly clientAddress?: string;
  readonly tcpOnly?: boolean;
  /** Accepts a data channel, and exchanges messages over it: see {@link Playback.dataChannel}. */
  readonly exchangeData?: boolean;
  readonly logger: Logger;
}

export interface PlaybackEvents {
  /** The player is connected: media flows, from a key frame on. */
  connected: [];
  /** The playback has ended by itself: the player has vanished or the publisher has stopped. Nothing follows. */
  lost: [reason: GatewayError];
}

/** A WebRTC player of one publisher's tracks. */
export interface Playback extends EventEmitter<PlaybackEvents> {
  readonly id: string;
  readonly answerSdp: string;
  /** Whether the player receives video: its offer asks for it, and the publisher sends it. */
  readonly hasVideo: boolean;
  /** If the offer has one, and `exchangeData` was set. */
  readonly dataChannel?: DataChannel | undefined;
  /** Idempotent; emits nothing. */
  close(): void;
}

/** What has arrived of a track since its beginning. */
export interface TrackMetrics {
  readonly payloadType: number;
  /** Bits per second at present. */
  readonly bitrate: number;
  readonly bytes: number;
  readonly packetsLost: number;
  /** Requests for lost packets, and for key frames, that were sent to the publisher. */
  readonly nackCount: number;
  /** Milliseconds; 0 or undefined while unknown. */
  readonly roundTripMs?: number;
  readonly pliCount: number;
}

export interface PublisherMetrics {
  readonly audio?: TrackMetrics;
  readonly video?: TrackMetrics;
}

/** The current sender of a stream: the tracks of one publish session. */
export interface Publisher {
  readonly id: string;
  readonly audio?: AudioTrack;
  readonly video?: VideoTrack;
  /**
   * Opens a player of the tracks. A source that cannot be played does not have this method.
   *
   * @throws {GatewayError} INVALID_SDP, NO_COMMON_CODECS, or STREAM_NOT_FOUND when the publisher has left meanwhile
   */
  play?(options: PlaybackOptions): Promise<Playback>;
  /** Reads the counters of the tracks, from sources that have them. */
  metrics?(): Promise<PublisherMetrics>;
  /**
   * Calls the listener whenever no frame has arrived for three seconds (without video: no audio). Each listener costs
   * processor time.
   */
  onStall?(listener: () => void): void;
  /** Whether nothing arrives from it for a moment: its client may be gone. Without the method this is never known. */
  isSilent?(): Promise<boolean>;
  /** Ends the publisher's session: the stream has ended for a reason that is not its own. */
  close(reason: GatewayError): void;
}

/** A message of the publishing page to the players of its stream: a track was muted, or application data. */
export interface StreamMessage {
  readonly type: string;
  readonly payload?: unknown;
}

/** Pixels. */
export interface FrameSize {
  readonly width: number;
  readonly height: number;
}

/** The time in which a lost publisher may return. */
export interface PublisherAbsence {
  readonly since: Date;
  /** When the stream ends unless the publisher has returned. */
  readonly until: Date;
}

export interface LiveStreamEvents {
  /** The stream has a publisher: the first one, or one that returned within the resume window. */
  published: [publisher: Publisher];
  /** The publisher was lost without a stop; the stream is held for its return. */
  lost: [absence: PublisherAbsence];
  /** The publisher sends a message to the players. */
  message: [message: StreamMessage];
  /** The size of the frames has become known or has changed. */
  resized: [size: FrameSize];
  /** The publisher's video cannot be used, or can be used again: see {@link LiveStream.videoProblem}. */
  videoProblem: [];
  /** The stream has ended; nothing follows. */
  ended: [reason: GatewayError];
}

/** One publisher's media under a name. It survives the loss of its publisher for a while, so that pushes continue. */
export class LiveStream extends EventEmitter<LiveStreamEvents> {
  readonly name: string;
  /** Only a publisher with the same key may continue the stream after a loss. */
  readonly resumeKey: string | undefined;
  readonly startedAt: Date;
  readonly #startedMs = performance.now();
  #publisher: Publisher | undefined;
  #videoCodec: VideoCodec | undefined;
  #frameSize: FrameSize | undefined;
  #videoProblem: GatewayError | undefined;
  #absence: PublisherAbsence | undefined;
  #ended: GatewayError | undefined;

  constructor(name: string, resumeKey: string | undefined) {
    super();
    this.setMaxListeners(0);
    this.name = name;
    this.resumeKey = resumeKey;
    this.startedAt = wallClockDate();
  }

  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** The current publisher; `undefined` while the stream is held for a lost one, and after the end. */
  get publisher(): Publisher | undefined {
    return this.#publisher;
  }

  /** The codec of the current publisher, or of the lost one while the stream is held. */
  get videoCodec(): VideoCodec | undefined {
    return this.#videoCodec;
  }

  /** Set while the stream is held for a lost publisher. */
  get absence(): PublisherAbsence | undefined {
    return this.#absence;
  }

  get endedBy(): GatewayError | undefined {
    return this.#ended;
  }

  /** Of the current publisher, as far as its frames have been read; a stream that is only played is not read. */
  get frameSize(): FrameSize | undefined {
    return this.#frameSize;
  }

  /** Called by readers of the frames for each size that they find. */
  resize(size: FrameSize): void {
    if (this.#frameSize?.width === size.width && this.#frameSize.height === size.height) return;
    this.#frameSize = size;
    this.emit('resized', size);
  }

  /** Why the video that arrives cannot be used; `undefined` otherwise, and as long as it is not read. */
  get videoProblem(): GatewayError | undefined {
    return this.#videoProblem;
  }

  /** Called by readers of the frames. */
  reportVideo(problem: GatewayError | undefined): void {
    if (this.#videoProblem?.message === problem?.message) return;
    this.#videoProblem = problem;
    this.emit('videoProblem');
  }

  /** Called only by the registry, like {@link lose} and {@link end}. */
  attach(publisher: Publisher): void {
    if (this.#ended) throw new Error(`stream ${this.name} has ended`);
    this.#publisher = publisher;
    this.#absence = undefined;
    this.#videoCodec = publisher.video?.codec;
    this.emit('published', publisher);
  }

  /** @param windowMs how long the stream is held, in milliseconds */
  lose(windowMs: number): void {
    if (this.#ended || !this.#publisher) return;
    this.#publisher = undefined;
    const since = wallClockDate();
    this.#absence = { since, until: new Date(since.getTime() + windowMs) };
    // The publisher that returns may send frames of another size, or none.
    this.#frameSize = undefined;
    this.reportVideo(undefined);
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
