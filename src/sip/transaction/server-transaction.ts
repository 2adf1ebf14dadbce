import { Timer, type Clock } from '../../runtime/clock.ts';
import type { SipRequest, SipResponse } from '../message/message.ts';
import type { Flow } from '../transport/flow.ts';
import { INVITE_LIFE_MS, T1, T2, T4, TRANSACTION_MS } from './sip-timers.ts';

export interface ServerTransactionOptions {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly clock: Clock;
  readonly send: (response: SipResponse, flow: Flow) => void;
  /** Called once. */
  readonly onEnd: () => void;
}

type State = 'proceeding' | 'accepted' | 'completed' | 'confirmed' | 'ended';

/** One request of a peer and our responses (RFC 3261, 17.2; RFC 6026). */
export class ServerTransaction {
  readonly request: SipRequest;
  readonly flow: Flow;
  /** The peer has cancelled its INVITE, which has no final response yet. */
  onCancel: (() => void) | undefined;
  /** The 2xx of an INVITE was not acknowledged. */
  onNoAck: (() => void) | undefined;
  readonly #options: ServerTransactionOptions;
  readonly #isInvite: boolean;
  readonly #isReliable: boolean;
  readonly #repeat: Timer;
  readonly #end: Timer;
  #state: State = 'proceeding';
  #last: SipResponse | undefined;

  constructor(options: ServerTransactionOptions) {
    this.#options = options;
    this.request = options.request;
    this.flow = options.flow;
    this.#isInvite = options.request.method === 'INVITE';
    this.#isReliable = options.flow.protocol !== 'udp';
    this.#repeat = new Timer(options.clock);
    this.#end = new Timer(options.clock);
    this.#end.set(this.#isInvite ? INVITE_LIFE_MS : TRANSACTION_MS, () => this.close());
  }

  /** Whether there is no final response yet. */
  get isPending(): boolean {
    return this.#state === 'proceeding';
  }

  /**
   * A request with the same branch: a repetition, or the ACK.
   *
   * @returns whether it belongs to this transaction; the ACK of a 2xx does not
   */
  receive(request: SipRequest): boolean {
    if (request.method === 'ACK') {
      if (this.#state === 'accepted') return false;
      if (this.#state !== 'completed') return true;
      this.#repeat.clear();
      this.#state = 'confirmed';
      this.#end.set(this.#isReliable ? 0 : T4, () => this.close());
      return true;
    }
    if (this.#last && this.#state !== 'accepted' && this.#state !== 'confirmed') this.#send(this.#last);
    return true;
  }

  /** Nothing follows a final response. */
  reply(response: SipResponse): void {
    if (this.#state !== 'proceeding') return;
    this.#last = response;
    this.#send(response);
    if (response.status < 200) return;
    if (!this.#isInvite) {
      this.#state = 'completed';
      return this.#end.set(this.#isReliable ? 0 : TRANSACTION_MS, () => this.close());
    }
    if (response.status < 300) {
      // Repeated over reliable transports too: proxies may change to an unreliable one (RFC 3261, 13.3.1.4).
      this.#state = 'accepted';
      this.#repeatAfter(T1, response);
      return this.#end.set(TRANSACTION_MS, () => {
        this.close();
        this.onNoAck?.();
      });
    }
    this.#state = 'completed';
    if (!this.#isReliable) this.#repeatAfter(T1, response);
    this.#end.set(TRANSACTION_MS, () => this.close());
  }

  /** The ACK of the 2xx has come. */
  acknowledged(): void {
    if (this.#state !== 'accepted') return;
    this.#repeat.clear();
    this.#end.set(TRANSACTION_MS, () => this.close());
  }

  /** Idempotent. */
  close(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#repeat.clear();
    this.#end.clear();
    this.#options.onEnd();
  }

  #repeatAfter(ms: number, response: SipResponse): void {
    this.#repeat.set(ms, () => {
      this.#send(response);
      this.#repeatAfter(Math.min(ms * 2, T2), response);
    });
  }

  #send(response: SipResponse): void {
    this.#options.send(response, this.flow);
  }
}
