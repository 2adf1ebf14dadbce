import type { Clock } from '../../runtime/clock.ts';
import type { SipCredentials } from '../digest.ts';
import { respond, type SipRequest } from '../message/message.ts';
import { randomText } from '../random-text.ts';
import type { ServerTransaction } from '../transaction/server-transaction.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import type { Flow } from '../transport/flow.ts';
import { RequestSender } from './authenticated-request.ts';
import type { CallLeg, CallLegOptions, LegMedia } from './call-leg.ts';
import { ALLOW, Dialog, dialogId, newDialogIds, type DialogOptions } from './dialog.ts';
import { IncomingLeg } from './incoming-leg.ts';
import { OutgoingLeg } from './outgoing-leg.ts';

export interface UserAgentOptions {
  readonly layer: TransactionLayer;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly userAgent: string;
  readonly localOf: DialogOptions['localOf'];
  readonly permits: DialogOptions['permits'];
  /** An INVITE that begins a call. It must answer by itself, without a transaction until it has checked the caller. */
  readonly onInvite?: (request: SipRequest, flow: Flow) => void;
  /** Whether calls come from there: each of these addresses may send the requests of calls that have come. */
  readonly isTrunk?: (address: string) => boolean;
}

export interface CallOptions {
  readonly flow: Flow;
  readonly localUri: string;
  readonly localName?: string | undefined;
  readonly remoteUri: string;
  readonly credentials: SipCredentials | undefined;
  readonly media: LegMedia;
}

/** The calls of the gateway, found by their dialogs. */
export class UserAgent {
  readonly #options: UserAgentOptions;
  readonly #legs = new Map<string, CallLeg>();

  constructor(options: UserAgentOptions) {
    this.#options = options;
    options.layer.on('request', (request, flow) => this.#take(request, flow));
    options.layer.on('ack', (request) => this.#legOf(request)?.acknowledged(request));
  }

  get size(): number {
    return this.#legs.size;
  }

  /** A call that {@link OutgoingLeg.invite} starts. */
  call({ media, credentials, ...place }: CallOptions): OutgoingLeg {
    const dialog = this.#dialog({ ...newDialogIds(), ...place });
    return this.#add(dialog, (options) => new OutgoingLeg(options), media, credentials);
  }

  /** A call that has come and was checked. */
  take(transaction: ServerTransaction, media: LegMedia, contactUser: string): IncomingLeg {
    const { request, flow } = transaction;
    const dialog = this.#dialog({
      callId: request.callId,
      localTag: randomText(),
      contactUser,
      flow,
      alsoFrom: this.#options.isTrunk,
      localUri: request.to.uri,
      remoteUri: request.from.uri,
    });
    dialog.confirmIncoming(request);
    return this.#add(dialog, (options) => new IncomingLeg(options, transaction), media, undefined);
  }

  #dialog(place: Omit<DialogOptions, 'userAgent' | 'localOf' | 'permits'>): Dialog {
    const { userAgent, localOf, permits } = this.#options;
    return new Dialog({ ...place, userAgent, localOf, permits });
  }

  #add<Leg extends CallLeg>(
    dialog: Dialog,
    create: (options: CallLegOptions) => Leg,
    media: LegMedia,
    credentials: SipCredentials | undefined,
  ): Leg {
    const { layer, clock, random = Math.random } = this.#options;
    const leg = create({
      layer,
      dialog,
      sender: new RequestSender(layer, credentials),
      media,
      clock,
      random,
      onGone: () => this.#legs.delete(dialog.id),
    });
    this.#legs.set(dialog.id, leg);
    return leg;
  }

  #legOf({ callId, to }: SipRequest): CallLeg | undefined {
    return this.#legs.get(dialogId(callId, to.params.get('tag')));
  }

  #take(request: SipRequest, flow: Flow): void {
    const { layer, onInvite } = this.#options;
    if (request.to.params.has('tag')) return this.#takeInDialog(request, flow);
    if (request.method === 'INVITE' && onInvite) return onInvite(request, flow);
    const status = request.method === 'OPTIONS' ? 200 : request.method === 'INVITE' ? 403 : 405;
    layer.reply(respond(request, status, { toTag: randomText(), headers: { allow: ALLOW } }), flow);
  }

  #takeInDialog(request: SipRequest, flow: Flow): void {
    const { layer } = this.#options;
    const leg = this.#legOf(request);
    if (!leg) return layer.reply(respond(request, 481), flow);
    // A stranger who knows the tags gets no answer.
    if (!leg.dialog.isFrom(flow.address)) return;
    if (leg.dialog.remoteTag !== undefined && request.from.params.get('tag') !== leg.dialog.remoteTag)
      return layer.reply(respond(request, 481), flow);
    const transaction = layer.accept(request, flow);
    if (transaction) leg.receive(request, transaction);
  }
}
