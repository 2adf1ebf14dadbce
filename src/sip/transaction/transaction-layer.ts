import { EventEmitter } from 'node:events';
import { formatHost } from '../message/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import { respond, type SipMessage, type SipRequest, type SipResponse } from '../message/message.ts';
import { flowKey, type Flow, type Wire, type WireFailure } from '../transport/flow.ts';
import { randomText } from '../random-text.ts';
import { ClientTransaction, followUp, type ClientHandlers } from './client-transaction.ts';
import { ServerTransaction } from './server-transaction.ts';

export interface TransactionLayerOptions {
  readonly wire: Wire;
  readonly clock: Clock;
  /** Requests over UDP that are longer go over TCP, if the peer accepts it (RFC 3261, 18.1.1). Bytes. */
  readonly maxDatagram: number;
}

export interface TransactionLayerEvents {
  /** A request that belongs to no transaction; {@link TransactionLayer.accept} makes one. */
  request: [request: SipRequest, flow: Flow];
  /** The ACK of a 2xx. */
  ack: [request: SipRequest];
}

/** Transactions of both roles together: above any load that `max_calls` allows, and a bound for floods. */
const MAX_TRANSACTIONS = 5000;

const MAGIC = 'z9hG4bK';

/** Matches messages to transactions. */
export class TransactionLayer extends EventEmitter<TransactionLayerEvents> {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #maxDatagram: number;
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #servers = new Map<string, ServerTransaction>();
  /** Messages that were dropped: responses from elsewhere, or more transactions than are kept. */
  dropped = 0;

