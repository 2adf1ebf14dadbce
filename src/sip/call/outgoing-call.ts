import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { WorkerPool } from '../../webrtc/worker-pool.ts';
import { Timer, type Clock } from '../../runtime/clock.ts';
import type { CallLeg } from '../dialog/call-leg.ts';
import type { OutgoingLeg } from '../dialog/outgoing-leg.ts';
import type { UserAgent } from '../dialog/user-agent.ts';
import { formatHost } from '../message/address.ts';
import { CallMedia } from '../media/call-media.ts';
import type { SrtpUse } from '../media/call-sdp.ts';
import type { CodecName } from '../media/codecs.ts';
import { MEDIA_CONTROL, MEDIA_CONTROL_TYPE } from '../media/key-frame-requests.ts';
import type { PortPool } from '../media/port-pool.ts';
import { SipSession } from '../media/sip-session.ts';
import type { Flow } from '../transport/flow.ts';
import type { LocalAddresses } from '../transport/local-addresses.ts';
import type { CallAddress } from './account.ts';
import type { CallLink, CallProgress, OpenCall } from './call.ts';
import { endOf } from './call-end.ts';
import type { CallRequest } from './call-request.ts';
import type { RegisterOnce } from './register-once.ts';

/** What all calls are made with. */
export interface CallPlant {
  readonly agent: UserAgent;
  readonly pool: WorkerPool;
  readonly ports: PortPool;
  readonly locals: LocalAddresses;
  readonly clock: Clock;
  readonly codecs: readonly CodecName[];
  readonly srtp: SrtpUse;
  readonly permitsMedia: (address: string) => boolean;
  readonly sessionExpiresS: number;
  readonly answerTimeoutMs: number;
  readonly inactivityMs: number;
  /** Bytes of a request that fits into a datagram. */
  readonly maxDatagram: number;
  readonly keepAlive: (flow: Flow) => void;
  /** Messages from this address are taken. @returns gives it back */
  readonly hold: (address: string) => () => void;
  readonly registerOnce: RegisterOnce;
  readonly logger: Logger;
}

/** Bytes of an INVITE besides its SDP, with credentials of two realms. */
const HEADER_BYTES = 900;
const KEEP_ALIVE_MS = 25_000;
/** Milliseconds for which messages of the peer are taken after the end: its last repetitions. */
export const LINGER_MS = 32_000;

/** Calls: resolves with the media when the callee has answered. */
export function openOutgoing(plant: CallPlant, request: CallRequest, address: CallAddress, flow: Flow): OpenCall {
  return async (progress) => {
    const release = plant.hold(flow.address);
    const linger = (): void => void plant.clock.after(LINGER_MS, release);
    let stopRegistration: (() => void) | undefined;
    let media: CallMedia | undefined;
    try {
      const local = await plant.locals.find(flow.address);
      const domain = address.domain ?? formatHost(local);
      const localUri = `sip:${address.user}@${domain}`;
      if (request.sipRegisterRequired) stopRegistration = await plant.registerOnce(address, localUri, flow);
      media = await openMedia(plant, request, flow, local);
      progress.prepared(media);
      const leg = plant.agent.call({
        flow,
        localUri,
        localName: request.visibleName,
        remoteUri: address.remoteUri,
        credentials: address.credentials,
        media,
      });
      leg.onReceived = (received) => {
        plant.locals.learn(flow.address, received);
        media?.moveTo(plant.locals.of(flow.address));
      };
      const finish = (): void => {
        stopRegistration?.();
        linger();
      };
      leg.once('ended', finish);
      const isShort = flow.protocol === 'udp';
      const offer = media.firstOffer({ isShort: false });
      const fits = !isShort || offer.length + HEADER_BYTES <= plant.maxDatagram;
      const dialled = dial(plant, leg, progress);
      leg.invite(fits ? offer : media.firstOffer({ isShort: true }), plant.sessionExpiresS);
      const answer = await dialled;
      return await establish(plant, leg, media, answer);
    } catch (error) {
      stopRegistration?.();
      linger();
      media?.close();
      throw error;
    }
  };
}

