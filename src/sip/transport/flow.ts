import type { EventEmitter } from 'node:events';
import type { Protocol } from '../message/address.ts';
import type { SipMessage } from '../message/message.ts';

/** Where messages come from and go to. */
export interface Flow {
  readonly protocol: Protocol;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  /** TLS: the name that the certificate must have. */
  readonly serverName?: string | undefined;
}

export const flowKey = ({ protocol, address, port }: Flow): string => `${protocol} ${address} ${port}`;

export interface WireEvents {
  message: [message: SipMessage, flow: Flow];
  /** Nothing can be sent there: a connection was refused or lost. */
  failed: [flow: Flow, failure: WireFailure];
}

export interface WireFailure {
  readonly kind: 'unreachable' | 'tls';
  readonly message: string;
}

/** Carries messages. The real one has sockets; tests have a simulated network. */
export interface Wire extends EventEmitter<WireEvents> {
  /** Never throws: failures are events. */
  send(data: Buffer, flow: Flow): void;
  /** The address and port that a peer there sees as the gateway's, for Via and Contact. */
  localOf(flow: Flow): { readonly host: string; readonly port: number };
}
