import { EventEmitter } from 'node:events';
import { Secret } from '../../src/net/secret.ts';
import type { LegMedia } from '../../src/sip/dialog/call-leg.ts';
import { UserAgent, type UserAgentOptions } from '../../src/sip/dialog/user-agent.ts';
import type { SipMessage } from '../../src/sip/message/message.ts';
import { parseDatagram } from '../../src/sip/message/parse-message.ts';
import { TransactionLayer } from '../../src/sip/transaction/transaction-layer.ts';
import type { Flow, Wire, WireEvents } from '../../src/sip/transport/flow.ts';
import { FakeClock } from './fake-clock.ts';

/** Sent over the simulated network. */
export interface SentMessage {
  readonly from: string;
  readonly to: Flow;
  readonly message: SipMessage;
  readonly isLost: boolean;
}

/** Hosts that exchange messages after 10 ms, of which chosen ones are lost. */
export class SipNetwork {
  readonly clock = new FakeClock();
  readonly sent: SentMessage[] = [];
  readonly #wires = new Map<string, FakeWire>();
  /** Whether a message is lost. */
  loses: (message: SipMessage, from: string) => boolean = () => false;
  /** Hosts without TCP. */
  readonly refusesTcp = new Set<string>();

  wire(address: string): FakeWire {
    const wire = new FakeWire(address, (data, to) => this.#carry(address, data, to));
    this.#wires.set(address, wire);
    return wire;
  }

  #carry(from: string, data: Buffer, to: Flow): void {
    const message = parseDatagram(data);
    const isLost = this.loses(message, from);
    this.sent.push({ from, to, message, isLost });
    const deliver = (run: () => void): void => void this.clock.after(10, run);
    if (isLost) return;
    deliver(() => {
      if (to.protocol !== 'udp' && this.refusesTcp.has(to.address))
        this.#wires.get(from)!.emit('failed', to, { kind: 'unreachable', message: 'ECONNREFUSED' });
      else
        this.#wires
          .get(to.address)
          ?.emit('message', parseDatagram(data), { protocol: to.protocol, address: from, port: 5060 });
    });
  }

  /** What was sent, such as `a INVITE`, `b 200 INVITE`. */
  get lines(): string[] {
    return this.sent.map(({ from, message }) => `${from} ${nameOf(message)}`);
  }
}

export const nameOf = (message: SipMessage): string =>
  message.kind === 'request' ? message.method : `${message.status} ${message.method}`;

export class FakeWire extends EventEmitter<WireEvents> implements Wire {
  readonly address: string;
  readonly #carry: (data: Buffer, to: Flow) => void;

  constructor(address: string, carry: (data: Buffer, to: Flow) => void) {
    super();
    this.address = address;
    this.#carry = carry;
  }

  send(data: Buffer, to: Flow): void {
    this.#carry(data, to);
  }

  localOf(): { host: string; port: number } {
    return { host: this.address, port: 5060 };
  }
}

/** Media that remembers what it was told. */
export class FakeMedia implements LegMedia {
  readonly offers: string[] = [];
  readonly answers: string[] = [];
  readonly #name: string;
  refuses = false;

  constructor(name: string) {
    this.#name = name;
  }

  offer(): string {
    return `offer of ${this.#name}`;
  }

  answer(offer: string): string | undefined {
    this.offers.push(offer);
    return this.refuses ? undefined : `answer of ${this.#name}`;
  }

  accept(answer: string): void {
    this.answers.push(answer);
  }
}

export const flowTo = (address: string, protocol: Flow['protocol'] = 'udp'): Flow => ({
  protocol,
  address,
  port: 5060,
});

export interface FakeHost {
  readonly wire: FakeWire;
  readonly layer: TransactionLayer;
  readonly agent: UserAgent;
  readonly media: FakeMedia;
}

/** A host with a user agent. */
export function openHost(network: SipNetwork, address: string, options: Partial<UserAgentOptions> = {}): FakeHost {
  const wire = network.wire(address);
  const layer = new TransactionLayer({ wire, clock: network.clock, maxDatagram: 1300 });
  const agent = new UserAgent({
    layer,
    clock: network.clock,
    random: () => 0.5,
    userAgent: 'test',
    localOf: () => wire.localOf(),
    permits: () => true,
    ...options,
  });
  return { wire, layer, agent, media: new FakeMedia(address) };
}

export const password = (text: string): Secret => new Secret(text);
