import { GatewayError, toGatewayError } from '../../errors.ts';
import type { LegMedia } from '../dialog/call-leg.ts';
import type { IncomingLeg } from '../dialog/incoming-leg.ts';
import type { LegEnd } from '../dialog/leg-end.ts';
import { refusalOf } from '../incoming/refusal.ts';
import { CallMedia } from '../media/call-media.ts';
import type { OpenCall } from './call.ts';
import { endOf } from './call-end.ts';
import { linkOf, LINGER_MS, serve, type CallPlant } from './outgoing-call.ts';

/** The media of a call that has come: its sockets are opened when its stream has the name. */
export class LaterMedia implements LegMedia {
  media: CallMedia | undefined;

  offer(): string {
    return this.media?.offer() ?? '';
  }

  answer(offer: string): string | undefined {
    return this.media?.answer(offer);
  }

  accept(answer: string): void {
    this.media?.accept(answer);
  }
}

export interface IncomingOptions {
  readonly leg: IncomingLeg;
  readonly later: LaterMedia;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
}

type Plant = Pick<
  CallPlant,
  | 'pool'
  | 'ports'
  | 'locals'
  | 'clock'
  | 'codecs'
  | 'srtp'
  | 'permitsMedia'
  | 'inactivityMs'
  | 'keepAlive'
  | 'hold'
  | 'logger'
>;

/** Lets a call ring, whose stream has its name, and answers it: resolves with the media when the caller has it too. */
export function openIncoming(plant: Plant, { leg, later, hasAudio, hasVideo }: IncomingOptions): OpenCall {
  const { flow } = leg.dialog.options;
  const release = plant.hold(flow.address);
  let end: LegEnd | undefined;
  let report: ((end: LegEnd) => void) | undefined;
  leg.once('ended', (why) => {
    end = why;
    plant.clock.after(LINGER_MS, release);
    report?.(why);
  });
  const check = (): void => {
    if (end) throw endOf(end, false).error;
  };
  return async (progress) => {
    report = (why) => progress.ended(why);
    progress.linked(linkOf(leg, () => leg.giveUp()));
    try {
      if (end) progress.ended(end);
      check();
      leg.ring();
      progress.provisional(180, false);
      const media = await CallMedia.open({
        ports: plant.ports,
        hasAudio,
        hasVideo,
        codecs: plant.codecs,
        srtp: plant.srtp,
        isPrivate: flow.protocol === 'tls',
        address: await plant.locals.find(flow.address),
        signalling: () => flow.address,
        permits: plant.permitsMedia,
        clock: plant.clock,
        logger: plant.logger,
      });
      later.media = media;
      progress.prepared(media);
      check();
      await answer(leg, media);
      check();
      progress.answered();
      return await serve(plant, leg, media);
    } catch (error) {
      const { status, headers } = refusalOf(toGatewayError(error));
      leg.refuse(status, headers);
      leg.hangUp();
      later.media?.close();
      throw error;
    }
  };
}

/** Resolves when both sides know the media. */
async function answer(leg: IncomingLeg, media: CallMedia): Promise<void> {
  const { offer } = leg;
  if (offer !== undefined) {
    const sdp = media.answer(offer);
    if (sdp === undefined) throw noCommonCodecs('The offer of the caller');
    return leg.accept(sdp);
  }
  const acknowledged = new Promise<void>((resolve) => {
    leg.once('acknowledged', resolve);
    leg.once('ended', () => resolve());
  });
  leg.accept(media.firstOffer({ isShort: false }));
  await acknowledged;
  if (leg.isEstablished && !media.agreed) throw noCommonCodecs('The answer of the caller');
}

const noCommonCodecs = (what: string): GatewayError =>
  new GatewayError(
    'NO_COMMON_CODECS',
    `${what} has no audio or video that can be used. Check codecs, codecs_exclude_sip and sip_srtp.`,
  );
