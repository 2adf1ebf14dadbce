import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { backoffMs, type SerialWork } from '../../runtime/async.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { Timer, type Clock } from '../../runtime/clock.ts';
import type { SipCredentials } from '../digest.ts';
import { RequestSender } from '../dialog/authenticated-request.ts';
import { Dialog, newDialogIds, type DialogOptions } from '../dialog/dialog.ts';
import type { SipResponse } from '../message/message.ts';
import { randomText } from '../random-text.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import { flowKey, type Flow } from '../transport/flow.ts';
import type { LocalAddresses } from '../transport/local-addresses.ts';
import { noAnswer, readAnswer, refused, type RegisterAnswer, type RegisterRefusal } from './register-answer.ts';

export type RegistrationStatus = 'registering' | 'registered' | 'failed' | 'unregistered';

export interface RegistrationOptions {
  readonly layer: TransactionLayer;
  readonly clock: Clock;
  readonly random: () => number;
  /** `sip:user@domain` */
  readonly account: string;
  /** `sip:domain` */
  readonly registrar: string;
  /** The places of the registrar, at least one, in the order in which they are tried. Asked before each REGISTER. */
  readonly locate: () => Promise<readonly Flow[]>;
  readonly credentials: SipCredentials | undefined;
  readonly expiresS: number;
  readonly dialog: Pick<DialogOptions, 'userAgent' | 'localOf' | 'permits'>;
  readonly locals: Pick<LocalAddresses, 'find' | 'learn'>;
  /** Messages from this address are taken. @returns gives it back */
  readonly hold: (address: string) => () => void;
  readonly keepAlive: (flow: Flow) => void;
  /** One REGISTER at a time: shared by the accounts of one registrar. */
  readonly turns: SerialWork;
}

export interface RegistrationEvents {
  /** A REGISTER was answered, or was not; or the registration was given up. */
  settled: [];
}

/** Milliseconds until a failed registration is tried again: doubled each time, with jitter from 30 s on. */
const RETRY = { intervalMs: 60_000, capMs: 30 * 60_000 };
/** The same after the loss of a connection, which may be lost again as soon as it is there. */
const BREAK = { intervalMs: 2000, capMs: RETRY.capMs };
/** Milliseconds for which a connection must hold so that the next loss counts as the first. */
const STEADY_MS = 60_000;
/** Of {@link RETRY}, where trying soon does not help: the longest delay. */
const LASTING_ATTEMPT = 10;
const REFRESH_SHARE = 0.8;
const LEAST_REFRESH_MS = 5000;
const KEEP_ALIVE_MS = 25_000;
/** Keep-alives after which the registrar's name is looked up again, if no REGISTER does it: five minutes. */
const BEATS_PER_LOOKUP = 12;
/** Longer than all transactions of one REGISTER with its challenges: nothing waits for ever. */
const EXCHANGE_MS = 180_000;

/** Keeps an account registered, so that calls for it come here (RFC 3261, 10). */
export class Registration extends EventEmitter<RegistrationEvents> {
  /** User part of the Contact, which the registrar calls. */
  readonly contactUser = randomText();
  readonly #options: RegistrationOptions;
  readonly #sender: RequestSender;
  readonly #timer: Timer;
  readonly #beat: Timer;
  readonly #held = new Map<string, () => void>();
  #dialog: Dialog | undefined;
  #expiresS: number;
  #status: RegistrationStatus = 'registering';
  #error: GatewayError | undefined;
  /** When the registrar forgets the account: of the clock, and in milliseconds since 1970. */
  #boundUntilMs = 0;
  #expiresAtMs = 0;
  /** Of the clock: when it was registered, and when it is next. */
  #grantedAtMs = 0;
  #refreshAtMs = 0;
  #failures = 0;
  #breaks = 0;
  #beats = 0;
  #isTrying = false;
  #stopping: Promise<void> | undefined;

  constructor(options: RegistrationOptions) {
    super();
    this.#options = options;
    this.#expiresS = options.expiresS;
    this.#sender = new RequestSender(options.layer, options.credentials);
    this.#timer = new Timer(options.clock);
    this.#beat = new Timer(options.clock);
  }

  get status(): RegistrationStatus {
    return this.#status;
  }

  /** Why it has failed. */
  get error(): GatewayError | undefined {
    return this.#error;
  }

  /** Milliseconds since 1970. */
  get expiresAtMs(): number | undefined {
    return this.#status === 'registered' ? this.#expiresAtMs : undefined;
  }

  /** Whether the registrar has this address. */
  isAt(address: string): boolean {
    return this.#stopping === undefined && this.#held.has(address);
  }

  start(): void {
    this.#attempt();
  }

