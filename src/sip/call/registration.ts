import { EventEmitter } from 'node:events';
import { Timer, type Clock } from '../../runtime/clock.ts';
import type { SipCredentials } from '../digest.ts';
import { RequestSender } from '../dialog/authenticated-request.ts';
import { Dialog, newDialogIds, type DialogOptions } from '../dialog/dialog.ts';
import { parseNameAddr } from '../message/address.ts';
import type { SipResponse } from '../message/message.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import type { Flow, WireFailure } from '../transport/flow.ts';

export interface RegistrationOptions {
  readonly layer: TransactionLayer;
  readonly clock: Clock;
  readonly random: () => number;
  /** `sip:user@domain` */
  readonly account: string;
  /** `sip:domain` */
  readonly registrar: string;
  readonly flow: Flow;
  readonly credentials: SipCredentials | undefined;
  readonly expiresS: number;
  readonly dialog: Pick<DialogOptions, 'userAgent' | 'localOf' | 'permits'>;
}

export interface RegistrationEvents {
  registered: [];
  /** @param response of the registrar; otherwise there was none */
  failed: [response: SipResponse | undefined, failure: WireFailure | 'timeout' | undefined];
}

/** Milliseconds until a failed registration is tried again: doubled each time. */
const RETRY_MS = { first: 30_000, longest: 30 * 60_000 };
const MAX_EXPIRES_S = 86_400;

/** Keeps an account registered, so that calls for it come here (RFC 3261, 10). One request at a time. */
export class Registration extends EventEmitter<RegistrationEvents> {
  /** User part of the Contact, which callers of the registrar use. */
  readonly contactUser: string;
  readonly #options: RegistrationOptions;
  readonly #dialog: Dialog;
  readonly #sender: RequestSender;
  readonly #timer: Timer;
  #expiresS: number;
  #failures = 0;
  #isRegistered = false;
  #stopped = false;

  constructor(options: RegistrationOptions) {
    super();
    this.#options = options;
    this.#expiresS = options.expiresS;
    const ids = newDialogIds();
    this.contactUser = ids.contactUser;
    this.#dialog = new Dialog({
      ...ids,
      ...options.dialog,
      localUri: options.account,
      remoteUri: options.account,
      flow: options.flow,
    });
    this.#sender = new RequestSender(options.layer, options.credentials);
    this.#timer = new Timer(options.clock);
  }

  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  get flow(): Flow {
    return this.#options.flow;
  }

  start(): void {
    this.#register(this.#expiresS);
  }

  /** Gives the registration up. Idempotent. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer.clear();
    if (this.#isRegistered) this.#register(0);
  }

  #register(expiresS: number, isRepeated = false): void {
    this.#sender.send(
      (auth) => {
        const headers = { expires: String(expiresS), ...auth };
        return this.#dialog.request('REGISTER', { headers, uri: this.#options.registrar });
      },
      () => this.#options.flow,
      {
        response: (response) => this.#answered(response, expiresS, isRepeated),
        failed: (failure) => this.#failed(undefined, failure),
      },
    );
  }

  #answered(response: SipResponse, asked: number, isRepeated: boolean): void {
    const { status } = response;
    if (status < 200) return;
    if (this.#stopped) {
      // The registration was granted while it was given up.
      if (status < 300 && asked > 0) this.#register(0);
      return;
    }
    if (status === 423 && !isRepeated) {
      const least = Number(/^\d{1,6}/.exec(response.get('min-expires') ?? '')?.[0] ?? 3600);
      this.#expiresS = Math.min(MAX_EXPIRES_S, least);
      return this.#register(this.#expiresS, true);
    }
    if (status >= 300) return this.#failed(response, undefined);
    this.#failures = 0;
    this.#isRegistered = true;
    const granted = Math.max(10, this.#granted(response) ?? asked);
    this.#timer.set(granted * 800, () => this.#register(this.#expiresS));
    this.emit('registered');
  }

  #granted(response: SipResponse): number | undefined {
    const own = response.all('contact').find((contact) => contact.includes(this.contactUser));
    const text = (own && parseNameAddr(own).params.get('expires')) ?? response.get('expires');
    return /^\d{1,6}$/.test(text ?? '') ? Number(text) : undefined;
  }

  #failed(response: SipResponse | undefined, failure: WireFailure | 'timeout' | undefined): void {
    if (this.#stopped) return;
    this.#isRegistered = false;
    const asked = Number(/^\d{1,5}/.exec(response?.get('retry-after') ?? '')?.[0] ?? 0) * 1000;
    const doubled = Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** Math.min(this.#failures++, 10));
    const delay = doubled / 2 + (doubled / 2) * this.#options.random();
    this.#timer.set(Math.min(RETRY_MS.longest, Math.max(asked, delay)), () => this.#register(this.#expiresS));
    this.emit('failed', response, failure);
  }
}
