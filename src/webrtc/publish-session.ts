import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type {
  AudioCodec,
  Playback,
  PlaybackOptions,
  Publisher,
  PublisherMetrics,
  VideoCodec,
} from '../streams/live-stream.ts';
import type { DataChannel } from '../streams/data-channel.ts';
import { DataLink } from './data-link.ts';
import {
  ProducerTrack,
  type ProducerAudioTrack,
  type ProducerForm,
  type ProducerVideoTrack,
} from './producer-track.ts';
import { DEFAULT_H264_PROFILE, routableProfile } from './codecs.ts';
import { PlaySession } from './play-session.ts';
import type { OfferedMedia } from './offered-media.ts';
import { parseOffer, type Offer } from './sdp.ts';
import { buildAnswer, VIDEO_START_BITRATE } from './sdp-answer.ts';
import { buildIceFragment, type IceCredentials } from './sdp-fragment.ts';
import { watchParameterSets } from './parameter-set-watch.ts';
import { isSilent } from './silent-transport.ts';
import { watchSources } from './source-watch.ts';
import { parameterSetsOf } from './sprop.ts';
import { watchStalls } from './stall-watch.ts';
import { TransportLink } from './transport-link.ts';
import { failureOf } from './worker-failure.ts';
import type { IngestWorker, WorkerPool } from './worker-pool.ts';

export interface PublishSessionOptions {
  readonly pool: WorkerPool;
  readonly offerSdp: string;
  readonly logger: Logger;
  /** IP address of the client. */
  readonly clientAddress?: string;
  /** Kilobits per second of video; 0 or undefined leaves it to the browser and the network. */
  readonly minBitrate?: number;
  readonly maxBitrate?: number;
  /** Milliseconds of audio in a packet; undefined leaves it to the publisher. */
  readonly audioPacketMs?: number;
  /** The media is sent over TCP. */
  readonly tcpOnly?: boolean;
  /** Refuses an offer of which a part would be rejected, as WHIP requires. */
  readonly complete?: boolean;
  /** Accepts a section for data channels. */
  readonly dataChannel?: boolean;
  /** Messages are exchanged over data channels: see {@link PublishSession.dataChannel}. Otherwise they are dropped. */
  readonly exchangeData?: boolean;
}

export interface PublishSessionEvents {
  /** ICE and DTLS are up: media can flow. */
  connected: [];
  /** Packets arrive that belong to no track, so that the video has none; `undefined`: it has some again. */
  unmatched: [problem: GatewayError | undefined];
  /** The publisher has vanished or never connected. The session closes itself. */
  lost: [reason: GatewayError];
}

/**
 * Maximum bits per second when the publisher requests no limit: far above 1080p60 and 4K30 of any platform, so that it
 * only stops a publisher that would fill the line.
 */
const DEFAULT_MAX_BITRATE = 30_000_000;
/** Audio and retransmissions, which the bitrate of a page does not include. Bits per second. */
const BITRATE_HEADROOM = 500_000;
/**
 * Minimum time between two key frame requests to a publisher, in milliseconds. Destinations that join together share
 * one key frame, and one that joins after another still starts within 300 ms.
 */
const KEY_FRAME_REQUEST_DELAY_MS = 300;
/** A codec of which mediasoup reads nothing without a header extension: see {@link ProducerForm}. */
const OPAQUE_CODEC = 'video/AV1';

/**
 * One publisher's WebRTC session, for every kind of signalling: an offer in, an answer out, then tracks to subscribe
 * to.
 */
export class PublishSession extends EventEmitter<PublishSessionEvents> implements Publisher {
  readonly id: string;
  readonly answerSdp: string;
  readonly audio: ProducerAudioTrack | undefined;
  readonly video: ProducerVideoTrack | undefined;
  /** If the offer has one, and `exchangeData` was set. */
  readonly dataChannel: DataChannel | undefined;
  /** Carries the session and the players of its stream. */
  readonly worker: IngestWorker;
  readonly #link: TransportLink;
  readonly #stopWatching: () => void;
  #remoteIce: IceCredentials;
  #closed = false;

