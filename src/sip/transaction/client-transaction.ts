import { Timer, type Clock } from '../../runtime/clock.ts';
import { SipRequest, type SipResponse } from '../message/message.ts';
import type { Flow, WireFailure } from '../transport/flow.ts';
import { T1, T2, T4, TRANSACTION_MS } from './sip-timers.ts';

export interface ClientHandlers {
  /** Every response once; each 2xx of an INVITE also when it is repeated. */
  response(response: SipResponse): void;
  /** There is no final response, and none will come. */
  failed(failure: WireFailure | 'timeout'): void;
}

export interface ClientTransactionOptions {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly clock: Clock;
  readonly send: (request: SipRequest, flow: Flow) => void;
  readonly handlers: ClientHandlers;
  /** Called once. */
  readonly onEnd: () => void;
}

type State = 'calling' | 'proceeding' | 'accepted' | 'completed' | 'ended';

/** One request of ours and its responses (RFC 3261, 17.1; RFC 6026). */
export class ClientTransaction {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly #options: ClientTransactionOptions;
  readonly #isInvite: boolean;
  readonly #isReliable: boolean;
  /** Timers A and E, and all that end a state. */
  readonly #repeat: Timer;
  readonly #end: Timer;
  #state: State = 'calling';

  constructor(options: ClientTransactionOptions) {
    this.#options = options;
    this.request = options.request;
    this.flow = options.flow;
    this.#isInvite = options.request.method === 'INVITE';
    this.#isReliable = options.flow.protocol !== 'udp';
    this.#repeat = new Timer(options.clock);
    this.#end = new Timer(options.clock);
  }

  start(): void {
    this.#send(this.request);
    this.#end.set(TRANSACTION_MS, () => this.#fail('timeout'));
    if (!this.#isReliable) this.#repeatAfter(T1);
  }

  /** Whether a CANCEL may be sent: there is a provisional response and no final one (RFC 3261, 9.1). */
  get isCancellable(): boolean {
    return this.#state === 'proceeding';
  }

  /** Whether there is no final response yet. */
  get isPending(): boolean {
    return this.#state === 'calling' || this.#state === 'proceeding';
  }

  receive(response: SipResponse): void {
    const { status } = response;
    if (this.#state === 'ended') return;
    if (status < 200) return this.#receiveProvisional(response);
    const { isPending } = this;
    this.#repeat.clear();
    if (this.#isInvite && status < 300) {
      if (this.#state === 'completed') return;
      if (isPending) this.#enter('accepted', TRANSACTION_MS);
      return this.#options.handlers.response(response);
    }
    if (this.#state === 'accepted') return;
    if (this.#isInvite) this.#send(this.#acknowledgement(response));
    if (!isPending) return;
    this.#enter('completed', this.#isReliable ? 0 : this.#isInvite ? TRANSACTION_MS : T4);
    this.#options.handlers.response(response);
  }

  /** The CANCEL was sent: without a final response the transaction ends (RFC 3261, 9.1). */
  cancelled(): void {
    if (this.isPending) this.#end.set(TRANSACTION_MS, () => this.#fail('timeout'));
  }

  /** Nothing can be sent there. */
  wireFailed(failure: WireFailure): void {
    if (this.isPending) this.#fail(failure);
  }

  /** Idempotent; calls no handler. */
  close(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#repeat.clear();
    this.#end.clear();
    this.#options.onEnd();
  }

  #receiveProvisional(response: SipResponse): void {
    if (!this.isPending) return;
    this.#state = 'proceeding';
    if (this.#isInvite) {
      this.#repeat.clear();
      this.#end.clear();
    }
    this.#options.handlers.response(response);
  }

  #repeatAfter(ms: number): void {
    this.#repeat.set(ms, () => {
      this.#send(this.request);
      if (this.#isInvite) this.#repeatAfter(ms * 2);
      else this.#repeatAfter(this.#state === 'proceeding' ? T2 : Math.min(ms * 2, T2));
    });
  }

  #enter(state: State, ms: number): void {
    this.#state = state;
    this.#repeat.clear();
    this.#end.set(ms, () => this.close());
  }

  #fail(failure: WireFailure | 'timeout'): void {
    this.close();
    this.#options.handlers.failed(failure);
  }

  #send(request: SipRequest): void {
    this.#options.send(request, this.flow);
  }

  /** Of a refusal: it belongs to the transaction, and goes where the INVITE went (RFC 3261, 17.1.1.3). */
  #acknowledgement(response: SipResponse): SipRequest {
    const { request } = this;
    return followUp(request, 'ACK').set('to', response.get('to'));
  }
}

/** A request that belongs to another one's transaction: ACK of a refusal, CANCEL. */
export function followUp(request: SipRequest, method: 'ACK' | 'CANCEL'): SipRequest {
  return new SipRequest(method, request.uri)
    .set('via', request.get('via'))
    .set('max-forwards', '70')
    .set('from', request.get('from'))
    .set('to', request.get('to'))
    .set('call-id', request.callId)
    .set('cseq', `${request.cseq.number} ${method}`)
    .set('route', ...request.all('route'));
}
