import { randomInt } from 'node:crypto';
import { Timer } from '../../runtime/clock.ts';
import type { SipRequest } from '../message/message.ts';
import type { ServerTransaction } from '../transaction/server-transaction.ts';
import { T1 } from '../transaction/sip-timers.ts';
import { CallLeg, SDP, type CallLegOptions } from './call-leg.ts';
import type { LegEnd } from './leg-end.ts';

/** The longest interval between two repetitions of a reliable response: with it, 64 × T1 are over (RFC 3262, 3). */
const LAST_REPETITION_MS = 32 * T1;

/** The callee's side of a call. */
export class IncomingLeg extends CallLeg {
  readonly #transaction: ServerTransaction;
  readonly #repeat: Timer;
  /** Of the reliable 180 that has no PRACK yet. */
  #rseq: number | undefined;
  #isAcknowledged = false;
  /** Sends the BYE that waits for the ACK. */
  #hangUp: (() => void) | undefined;

  constructor(options: CallLegOptions, transaction: ServerTransaction) {
    super(options);
    this.#transaction = transaction;
    this.#repeat = new Timer(options.clock);
    transaction.onCancel = () => this.end({ by: 'peer', cause: 'cancelled' });
  }

  /** The caller's offer, if the INVITE has one. */
  get offer(): string | undefined {
    return this.#transaction.request.bodyOf(SDP);
  }

  /** The caller need not repeat its INVITE. */
  trying(): void {
    this.reply(this.#transaction, 100);
  }

  ring(): void {
    const headers = { contact: this.dialog.contact };
    const { request } = this.#transaction;
    if (!request.lists('require', '100rel')) return this.reply(this.#transaction, 180, { headers });
    // Without an offer of the caller, a reliable response would have to have ours, before the sockets are there.
    if (this.offer === undefined) return;
    this.#rseq = randomInt(1, 2 ** 31);
    this.#ringReliably({ ...headers, require: '100rel', rseq: String(this.#rseq) }, T1);
  }

  /** @param sdp the answer; without an offer in the INVITE, the gateway's offer */
  accept(sdp: string): void {
    if (this.state !== 'calling') return;
    this.state = 'established';
    this.#repeat.clear();
    const headers = this.sessionHeaders(this.#transaction.request);
    this.replyEstablished(this.#transaction, { headers, sdp }, { answerInAck: this.offer === undefined });
  }

  refuse(status: number, headers: Readonly<Record<string, string>> = {}): void {
    if (this.state !== 'calling') return;
    this.reply(this.#transaction, status, { headers });
    this.end({ by: 'local' });
  }

  /** Ends the call in every state. Idempotent. */
  giveUp(): void {
    if (this.state === 'calling') this.refuse(480);
    else this.hangUp();
  }

  /** Not before the caller has acknowledged the answer (RFC 3261, 15), unless it does not do so. */
  override hangUp(end: LegEnd = { by: 'local' }, reason?: string): void {
    const hangUp = (): void => super.hangUp(end, reason);
    if (this.state === 'established' && !this.#isAcknowledged && end.by !== 'silence') this.#hangUp ??= hangUp;
    else hangUp();
  }

  protected override onAcknowledged(): void {
    this.#isAcknowledged = true;
    this.emit('acknowledged');
    this.#hangUp?.();
  }

  protected override acknowledgesProgress(request: SipRequest): boolean {
    const { number } = this.#transaction.request.cseq;
    const [rseq, cseq] = (request.get('rack') ?? '').trim().split(/\s+/);
    if (this.#rseq === undefined || Number(rseq) !== this.#rseq || Number(cseq) !== number) return false;
    this.#repeat.clear();
    return true;
  }

  protected override end(end: LegEnd): void {
    this.#repeat.clear();
    // CANCEL, or a BYE before the answer.
    if (this.#transaction.isPending) this.reply(this.#transaction, 487);
    super.end(end);
  }

  #ringReliably(headers: Readonly<Record<string, string>>, ms: number): void {
    this.reply(this.#transaction, 180, { headers });
    this.#repeat.set(ms, () => {
      if (ms >= LAST_REPETITION_MS) this.refuse(500);
      else this.#ringReliably(headers, ms * 2);
    });
  }
}