  /** A connection was lost: the registrar reaches the account through it. */
  wireFailed(flow: Flow): void {
    const isLost = flow.protocol !== 'udp' && this.#dialog && flowKey(this.#dialog.flow) === flowKey(flow);
    if (!isLost || this.#status !== 'registered' || this.#isTrying || this.#stopping) return;
    const { clock, random } = this.#options;
    const now = clock.now();
    if (now - this.#grantedAtMs > STEADY_MS) this.#breaks = 0;
    const delay = backoffMs(BREAK, this.#breaks++, random());
    this.#timer.set(Math.min(delay, this.#refreshAtMs - now), () => this.#attempt());
  }

  /** Gives the registration up. Resolves when the registrar has answered, or does not. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#options.turns.run(() => this.#unregister());
    this.#timer.clear();
    this.#beat.clear();
    return this.#stopping;
  }

  #attempt(): void {
    if (this.#isTrying || this.#stopping) return;
    this.#isTrying = true;
    this.#timer.clear();
    inBackground(this.#options.turns.run(() => this.#register()));
  }

  async #register(): Promise<void> {
    if (this.#stopping) return;
    let answer: RegisterAnswer;
    try {
      this.#moveTo(await this.#options.locate());
      const { flow } = this.#dialog!;
      await this.#options.locals.find(flow.address);
      answer = await this.#exchange(this.#expiresS);
      if (answer.kind === 'brief') {
        this.#expiresS = answer.leastS;
        answer = await this.#exchange(this.#expiresS);
      }
    } catch (error) {
      answer = refused(toGatewayError(error));
    }
    this.#isTrying = false;
    if (answer.kind === 'granted') this.#granted(answer.expiresS);
    else this.#failed(answer.kind === 'brief' ? refused(neverLongEnough()) : answer);
    this.emit('settled');
  }

  /** Stays where it is while that works and DNS still says so. */
  #moveTo(flows: readonly Flow[]): void {
    this.#holdAll(flows);
    const current = this.#dialog && flowKey(this.#dialog.flow);
    const isFine = this.#failures === 0 && flows.some((flow) => flowKey(flow) === current);
    const flow = flows[this.#failures % flows.length]!;
    if (isFine || flowKey(flow) === current) return;
    const { account, dialog } = this.#options;
    const ids = { ...newDialogIds(), contactUser: this.contactUser };
    this.#dialog = new Dialog({ ...ids, ...dialog, localUri: account, remoteUri: account, flow });
  }

  #holdAll(flows: readonly Flow[]): void {
    const addresses = new Set(flows.map(({ address }) => address));
    for (const address of addresses) if (!this.#held.has(address)) this.#held.set(address, this.#options.hold(address));
    for (const [address, release] of this.#held) {
      if (addresses.has(address)) continue;
      this.#held.delete(address);
      release();
    }
  }

  /** One REGISTER, and another one if the answer shows that the Contact has an old address. */
  async #exchange(expiresS: number): Promise<RegisterAnswer> {
    const dialog = this.#dialog!;
    let answer: RegisterAnswer;
    let contact: string;
    let isRepeated = false;
    do {
      isRepeated = !isRepeated;
      [answer, contact] = await this.#send(dialog, expiresS);
    } while (isRepeated && answer.kind === 'granted' && expiresS > 0 && contact !== dialog.contact);
    return answer;
  }

  /** @returns also the Contact that was sent */
  #send(dialog: Dialog, expiresS: number): Promise<[RegisterAnswer, string]> {
    const { registrar, clock, locals } = this.#options;
    const { flow } = dialog;
    const learn = (response: SipResponse): void => {
      const received = response.via.params.get('received');
      if (received) locals.learn(flow.address, received);
    };
    return new Promise((resolve) => {
      let contact = '';
      const finish = (answer: RegisterAnswer): void => {
        cancel();
        resolve([answer, contact]);
      };
      const cancel = clock.after(EXCHANGE_MS, () => finish(noAnswer('timeout')));
      this.#sender.send(
        (auth) => {
          const headers = { expires: String(expiresS), ...auth };
          const request = dialog.request('REGISTER', { headers, uri: registrar });
          contact = request.get('contact') ?? '';
          return request;
        },
        () => flow,
        {
          challenged: learn,
          response: (response) => {
            if (response.status < 200) return;
            learn(response);
            finish(readAnswer(response, expiresS, this.contactUser));
          },
          failed: (failure) => finish(noAnswer(failure)),
        },
      );
    });
  }

  #granted(expiresS: number): void {
    const { clock } = this.#options;
    this.#grantedAtMs = clock.now();
    this.#boundUntilMs = this.#grantedAtMs + expiresS * 1000;
    this.#expiresAtMs = clock.date() + expiresS * 1000;
    if (this.#stopping) return;
    this.#status = 'registered';
    this.#error = undefined;
    this.#failures = 0;
    this.#beats = 0;
    const refreshMs = Math.max(LEAST_REFRESH_MS, expiresS * 1000 * REFRESH_SHARE);
    this.#refreshAtMs = this.#grantedAtMs + refreshMs;
    this.#timer.set(refreshMs, () => this.#attempt());
    this.#keepAlive();
  }

  #failed({ error, retryAfterMs, isLasting }: RegisterRefusal): void {
    if (this.#stopping) return;
    this.#status = 'failed';
    this.#error = error;
    this.#beat.clear();
    const attempt = isLasting ? LASTING_ATTEMPT : this.#failures;
    this.#failures++;
    const delay = backoffMs(RETRY, attempt, this.#options.random());
    this.#timer.set(Math.max(retryAfterMs, delay), () => this.#attempt());
  }

  /** Keeps the bindings of NAT, and connections. */
  #keepAlive(): void {
    this.#beat.set(KEEP_ALIVE_MS, () => {
      this.#options.keepAlive(this.#dialog!.flow);
      if (++this.#beats % BEATS_PER_LOOKUP === 0) inBackground(this.#lookUp());
      this.#keepAlive();
    });
  }

  /** Registers at once where the registrar has moved to. DNS that does not answer changes nothing. */
  async #lookUp(): Promise<void> {
    const flows = await this.#options.locate().catch(() => undefined);
    if (!flows || this.#status !== 'registered' || this.#stopping) return;
    if (flows.some((flow) => flowKey(flow) === flowKey(this.#dialog!.flow))) this.#holdAll(flows);
    else this.#attempt();
  }

  async #unregister(): Promise<void> {
    if (this.#dialog && this.#boundUntilMs > this.#options.clock.now()) await this.#exchange(0);
    this.#boundUntilMs = 0;
    this.#status = 'unregistered';
    this.#error = undefined;
    this.#holdAll([]);
    this.emit('settled');
  }
}

const neverLongEnough = (): GatewayError =>
  new GatewayError('SIP_REGISTER_FAILED', 'The registrar has refused the time that it asked for (423).');
