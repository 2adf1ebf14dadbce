import type { SipResponse } from '../message/message.ts';
import type { SentRequest } from './authenticated-request.ts';
import { CallLeg, SDP } from './call-leg.ts';
import { ALLOW, type Dialog } from './dialog.ts';
import { MIN_SESSION_S, readSessionExpires } from './session-timer.ts';

/** Branches of a fork that are answered; more are ignored. */
const MAX_FORKS = 16;

interface Branch {
  readonly dialog: Dialog;
  /** The last reliable response (RFC 3262). */
  rseq: number;
  /** It has answered too late: it gets a BYE. */
  isRefused: boolean;
}

/** The caller's side of a call, from the INVITE on. */
export class OutgoingLeg extends CallLeg {
  /** Called with the address that the peer has seen, if it says so. */
  onReceived: ((address: string) => void) | undefined;
  readonly #branches = new Map<string, Branch>();
  #sent: SentRequest | undefined;
  #isCancelled = false;
  #isCancelSent = false;
  #expires = 0;
  #minExpires = MIN_SESSION_S;
  #isShorterRefused = false;

  /** @param expiresS of the session timer; 0: none is offered */
  invite(offer: string, expiresS: number): void {
    this.#expires = expiresS;
    const timer = this.#expires > 0;
    const sent = this.sendRequest(
      'INVITE',
      {
        allow: ALLOW,
        supported: timer ? 'timer, 100rel' : '100rel',
        ...(timer && { 'session-expires': `${this.#expires};refresher=uac`, 'min-se': String(this.#minExpires) }),
      },
      { type: SDP, text: offer },
      {
        response: (response) => this.#answered(response, offer),
        failed: (failure) => this.end(failure === 'timeout' ? { by: 'timeout' } : { by: 'transport', ...failure }),
      },
    );
    this.#sent = sent;
  }

  /** Ends the call in every state. Idempotent. */
  cancel(): void {
    if (this.state === 'established') return this.hangUp();
    if (this.state !== 'calling') return;
    this.#isCancelled = true;
    this.#sendCancel();
  }

  #sendCancel(): void {
    const transaction = this.#sent?.transaction;
    // Without a provisional response there must be no CANCEL: it is sent when one has come.
    if (this.#isCancelSent || !transaction?.isCancellable) return;
    this.#isCancelSent = true;
    this.options.layer.cancel(transaction);
  }

  #answered(response: SipResponse, offer: string): void {
    const { status } = response;
    if (this.state === 'ended') return this.#answeredLate(response);
    if (this.#isCancelled && status < 200) this.#sendCancel();
    const received = response.via.params.get('received');
    if (received) this.onReceived?.(received);
    if (status < 200) return this.#progressed(response);
    if (status < 300) return this.#established(response);
    if (status === 422 && !this.#isShorterRefused && !this.#isCancelled) {
      this.#isShorterRefused = true;
      const least = Number(/^\d{1,6}/.exec(response.get('min-se') ?? '')?.[0] ?? this.#expires * 2);
      this.#minExpires = Math.max(MIN_SESSION_S, least);
      return this.invite(offer, Math.max(this.#expires, this.#minExpires));
    }
    this.end(this.#isCancelled ? { by: 'local' } : { by: 'refusal', response });
  }

  #progressed(response: SipResponse): void {
    const { status } = response;
    const tag = response.to.params.get('tag');
    if (status > 100 && tag !== undefined && response.lists('require', '100rel'))
      this.#acknowledgeProgress(response, tag);
    this.emit('progress', status, status > 100 ? response.bodyOf(SDP) : undefined);
  }

  /** PRACK (RFC 3262). */
  #acknowledgeProgress(response: SipResponse, tag: string): void {
    const rseq = Number(/^\d{1,10}$/.exec(response.get('rseq') ?? '')?.[0] ?? NaN);
    const branch = this.#branchOf(response, tag);
    if (!branch || Number.isNaN(rseq) || rseq <= branch.rseq) return;
    branch.rseq = rseq;
    const rack = `${rseq} ${response.get('cseq')}`;
    this.sendRequest('PRACK', { rack }, undefined, ignored, branch.dialog);
  }

  #established(response: SipResponse): void {
    const tag = response.to.params.get('tag') ?? '';
    const { dialog } = this;
    if (this.state !== 'calling') return this.#answeredAgain(response, tag);
    dialog.confirm(response, tag);
    this.state = 'established';
    this.acknowledge(response, this.#sent!);
    if (this.#isCancelled) return this.hangUp();
    this.sessionTimer.start(readSessionExpires(response), { weAsked: true });
    this.emit('answered', response.bodyOf(SDP));
  }

  /** A repetition, or another branch of a fork: the first one has the call. */
  #answeredAgain(response: SipResponse, tag: string): void {
    if (tag === this.dialog.remoteTag) return this.acknowledge(response, this.#sent!);
    this.#refuseBranch(response, tag);
  }

  /** After the end, a 2xx still has to be acknowledged, and its call ended. */
  #answeredLate(response: SipResponse): void {
    if (response.status < 200 || response.status >= 300) return;
    const tag = response.to.params.get('tag') ?? '';
    if (tag === this.dialog.remoteTag) this.acknowledge(response, this.#sent!);
    else this.#refuseBranch(response, tag);
  }

  #refuseBranch(response: SipResponse, tag: string): void {
    const branch = this.#branchOf(response, tag);
    if (!branch) return;
    branch.dialog.confirm(response, tag);
    this.acknowledge(response, this.#sent!, branch.dialog);
    if (branch.isRefused) return;
    branch.isRefused = true;
    this.sendRequest('BYE', {}, undefined, ignored, branch.dialog);
  }

  #branchOf(response: SipResponse, tag: string): Branch | undefined {
    const known = this.#branches.get(tag);
    if (known || this.#branches.size >= MAX_FORKS) return known;
    const branch = { dialog: this.dialog.fork(response, tag), rseq: -1, isRefused: false };
    this.#branches.set(tag, branch);
    return branch;
  }
}

const ignored = { response: (): void => undefined, failed: (): void => undefined };
