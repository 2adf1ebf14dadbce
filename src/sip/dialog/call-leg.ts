import { EventEmitter } from 'node:events';
import { Timer, type Clock } from '../../runtime/clock.ts';
import { respond, type ResponseOptions, type SipRequest, type SipResponse } from '../message/message.ts';
import type { ServerTransaction } from '../transaction/server-transaction.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import type { RequestSender, SentRequest } from './authenticated-request.ts';
import { ALLOW, type Dialog } from './dialog.ts';
import { reasonOf, type LegEnd } from './leg-end.ts';
import { MIN_SESSION_S, readSessionExpires, SessionTimer } from './session-timer.ts';

/** What the media of a call answers to the SDP of the peer. */
export interface LegMedia {
  /** The SDP of the gateway as it is now: an offer that changes nothing. */
  offer(): string;
  /** The answer to an offer in the call; `undefined` if nothing of it can be used. */
  answer(offer: string): string | undefined;
  /** The answer of the peer to an offer in the call. */
  accept(answer: string): void;
}

export interface CallLegEvents {
  /** A provisional response to an outgoing call, 100 included. */
  progress: [status: number, sdp: string | undefined];
  /** An outgoing call is established. */
  answered: [sdp: string | undefined];
  /** The caller has acknowledged the answer to an incoming call. */
  acknowledged: [];
  info: [type: string, body: string];
  /** Emitted once; nothing follows. */
  ended: [end: LegEnd];
}

export interface CallLegOptions {
  readonly layer: TransactionLayer;
  readonly dialog: Dialog;
  readonly sender: RequestSender;
  readonly media: LegMedia;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /** The leg takes no more requests. */
  readonly onGone: () => void;
}

export const SDP = 'application/sdp';
/** Milliseconds until a refused re-INVITE is repeated: the range of the caller, who owns the Call-ID (RFC 3261, 14.1). */
const GLARE_MS = { base: 2100, spread: 1900 };

/** One call with a peer: what both roles do once it is established (RFC 3261, 13 to 15). */
export abstract class CallLeg extends EventEmitter<CallLegEvents> {
  readonly dialog: Dialog;
  protected readonly options: CallLegOptions;
  protected readonly sessionTimer: SessionTimer;
  protected state: 'calling' | 'established' | 'ending' | 'ended' = 'calling';
  /** The INVITE whose ACK is awaited. */
  #awaitsAck: { readonly transaction: ServerTransaction; readonly answerInAck: boolean } | undefined;
  #reinvite: SentRequest | undefined;
  readonly #glare: Timer;

  constructor(options: CallLegOptions) {
    super();
    this.options = options;
    this.dialog = options.dialog;
    this.#glare = new Timer(options.clock);
    this.sessionTimer = new SessionTimer(options.clock, {
      refresh: () => this.reinvite(),
      expire: () => this.hangUp({ by: 'silence', what: 'the session was not refreshed' }),
    });
  }

  get isEstablished(): boolean {
    return this.state === 'established';
  }

  /** Sends BYE. @param end what the end is for the owner; default: ours */
  hangUp(end: LegEnd = { by: 'local' }, reason?: string): void {
    if (this.state !== 'established') return;
    this.state = 'ending';
    const finish = (): void => this.end(end);
    this.sendRequest('BYE', { reason }, undefined, {
      response: ({ status }) => status >= 200 && finish(),
      failed: finish,
    });
  }

  /** @returns the status of the answer; 408 without one */
  sendInfo(type: string, text: string): Promise<number> {
    return new Promise((resolve) => {
      if (this.state !== 'established') return resolve(481);
      this.sendRequest(
        'INFO',
        {},
        { type, text },
        {
          response: ({ status }) => {
            if (status < 200) return;
            resolve(status);
            if (status === 481) this.end({ by: 'silence', what: 'the peer does not know the call any more' });
          },
          failed: () => resolve(408),
        },
      );
    });
  }

  /** Offers the media as it is now. */
  reinvite(isRepeated = false): void {
    if (this.state !== 'established' || this.isOffering) return;
    const offer = this.options.media.offer();
    const sent = this.sendRequest(
      'INVITE',
      {
        allow: ALLOW,
        supported: 'timer',
        'session-expires': this.sessionTimer.header(),
        'min-se': String(MIN_SESSION_S),
      },
      { type: SDP, text: offer },
      {
        response: (response) => this.#reinvited(response, sent, isRepeated),
        failed: () => {
          this.#reinvite = undefined;
          this.hangUp({ by: 'timeout' });
        },
      },
    );
    this.#reinvite = sent;
  }