  private constructor(parts: {
    id: string;
    remoteIce: IceCredentials;
    worker: IngestWorker;
    link: TransportLink;
    answerSdp: string;
    audio: ProducerAudioTrack | undefined;
    video: ProducerVideoTrack | undefined;
    dataChannel: DataChannel | undefined;
    hasData: boolean;
    logger: Logger;
  }) {
    super();
    this.id = parts.id;
    this.worker = parts.worker;
    this.#link = parts.link;
    this.#remoteIce = parts.remoteIce;
    this.answerSdp = parts.answerSdp;
    this.audio = parts.audio;
    this.video = parts.video;
    this.dataChannel = parts.dataChannel;
    this.#link.on('connected', () => this.emit('connected'));
    this.#link.on('lost', (reason) => this.#lose(reason));
    this.#stopWatching = watchSources({
      tracks: [parts.audio, parts.video].filter((track) => track !== undefined),
      transport: parts.link.transport,
      survey: () => parts.worker.unknownPackets.survey(),
      // Without audio a stream goes on with silence; the log says it.
      onUnmatched: (kind, problem) => kind === 'video' && this.emit('unmatched', problem),
      onLost: (reason) => this.#lose(reason),
      hasData: parts.hasData,
      logger: parts.logger,
    });
  }

  /** @throws {GatewayError} INVALID_SDP, NO_COMMON_CODECS, LIMIT_REACHED, or as {@link WorkerPool.pick} */
  static async create(options: PublishSessionOptions): Promise<PublishSession> {
    const worker = options.pool.pick();
    worker.pending.check(options.clientAddress);
    const offer = parseOffer(options.offerSdp, {
      offerer: 'sends',
      congestionFeedback: worker.congestionFeedback,
      complete: options.complete,
      dataChannel: options.dataChannel,
    });
    const id = randomUUID();
    const logger = options.logger.child({ publishSession: id });
    let link: TransportLink | undefined;
    try {
      link = await TransportLink.create({
        worker,
        router: worker.router,
        dtls: offer.dtls,
        clientAddress: options.clientAddress,
        tcpOnly: options.tcpOnly,
        dataChannel: offer.dataMid !== undefined,
        logger,
      });
      const [audio, video, dataChannel] = await Promise.all([
        offer.audio && produce(link.transport, 'audio' as const, offer.audio, worker, logger),
        offer.video && produce(link.transport, 'video' as const, offer.video, worker, logger),
        offer.dataMid !== undefined && options.exchangeData
          ? DataLink.create({
              transport: link.transport,
              directTransport: worker.directTransport,
              remoteRole: offer.dtls.role,
              logger,
            })
          : undefined,
        link.transport.setMaxIncomingBitrate(
          options.maxBitrate ? options.maxBitrate * 1000 + BITRATE_HEADROOM : DEFAULT_MAX_BITRATE,
        ),
      ]);
      logger.debug({ audio: audio?.codec, video: video?.codec }, 'publish session created');
      return new PublishSession({
        id,
        remoteIce: offer.ice,
        worker,
        link,
        answerSdp: answerTo(offer, link, options),
        audio,
        video,
        dataChannel,
        hasData: offer.dataMid !== undefined,
        logger,
      });
    } catch (error) {
      link?.close();
      throw failureOf(worker.worker, error);
    }
  }

  /** Whether ICE and DTLS are up. */
  get connected(): boolean {
    return this.#link.connected;
  }

  /** The publisher's ICE credentials: those of its offer or of its last restart. */
  get remoteIce(): IceCredentials {
    return this.#remoteIce;
  }

  /**
   * Restarts ICE (RFC 8445, 9). Media continues over the old path until the publisher has found a new one.
   *
   * @returns the gateway's new credentials as an SDP fragment
   */
  async restartIce(remoteIce: IceCredentials): Promise<string> {
    const local = await this.#link.transport.restartIce().catch((error: unknown) => {
      throw failureOf(this.worker.worker, error);
    });
    this.#remoteIce = remoteIce;
    return buildIceFragment(local);
  }

  get closed(): boolean {
    return this.#closed;
  }

  play(options: PlaybackOptions): Promise<Playback> {
    return PlaySession.create({ ...options, publisher: this });
  }

  async metrics(): Promise<PublisherMetrics> {
    try {
      const [audio, video] = await Promise.all([this.audio?.metrics(), this.video?.metrics()]);
      return { ...(audio && { audio }), ...(video && { video }) };
    } catch (error) {
      if (this.#closed) return {};
      throw failureOf(this.worker.worker, error);
    }
  }

  onStall(listener: () => void): void {
    const track = this.video ?? this.audio;
    if (track) watchStalls(track.present, listener);
  }

  isSilent(): Promise<boolean> {
    return isSilent(this.#link.transport);
  }

  /** Idempotent. The tracks end; the browser sees DTLS close. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWatching();
    this.#link.close();
  }

  #lose(reason: GatewayError): void {
    if (this.#closed) return;
    this.emit('lost', reason);
    this.close();
  }
}

async function produce<Kind extends 'audio' | 'video', Codec extends AudioCodec | VideoCodec>(
  transport: types.WebRtcTransport,
  kind: Kind,
  media: OfferedMedia<Codec>,
  worker: IngestWorker,
  logger: Logger,
): Promise<ProducerTrack<Kind, Codec>> {
  const open = (form?: ProducerForm): Promise<types.Producer> =>
    transport.produce({
      kind,
      rtpParameters: routable(media.rtpParameters, form),
      keyFrameRequestDelay: KEY_FRAME_REQUEST_DELAY_MS,
    });
  try {
    const producer = await open();
    const parameterSets = media.codec === 'h264' ? parameterSetsOf(media.rtpParameters) : undefined;
    const options = { ...(parameterSets && { parameterSets }), reopen: open };
    const track = new ProducerTrack(kind, media.codec, media.clockRate, producer, worker, logger, options);
    if (parameterSets) watchParameterSets(track, parameterSets, logger);
    return track;
  } catch (error) {
    if (worker.worker.closed) throw error;
    throw new GatewayError(
      'INVALID_SDP',
      `The ${kind} section of the SDP offer cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error },
    );
  }
}

/** Parameters that the router accepts. It only forwards packets, and the answer repeats what was offered. */
function routable(
  parameters: types.RtpParameters,
  { isOpaque, anySsrc, ssrc }: ProducerForm = { isOpaque: false, anySsrc: false },
): types.RtpParameters {
  const codecs = parameters.codecs.map((codec) => {
    if (!/^video\/h264$/i.test(codec.mimeType)) return codec;
    if (isOpaque) return { ...codec, mimeType: OPAQUE_CODEC, parameters: {} };
    const format = (codec.parameters ?? {}) as Record<string, unknown>;
    return {
      ...codec,
      parameters: {
        ...format,
        'packetization-mode': 1,
        'profile-level-id': routableProfile(String(format['profile-level-id'] ?? DEFAULT_H264_PROFILE)),
      },
    };
  });
  if (anySsrc) return { ...parameters, codecs, encodings: [{}] };
  return { ...parameters, codecs, ...(ssrc !== undefined && { encodings: [{ ssrc }] }) };
}

function answerTo(
  offer: Offer,
  link: TransportLink,
  { minBitrate = 0, maxBitrate, audioPacketMs }: PublishSessionOptions,
): string {
  const videoStartBitrate = Math.max(minBitrate, Math.min(VIDEO_START_BITRATE, maxBitrate || Infinity));
  return buildAnswer({ offer, transport: link.local, videoStartBitrate, audioPacketMs });
}
