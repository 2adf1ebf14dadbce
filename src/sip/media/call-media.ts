import { EventEmitter } from 'node:events';
import type { Logger } from '../../observe/logger.ts';
import { guarded } from '../../runtime/in-background.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { LegMedia } from '../dialog/call-leg.ts';
import { CallSdp, type AgreedMedia, type SrtpUse } from './call-sdp.ts';
import type { CodecName } from './codecs.ts';
import type { PortPool } from './port-pool.ts';
import { RtpLine } from './rtp-line.ts';

export interface CallMediaOptions {
  readonly ports: PortPool;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly codecs: readonly CodecName[];
  readonly srtp: SrtpUse;
  /** The signalling is encrypted. */
  readonly isPrivate: boolean;
  /** The gateway's address as the peer sees it. */
  readonly address: string;
  /** IP address of the signalling peer. */
  readonly signalling: () => string;
  readonly permits: (address: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface CallMediaEvents {
  /** The peer has put the call on hold, or has taken it up again. */
  hold: [isHeld: boolean];
  /** Another codec than the agreed one comes: the peer must be told which one is used. */
  otherCodec: [];
  digit: [digit: string];
}

/** The lines of one call with their sockets, which are open before the INVITE, and what is agreed about them. */
export class CallMedia extends EventEmitter<CallMediaEvents> implements LegMedia {
  readonly audio: RtpLine | undefined;
  readonly video: RtpLine | undefined;
  readonly #sdp: CallSdp;
  #isHeld = false;

  private constructor(sdp: CallSdp, audio: RtpLine | undefined, video: RtpLine | undefined) {
    super();
    this.#sdp = sdp;
    this.audio = audio;
    this.video = video;
    const ignore = (): void => undefined;
    for (const line of this.lines)
      line.on(
        'otherCodec',
        guarded(ignore, () => this.emit('otherCodec')),
      );
    audio?.on(
      'digit',
      guarded(ignore, (digit: string) => this.emit('digit', digit)),
    );
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  static async open(options: CallMediaOptions): Promise<CallMedia> {
    const { ports, hasAudio, hasVideo, codecs, srtp, isPrivate, address, signalling, permits, clock, logger } = options;
    const lines: RtpLine[] = [];
    try {
      const open = async (kind: 'audio' | 'video'): Promise<RtpLine> => {
        const line = new RtpLine({
          kind,
          pair: await ports.open(),
          signalling,
          permits,
          now: () => clock.now(),
          logger,
        });
        lines.push(line);
        return line;
      };
      const audio = hasAudio ? await open('audio') : undefined;
      const video = hasVideo ? await open('video') : undefined;
      const sdp = new CallSdp({
        address,
        ports: { audio: audio?.port, video: video?.port },
        codecs,
        srtp,
        isPrivate,
      });
      return new CallMedia(sdp, audio, video);
    } catch (error) {
      for (const line of lines) line.close();
      throw error;
    }
  }

  get lines(): RtpLine[] {
    return [this.audio, this.video].filter((line) => line !== undefined);
  }

  get agreed(): AgreedMedia | undefined {
    return this.#sdp.agreed;
  }

  /** What was sent to the peer, without keys. */
  get sdp(): string {
    return this.#sdp.shown;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  moveTo(address: string): void {
    this.#sdp.moveTo(address);
  }

  firstOffer(options: { isShort: boolean }): string {
    return this.#sdp.firstOffer(options);
  }

  offer(): string {
    return this.#sdp.offer();
  }

  answer(offer: string): string | undefined {
    const answer = this.#sdp.answer(offer);
    if (answer) this.#apply(answer.agreed);
    return answer?.sdp;
  }

  accept(answer: string): void {
    const agreed = this.#sdp.accept(answer);
    if (agreed) this.#apply(agreed);
  }

  /** The next offer has the agreed codecs alone. */
  restrict(): void {
    this.#sdp.restrict();
  }

  /** Idempotent. */
  close(): void {
    for (const line of this.lines) line.close();
  }

  #apply(agreed: AgreedMedia): void {
    this.audio?.agree(agreed.audio);
    this.video?.agree(agreed.video);
    const main = (agreed.audio ?? agreed.video)!.remote;
    // Music on hold comes with `sendonly`.
    const isHeld =
      main.address === '0.0.0.0' ||
      main.direction === 'inactive' ||
      (agreed.audio !== undefined && main.direction === 'sendonly');
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    this.emit('hold', isHeld);
  }
}