  /** A request in the dialog, from its peer. */
  receive(request: SipRequest, transaction: ServerTransaction): void {
    const reply = (status: number, options: ResponseOptions = {}): void => this.reply(transaction, status, options);
    const { number } = request.cseq;
    if (number < this.dialog.remoteCseq) return reply(500);
    this.dialog.remoteCseq = number;
    if (this.state === 'ended') return reply(481);
    switch (request.method) {
      case 'BYE':
        reply(200);
        return this.end({ by: 'peer', cause: reasonOf(request) });
      case 'OPTIONS':
        return reply(200, { headers: { allow: ALLOW, accept: SDP } });
      case 'PRACK':
        return reply(this.acknowledgesProgress(request) ? 200 : 481);
      case 'INFO':
        reply(200);
        this.emit(
          'info',
          (request.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase(),
          request.body.toString(),
        );
        return;
      case 'INVITE':
      case 'UPDATE':
        return this.#changed(request, transaction);
      case 'REFER':
        return reply(403);
      default:
        return reply(405, { headers: { allow: ALLOW } });
    }
  }

  /** The ACK of a 2xx. */
  acknowledged(ack: SipRequest): void {
    const awaited = this.#awaitsAck;
    if (awaited?.transaction.request.cseq.number !== ack.cseq.number) return;
    this.#awaitsAck = undefined;
    awaited.transaction.acknowledged();
    if (awaited.answerInAck) {
      const answer = ack.bodyOf(SDP);
      if (answer === undefined) return this.hangUp({ by: 'silence', what: 'the ACK has no SDP' });
      this.options.media.accept(answer);
    }
    this.onAcknowledged();
  }

  /** Ends it without a message. Idempotent. */
  protected end(end: LegEnd): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.sessionTimer.stop();
    this.#glare.clear();
    this.options.onGone();
    this.emit('ended', end);
  }

  protected onAcknowledged(): void {
    // For the callee.
  }

  /** Whether a PRACK belongs to a provisional response of ours. */
  protected acknowledgesProgress(_request: SipRequest): boolean {
    return false;
  }

  /** Whether an offer of ours has no answer yet. */
  protected get isOffering(): boolean {
    return this.#reinvite !== undefined;
  }

  protected sendRequest(
    method: string,
    headers: Readonly<Record<string, string | undefined>>,
    body: { readonly type: string; readonly text: string } | undefined,
    handlers: Parameters<RequestSender['send']>[2],
    dialog = this.dialog,
  ): SentRequest {
    return this.options.sender.send(
      (auth) => dialog.request(method, { headers: { ...headers, ...auth }, body }),
      () => dialog.flow,
      handlers,
    );
  }

  /** Sends the ACK of a 2xx. */
  protected acknowledge(response: SipResponse, sent: SentRequest, dialog = this.dialog): void {
    const { layer } = this.options;
    layer.acknowledge(dialog.request('ACK', { cseq: response.cseq.number, headers: sent.auth }), dialog.flow);
  }

  protected reply(transaction: ServerTransaction, status: number, options: ResponseOptions = {}): void {
    transaction.reply(respond(transaction.request, status, { toTag: this.dialog.options.localTag, ...options }));
  }

  /** Answers 2xx to an INVITE and waits for the ACK. */
  protected replyEstablished(
    transaction: ServerTransaction,
    options: ResponseOptions,
    { answerInAck }: { answerInAck: boolean },
  ): void {
    this.#awaitsAck = { transaction, answerInAck };
    transaction.onNoAck = () => {
      if (this.#awaitsAck?.transaction !== transaction) return;
      this.#awaitsAck = undefined;
      this.hangUp({ by: 'silence', what: 'the peer has not acknowledged the answer' });
    };
    this.reply(transaction, 200, options);
  }

  /** Headers of a 2xx that keeps the session alive; starts the timer. */
  protected sessionHeaders(request: SipRequest): Record<string, string> {
    const interval = readSessionExpires(request);
    const base = { contact: this.dialog.contact, allow: ALLOW, supported: 'timer' };
    if (!interval) return base;
    const chosen = { ...interval, refresher: interval.refresher ?? 'uac' };
    this.sessionTimer.start(chosen, { weAsked: false });
    const header = { ...base, 'session-expires': `${chosen.seconds};refresher=${chosen.refresher}` };
    return request.lists('supported', 'timer') ? { ...header, require: 'timer' } : header;
  }

  /** A re-INVITE or UPDATE of the peer. */
  #changed(request: SipRequest, transaction: ServerTransaction): void {
    const isInvite = request.method === 'INVITE';
    if (this.isOffering || this.state === 'calling') return this.reply(transaction, 491);
    if (this.#awaitsAck?.answerInAck) return this.reply(transaction, 500, { headers: { 'retry-after': '2' } });
    const offer = request.bodyOf(SDP);
    let sdp: string | undefined;
    if (offer !== undefined) {
      sdp = this.options.media.answer(offer);
      if (sdp === undefined)
        return this.reply(transaction, 488, { headers: { warning: '304 gateway "No common codec, or no media"' } });
    } else if (isInvite) sdp = this.options.media.offer();
    this.dialog.refreshTarget(request);
    const options = { headers: this.sessionHeaders(request), sdp };
    if (isInvite) this.replyEstablished(transaction, options, { answerInAck: offer === undefined });
    else this.reply(transaction, 200, options);
  }

  #reinvited(response: SipResponse, sent: SentRequest, isRepeated: boolean): void {
    const { status } = response;
    if (status < 200) return;
    const isFirst = this.#reinvite === sent;
    this.#reinvite = undefined;
    if (status < 300) {
      this.acknowledge(response, sent);
      if (!isFirst) return;
      this.dialog.refreshTarget(response);
      this.sessionTimer.start(readSessionExpires(response), { weAsked: true });
      const answer = response.bodyOf(SDP);
      if (answer !== undefined) this.options.media.accept(answer);
    } else if (status === 481 || status === 408) this.hangUp({ by: 'refusal', response });
    else if (status === 491 && !isRepeated)
      this.#glare.set(GLARE_MS.base + GLARE_MS.spread * this.options.random(), () => this.reinvite(true));
  }
}