  constructor({ wire, clock, maxDatagram }: TransactionLayerOptions) {
    super();
    this.#wire = wire;
    this.#clock = clock;
    this.#maxDatagram = maxDatagram;
    wire.on('message', (message, flow) => this.#take(message, flow));
    wire.on('failed', (flow, failure) => this.#wireFailed(flow, failure));
  }

  get size(): number {
    return this.#clients.size + this.#servers.size;
  }

  /** Where nothing else can be started. */
  get isFull(): boolean {
    return this.size >= MAX_TRANSACTIONS;
  }

  /**
   * Sends a request. Its Via is set here.
   *
   * @returns the transaction; over another flow if the first one did not work, so it can change
   */
  request(request: SipRequest, flow: Flow, handlers: ClientHandlers): { readonly current: ClientTransaction } {
    const isLong = flow.protocol === 'udp' && this.#lengthOf(request, flow) > this.#maxDatagram;
    if (!isLong) return { current: this.#start(request, flow, handlers) };
    const handle = { current: undefined as unknown as ClientTransaction };
    const overTcp: ClientHandlers = {
      response: (response) => handlers.response(response),
      // Providers without TCP take long datagrams.
      failed: (failure) => {
        if (failure === 'timeout') handlers.failed(failure);
        else handle.current = this.#start(request, flow, handlers);
      },
    };
    handle.current = this.#start(request, { ...flow, protocol: 'tcp' }, overTcp);
    return handle;
  }

  /** Sends the CANCEL of an INVITE. */
  cancel(invite: ClientTransaction): void {
    if (!invite.isCancellable) return;
    invite.cancelled();
    const cancel = followUp(invite.request, 'CANCEL');
    this.#run(cancel, invite.flow, { response: () => undefined, failed: () => undefined });
  }

  /** Sends the ACK of a 2xx, which is a transaction of its own without responses. */
  acknowledge(ack: SipRequest, flow: Flow): void {
    ack.set('via', this.#via(flow, randomText()));
    this.#wire.send(ack.toBuffer(), flow);
  }

  /** @returns `undefined` while there are too many */
  accept(request: SipRequest, flow: Flow): ServerTransaction | undefined {
    if (this.isFull) {
      this.dropped++;
      return undefined;
    }
    const key = serverKey(request, flow, request.method);
    const transaction = new ServerTransaction({
      request,
      flow,
      clock: this.#clock,
      send: (response, to) => this.reply(response, to),
      onEnd: () => this.#servers.delete(key),
    });
    this.#servers.set(key, transaction);
    return transaction;
  }

  /** Sends a response without a transaction: one message for one message. */
  reply(response: SipResponse, flow: Flow): void {
    this.#wire.send(response.toBuffer(), flow);
  }

  close(): void {
    for (const transaction of [...this.#clients.values(), ...this.#servers.values()]) transaction.close();
  }

  #start(request: SipRequest, flow: Flow, handlers: ClientHandlers): ClientTransaction {
    request.set('via', this.#via(flow, randomText()));
    return this.#run(request, flow, handlers);
  }

  #run(request: SipRequest, flow: Flow, handlers: ClientHandlers): ClientTransaction {
    const key = clientKey(request.via.params.get('branch'), request.method);
    const transaction = new ClientTransaction({
      request,
      flow,
      clock: this.#clock,
      send: (message, to) => this.#wire.send(message.toBuffer(), to),
      handlers,
      onEnd: () => this.#clients.delete(key),
    });
    this.#clients.set(key, transaction);
    transaction.start();
    return transaction;
  }

  #via(flow: Flow, branch: string): string {
    const { host, port } = this.#wire.localOf(flow);
    return `SIP/2.0/${flow.protocol.toUpperCase()} ${formatHost(host)}:${port};branch=${MAGIC}${branch};rport`;
  }

  #lengthOf(request: SipRequest, flow: Flow): number {
    return request.set('via', this.#via(flow, randomText())).toBuffer().length;
  }

  #wireFailed(flow: Flow, failure: WireFailure): void {
    const key = flowKey(flow);
    for (const transaction of [...this.#clients.values()])
      if (flowKey(transaction.flow) === key) transaction.wireFailed(failure);
  }

  #take(message: SipMessage, flow: Flow): void {
    if (message.kind === 'request') this.#takeRequest(message, flow);
    else this.#takeResponse(message, flow);
  }

  #takeResponse(response: SipResponse, flow: Flow): void {
    const transaction = this.#clients.get(clientKey(response.via.params.get('branch'), response.method));
    const isExpected =
      transaction?.flow.address === flow.address &&
      response.all('via').length === 1 &&
      response.callId === transaction.request.callId;
    if (isExpected) transaction.receive(response);
    else this.dropped++;
  }

  #takeRequest(request: SipRequest, flow: Flow): void {
    routeBack(request, flow);
    const { method } = request;
    const existing = this.#servers.get(serverKey(request, flow, method === 'ACK' ? 'INVITE' : method));
    if (existing?.receive(request)) return;
    if (method === 'ACK') return void this.emit('ack', request);
    if (method === 'CANCEL') return this.#cancelled(request, flow);
    this.emit('request', request, flow);
  }

  #cancelled(request: SipRequest, flow: Flow): void {
    const invite = this.#servers.get(serverKey(request, flow, 'INVITE'));
    // Anybody can send it: nothing is remembered.
    this.reply(respond(request, invite ? 200 : 481, { toTag: randomText() }), flow);
    if (invite?.isPending) invite.onCancel?.();
  }
}

const clientKey = (branch: string | undefined, method: string): string => `${branch} ${method}`;

/** With the sender, who chooses the branch. */
function serverKey(request: SipRequest, flow: Flow, method: string): string {
  const { host, port, params } = request.via;
  return `${params.get('branch')} ${host} ${port} ${method} ${flow.address}`;
}

/** Responses go to where the request came from (RFC 3581). */
function routeBack(request: SipRequest, flow: Flow): void {
  const [first = '', ...others] = request.all('via');
  const { host, params } = request.via;
  const hasPort = params.has('rport');
  const answered = first.replace(/;\s*rport(?=\s*(?:;|$))/i, `;rport=${flow.port}`);
  const received = host !== flow.address || hasPort ? `;received=${formatHost(flow.address)}` : '';
  request.set('via', answered + received, ...others);
}
