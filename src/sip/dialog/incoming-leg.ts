import type { ServerTransaction } from '../transaction/server-transaction.ts';
import { CallLeg, SDP, type CallLegOptions } from './call-leg.ts';

/** The callee's side of a call. */
export class IncomingLeg extends CallLeg {
  readonly #transaction: ServerTransaction;

  constructor(options: CallLegOptions, transaction: ServerTransaction) {
    super(options);
    this.#transaction = transaction;
    transaction.onCancel = () => {
      this.reply(transaction, 487);
      this.end({ by: 'peer', cause: 'cancelled' });
    };
  }

  /** The caller's offer, if the INVITE has one. */
  get offer(): string | undefined {
    return this.#transaction.request.bodyOf(SDP);
  }

  ring(): void {
    this.reply(this.#transaction, 180, { headers: { contact: this.dialog.contact } });
  }

  /** @param sdp the answer; without an offer in the INVITE, the gateway's offer */
  accept(sdp: string): void {
    if (this.state !== 'calling') return;
    this.state = 'established';
    const headers = this.sessionHeaders(this.#transaction.request);
    this.replyEstablished(this.#transaction, { headers, sdp }, { answerInAck: this.offer === undefined });
  }

  refuse(status: number, headers: Readonly<Record<string, string>> = {}): void {
    if (this.state !== 'calling') return;
    this.reply(this.#transaction, status, { headers });
    this.end({ by: 'local' });
  }

  protected override onAcknowledged(): void {
    this.emit('acknowledged');
  }
}
