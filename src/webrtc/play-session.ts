import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Playback, PlaybackEvents, PlaybackOptions } from '../streams/live-stream.ts';
import type { DataChannel } from '../streams/data-channel.ts';
import { DataLink } from './data-link.ts';
import type { PublishSession } from './publish-session.ts';
import { RouterPipe } from './router-pipe.ts';
import { parseOffer, type Offer } from './sdp.ts';
import { buildAnswer } from './sdp-answer.ts';
import { TransportLink } from './transport-link.ts';
import { failureOf } from './worker-failure.ts';

/** A publisher whose tracks are producers of a worker. */
export type PlayedPublisher = Pick<PublishSession, 'audio' | 'video' | 'worker' | 'closed'>;

export interface PlaySessionOptions extends PlaybackOptions {
  /** Whose tracks are played. */
  readonly publisher: PlayedPublisher;
}

/**
 * One player of a publisher. Its packets must carry the payload types of its own offer, but mediasoup's consumers use
 * those of their router. So each player has a small router made from its offer, on the publisher's worker, and the
 * publisher's tracks are piped into it.
 */
export class PlaySession extends EventEmitter<PlaybackEvents> implements Playback {
  readonly id: string;
  readonly answerSdp: string;
  readonly hasVideo: boolean;
  readonly dataChannel: DataChannel | undefined;
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
    dataChannel: DataChannel | undefined;
  }) {
    super();
    this.id = parts.id;
    this.answerSdp = parts.answerSdp;
    this.hasVideo = parts.hasVideo;
    this.dataChannel = parts.dataChannel;
    this.#router = parts.router;
    this.#pipe = parts.pipe;
    this.#link = parts.link;
    this.#link.on('connected', () => this.emit('connected'));
    this.#link.on('lost', (reason) => this.#lose(asPlayerLoss(reason)));
    this.#pipe.on('producerClosed', () => this.#lose(new GatewayError('STREAM_STOPPED', 'The publisher stopped.')));
  }

  /** @throws {GatewayError} INVALID_SDP, NO_COMMON_CODECS, or STREAM_NOT_FOUND when the publisher has left meanwhile */
  static async create(options: PlaySessionOptions): Promise<PlaySession> {
    const { publisher } = options;
    const offer = parseOffer(options.offerSdp, {
      offerer: 'receives',
      congestionFeedback: false,
      audio: publisher.audio ? [publisher.audio.codec] : [],
      video: publisher.video ? [publisher.video.codec] : [],
      dataChannel: options.exchangeData,
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
        dataChannel: offer.dataMid !== undefined,
        logger,
      });
      pipe = await RouterPipe.create(worker.router, router);
      const sent = new Map<string, types.RtpParameters>();
      for (const media of [offer.audio, offer.video]) {
        const producer = media === offer.audio ? publisher.audio?.producer : publisher.video?.producer;
        if (!media || !producer) continue;
        // The worker does not have the tracks of a closed publisher any more.
        if (publisher.closed) break;
        const double = await pipe.lead(producer.id);
        const consumer = await consume(router, link.transport, double.id, media.rtpParameters);
        sent.set(media.mid, {
          ...consumer.rtpParameters,
          rtcp: { ...consumer.rtpParameters.rtcp, reducedSize: media.rtpParameters.rtcp?.reducedSize },
        });
      }
      const dataChannel =
        offer.dataMid === undefined
          ? undefined
          : await DataLink.create({
              transport: link.transport,
              directTransport: await router.createDirectTransport(),
              remoteRole: offer.dtls.role,
              logger,
            });
      if (publisher.closed) throw new GatewayError('STREAM_NOT_FOUND', 'Stream not found');
      const answerSdp = buildAnswer({ offer, transport: link.local, sent, streamId: id });
      return new PlaySession({
        id,
        answerSdp,
        hasVideo: offer.video !== undefined && sent.has(offer.video.mid),
        router,
        pipe,
        link,
        dataChannel,
      });
    } catch (error) {
      // Closed one by one: closing the router alone would leave its transport in the worker's WebRtcServer.
      link?.close();
      pipe?.close();
      router?.close();
      throw publisher.closed
        ? new GatewayError('STREAM_NOT_FOUND', 'Stream not found', { cause: error })
        : failureOf(worker.worker, error);
    }
  }

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

/** The link says PUBLISHER_LOST for every remote side that vanishes. */
const asPlayerLoss = (reason: GatewayError): GatewayError =>
  reason.code === 'PUBLISHER_LOST' ? new GatewayError('PLAYER_LOST', reason.message, { cause: reason }) : reason;

/**
 * The publisher's codecs under the player's payload types. Audio first: mediasoup then assigns an unused number to RTX,
 * which is not used.
 */
function playerCodecs(offer: Offer, publisher: PlayedPublisher): types.RouterRtpCodecCapability[] {
  const payloadType = offer.video?.rtpParameters.codecs[0]?.payloadType;
  if (payloadType !== undefined && payloadType === offer.audio?.rtpParameters.codecs[0]?.payloadType)
    throw new GatewayError('INVALID_SDP', `The SDP offer gives audio and video the same payload type, ${payloadType}.`);
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
    // No header extensions and no RTX: their ids and payload types would be the router's, not the offer's. Lost packets
    // are resent as they were.
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
