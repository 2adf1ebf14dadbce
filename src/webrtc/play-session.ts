import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { PublishSession } from './publish-session.ts';
import type { Publisher } from '../streams/live-stream.ts';
import { RouterPipe } from './router-pipe.ts';
import { parseOffer, type Offer } from './sdp.ts';
import { buildAnswer } from './sdp-answer.ts';
import { TransportLink } from './transport-link.ts';
import { failureOf } from './worker-failure.ts';

export interface PlaySessionOptions {
  /** Whose tracks are played; a session of this gateway. */
  readonly publisher: Publisher;
  readonly offerSdp: string;
  readonly logger: Logger;
  /** IP address of the client. */
  readonly clientAddress?: string;
  readonly tcpOnly?: boolean;
}

export interface PlaySessionEvents {
  /** ICE and DTLS are up: media flows, from a key frame on. */
  connected: [];
  /** The session is over and was not closed by us: the player or the publisher is gone. */
  lost: [reason: GatewayError];
}

/**
 * One player of a stream. Its packets must carry the payload types of its own offer, and mediasoup's consumers use their router's:
 * so each player has a small router made from its offer, on the publisher's worker, into which the publisher's tracks are piped.
 */
export class PlaySession extends EventEmitter<PlaySessionEvents> {
  readonly id: string;
  readonly answerSdp: string;
  /** Whether the player gets frames: it asked for them, and there are some. */
  readonly hasVideo: boolean;
  readonly #router: types.Router;
  readonly #pipe: RouterPipe;
  readonly #link: TransportLink;
  #closed = false;

  private constructor(parts: {
    id: string;
    answerSdp: string;
    hasVideo: boolean;
    router: types.Router;
    pipe: RouterPipe;
    link: TransportLink;
  }) {
    super();
    this.id = parts.id;
    this.answerSdp = parts.answerSdp;
    this.hasVideo = parts.hasVideo;
    this.#router = parts.router;
    this.#pipe = parts.pipe;
    this.#link = parts.link;
    this.#link.on('connected', () => this.emit('connected'));
    this.#link.on('lost', (reason) => this.#lose(reason));
    this.#pipe.on('producerClosed', () => this.#lose(new GatewayError('STREAM_STOPPED', 'The publisher stopped.')));
  }

  /** @throws {GatewayError} INVALID_SDP, NO_COMMON_CODECS, STREAM_NOT_FOUND when the publisher is gone meanwhile */
  static async create(options: PlaySessionOptions): Promise<PlaySession> {
    const { publisher } = options;
    if (!(publisher instanceof PublishSession)) throw new GatewayError('STREAM_NOT_FOUND', 'Stream not found');
    const offer = parseOffer(options.offerSdp, {
      offerer: 'receives',
      congestionFeedback: false,
      audio: publisher.audio ? [publisher.audio.codec] : [],
      video: publisher.video ? [publisher.video.codec] : [],
    });
    const { worker } = publisher;
    const id = randomUUID();
    const logger = options.logger.child({ playSession: id });
    const mediaCodecs = playerCodecs(offer, publisher);
    let router: types.Router | undefined;
    let link: TransportLink | undefined;
    let pipe: RouterPipe | undefined;
    try {
      router = await worker.worker.createRouter({ mediaCodecs });
      link = await TransportLink.create({
        worker,
        router,
        dtls: offer.dtls,
        clientAddress: options.clientAddress,
        tcpOnly: options.tcpOnly,
        logger,
      });
      pipe = await RouterPipe.create(worker.router, router);
      const sent = new Map<string, types.RtpParameters>();
      for (const media of [offer.audio, offer.video]) {
        const producer = media === offer.audio ? publisher.audio?.producer : publisher.video?.producer;
        if (!media || !producer) continue;
        // Known already here, without asking the worker for what it does not have any more.
        if (publisher.closed) break;
        const double = await pipe.lead(producer.id);
        const consumer = await consume(router, link.transport, double.id, media.rtpParameters);
        sent.set(media.mid, {
          ...consumer.rtpParameters,
          rtcp: { ...consumer.rtpParameters.rtcp, reducedSize: media.rtpParameters.rtcp?.reducedSize },
        });
      }
      if (publisher.closed) throw new GatewayError('STREAM_NOT_FOUND', 'Stream not found');
      const answerSdp = buildAnswer({ offer, transport: link.local, sent, streamId: id });
      return new PlaySession({
        id,
        answerSdp,
        hasVideo: offer.video !== undefined && sent.has(offer.video.mid),
        router,
        pipe,
        link,
      });
    } catch (error) {
      // Each by itself: the worker's WebRtcServer would keep the transport of a router that is closed.
      link?.close();
      pipe?.close();
      router?.close();
      throw publisher.closed
        ? new GatewayError('STREAM_NOT_FOUND', 'Stream not found', { cause: error })
        : failureOf(worker.worker, error);
    }
  }

  /** Idempotent; emits nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    this.#pipe.close();
    this.#router.close();
  }

  #lose(reason: GatewayError): void {
    if (this.#closed) return;
    this.close();
    this.emit('lost', reason);
  }
}

/** The publisher's codecs under the player's payload types. Audio first: mediasoup then gives RTX, which is not used, a free number. */
function playerCodecs(offer: Offer, publisher: PublishSession): types.RouterRtpCodecCapability[] {
  const payloadType = offer.video?.rtpParameters.codecs[0]?.payloadType;
  if (payloadType !== undefined && payloadType === offer.audio?.rtpParameters.codecs[0]?.payloadType)
    throw new GatewayError(
      'INVALID_SDP',
      `The SDP offer gives sound and frames the same payload type, ${payloadType}.`,
    );
  const codec = (
    offered: types.RtpParameters,
    produced: types.Producer,
    kind: types.MediaKind,
  ): types.RouterRtpCodecCapability => {
    const { mimeType, clockRate, channels, parameters } = produced.rtpParameters.codecs[0]!;
    return { kind, mimeType, clockRate, channels, parameters, preferredPayloadType: offered.codecs[0]!.payloadType };
  };
  return [
    ...(offer.audio && publisher.audio ? [codec(offer.audio.rtpParameters, publisher.audio.producer, 'audio')] : []),
    ...(offer.video && publisher.video ? [codec(offer.video.rtpParameters, publisher.video.producer, 'video')] : []),
  ];
}

function consume(
  router: types.Router,
  transport: types.WebRtcTransport,
  producerId: string,
  offered: types.RtpParameters,
): Promise<types.Consumer> {
  const media = offered.codecs[0]!;
  return transport.consume({
    producerId,
    // No header extensions: their ids would be the router's and not the offer's. No RTX for the same reason: lost packets are sent again as they were.
    rtpCapabilities: {
      codecs: router.rtpCapabilities
        .codecs!.filter((codec) => codec.preferredPayloadType === media.payloadType)
        .map((codec) => ({
          ...codec,
          rtcpFeedback: media.rtcpFeedback?.filter((fb) => fb.type === 'nack' || fb.type === 'ccm'),
        })),
      headerExtensions: [],
    },
  });
}