const openMedia = (plant: CallPlant, request: CallRequest, flow: Flow, address: string): Promise<CallMedia> =>
  CallMedia.open({
    ports: plant.ports,
    hasAudio: request.hasAudio,
    hasVideo: request.hasVideo,
    codecs: plant.codecs,
    srtp: plant.srtp,
    isPrivate: flow.protocol === 'tls',
    address,
    signalling: () => flow.address,
    permits: plant.permitsMedia,
    clock: plant.clock,
    logger: plant.logger,
  });

/** Resolves with the SDP of the answer. */
function dial(plant: CallPlant, leg: OutgoingLeg, progress: CallProgress): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const timer = new Timer(plant.clock);
    let isAnswered = false;
    timer.set(plant.answerTimeoutMs, () => {
      leg.cancel();
      reject(
        new GatewayError(
          'SIP_NO_ANSWER',
          `Nobody has answered within ${plant.answerTimeoutMs / 1000} s (sip_answer_timeout_s).`,
        ),
      );
    });
    progress.linked(linkOf(leg, () => leg.cancel()));
    leg.on('progress', (status, sdp) => progress.provisional(status, sdp !== undefined));
    leg.once('answered', (sdp) => {
      timer.clear();
      isAnswered = true;
      progress.answered();
      resolve(sdp);
    });
    leg.once('ended', (end) => {
      timer.clear();
      progress.ended(end);
      if (!isAnswered) reject(endOf(end, false).error);
    });
  });
}

/** The media of an answered call. */
async function establish(
  plant: CallPlant,
  leg: OutgoingLeg,
  media: CallMedia,
  answer: string | undefined,
): Promise<SipSession> {
  if (answer !== undefined) media.accept(answer);
  if (!media.agreed) {
    leg.hangUp();
    throw new GatewayError(
      'NO_COMMON_CODECS',
      answer === undefined
        ? 'The answer of the other side has no SDP.'
        : 'The answer of the other side has no audio or video that can be used. Check codecs, codecs_exclude_sip and sip_srtp.',
    );
  }
  return serve(plant, leg, media);
}

/** Joins the media of a call to its signalling, for both directions. */
export async function serve(
  plant: Pick<CallPlant, 'pool' | 'clock' | 'inactivityMs' | 'keepAlive' | 'hold' | 'logger'>,
  leg: CallLeg,
  media: CallMedia,
): Promise<SipSession> {
  const { pool, clock, inactivityMs, keepAlive, logger } = plant;
  let stopKeepAlive: (() => void) | undefined;
  // The telephone may send its requests past the proxy.
  const release = plant.hold(leg.dialog.flow.address);
  leg.once('ended', () => void clock.after(LINGER_MS, release));
  try {
    const session = await SipSession.create({
      worker: pool.pick(),
      media,
      sendMediaControl: () => leg.sendInfo(MEDIA_CONTROL_TYPE, MEDIA_CONTROL),
      onClose: () => {
        stopKeepAlive?.();
        leg.hangUp();
      },
      inactivityMs,
      now: () => clock.now(),
      logger,
    });
    let isRestricted = false;
    media.on('otherCodec', () => {
      if (isRestricted) return;
      isRestricted = true;
      media.restrict();
      leg.reinvite();
    });
    const repeat = (): void => {
      stopKeepAlive = clock.after(KEEP_ALIVE_MS, () => {
        keepAlive(leg.dialog.flow);
        repeat();
      });
    };
    repeat();
    if (leg.isEstablished) return session;
    // It has ended while the producers were created.
    session.close();
    throw new GatewayError('SIP_ENDED', 'The other side has hung up.');
  } catch (error) {
    leg.hangUp();
    throw toGatewayError(error);
  }
}

export const linkOf = (leg: Pick<CallLeg, 'sendInfo'>, hangUp: () => void): CallLink => ({
  hangUp,
  sendInfo: (type, text) => leg.sendInfo(type, text),
});
