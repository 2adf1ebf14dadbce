import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { Logger } from '../../observe/logger.ts';
import { guarded } from '../../runtime/in-background.ts';
import type { Clock } from '../../runtime/clock.ts';
import { BadMessage } from '../message/bad-message.ts';
import type { SipMessage } from '../message/message.ts';
import { parseDatagram } from '../message/parse-message.ts';
import { bound } from './bound.ts';
import { flowKey, type Flow, type Wire, type WireEvents } from './flow.ts';
import type { LocalAddresses } from './local-addresses.ts';
import { describeMessage } from './trace.ts';
import { StreamConnection, type StreamConnectionHandlers } from './stream-connection.ts';
import { TlsListener } from './tls-listener.ts';

export interface SipTransportOptions {
  /** Bound, for UDP and TCP. */
  readonly address: string;
  /** 0: a free one. */
  readonly port: number;
  /** For TLS connections that come. */
  readonly tls?: { readonly port: number; readonly certificate: Certificate } | undefined;
  readonly locals: LocalAddresses;
  /** Authorities of TLS peers. Called for the first connection: reading them takes time. */
  readonly secureContext: () => SecureContext;
  /** Whether anything is taken from this address. */
  readonly admits: (address: string) => boolean;
  /** Whether one more request is taken from this address. */
  readonly takesRequest: (address: string) => boolean;
  readonly maxConnections: number;
  /** A connection was refused because there are too many. */
  readonly onFull: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface TransportCounts {
  sent: number;
  received: number;
  malformed: number;
  /** From addresses that are not expected, or too fast. */
  refused: number;
}

/** Keep-alive packets of NAT are shorter. */
const LEAST_BYTES = 16;
const RESPONSE = Buffer.from('SIP/2.0 ');

/** The sockets of SIP: one UDP socket, one TCP listener on the same port, one for TLS if calls come so, and connections. */
export class SipTransport extends EventEmitter<WireEvents> implements Wire {
  readonly counts: TransportCounts = { sent: 0, received: 0, malformed: 0, refused: 0 };
  readonly #options: SipTransportOptions;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Map<string, StreamConnection>();
  #port = 0;
  #tls: TlsListener | undefined;
  #closed = false;

  private constructor(options: SipTransportOptions, udp: UdpSocket, tcp: Server) {
    super();
    this.#options = options;
    this.#udp = udp;
    this.#tcp = tcp;
    const survive = (error: unknown): void => options.logger.error({ err: error }, 'a SIP message failed');
    udp.on(
      'message',
      guarded(survive, (data: Buffer, from: RemoteInfo) => this.#takeDatagram(data, from)),
    );
    udp.on('error', (error) => options.logger.warn({ err: error }, 'the SIP socket reports an error'));
    tcp.on(
      'connection',
      guarded(survive, (socket: Socket) => this.#accept(socket, 'tcp')),
    );
    tcp.on('error', (error) => options.logger.warn({ err: error }, 'the SIP listener reports an error'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  static async create(options: SipTransportOptions): Promise<SipTransport> {
    const type = options.address.includes(':') ? 'udp6' : 'udp4';
    // A port that is free for UDP may be taken for TCP.
    for (let attempt = 0; ; attempt++) {
      const udp = createSocket({ type, recvBufferSize: 1024 * 1024 });
      const tcp = createServer();
      try {
        await bound(udp, (done) => udp.bind(options.port, options.address, done));
        const { port } = udp.address();
        await bound(tcp, (done) => tcp.listen(port, options.address, done));
        const transport = new SipTransport(options, udp, tcp);
        transport.#port = port;
        return await transport.#listenTls();
      } catch (error) {
        udp.close();
        tcp.close();
        if (error instanceof GatewayError) throw error;
        if (options.port === 0 && attempt < 10) continue;
        const { code, message } = error as NodeJS.ErrnoException;
        throw new GatewayError(
          'SETTINGS_INVALID',
          `sip_port ${options.port} cannot be bound on ${options.address}, for UDP and TCP ` +
            `(${code ?? message}). Stop the program that uses it, or set sip_port to a free port or to 0.`,
          { cause: error },
        );
      }
    }
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  localOf({ protocol, address }: Flow): { host: string; port: number } {
    const port = (protocol === 'tls' && this.#options.tls?.port) || this.#port;
    return { host: this.#options.locals.of(address), port };
  }

  send(data: Buffer, flow: Flow): void {
    if (this.#closed) return;
    this.counts.sent++;
    if (flow.protocol === 'udp') {
      this.#udp.send(data, flow.port, flow.address, (error) => {
        if (error) this.#fail(flow, error.message);
      });
      return;
    }
    const connection = this.#connections.get(flowKey(flow)) ?? this.#connect(flow);
    connection?.write(data);
  }

  /** An empty line keeps the bindings of NAT (RFC 5626, 3.5.1). */
  keepAlive(flow: Flow): void {
    if (!this.#closed && flow.protocol === 'udp') this.#udp.send('\r\n\r\n', flow.port, flow.address, () => undefined);
    else this.#connections.get(flowKey(flow))?.write(Buffer.from('\r\n\r\n'));
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.close();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
      this.#tls?.close(),
    ]);
  }

  #takeDatagram(data: Buffer, { address, port }: RemoteInfo): void {
    // Nothing is read, and nothing answered, for addresses that are not expected.
    if (!this.#options.admits(address)) return void this.counts.refused++;
    if (data.length < LEAST_BYTES) return;
    const isResponse = data.subarray(0, RESPONSE.length).equals(RESPONSE);
    if (!isResponse && !this.#options.takesRequest(address)) return void this.counts.refused++;
    let message;
    try {
      message = parseDatagram(data);
    } catch (error) {
      return this.#malformed(error);
    }
    this.#take(message, { protocol: 'udp', address, port });
  }

  #take(message: SipMessage, flow: Flow): void {
    this.counts.received++;
    this.#options.logger.debug({ from: flow.address, message: describeMessage(message) }, 'SIP message received');
    this.emit('message', message, flow);
  }

  #malformed(error: unknown): void {
    if (!(error instanceof BadMessage)) throw error;
    this.counts.malformed++;
    this.#options.logger.debug({ reason: error.message }, 'a malformed SIP message was dropped');
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  async #listenTls(): Promise<this> {
    const { tls, address, maxConnections, logger } = this.#options;
    if (!tls) return this;
    this.#tls = await TlsListener.create({
      ...{ ...tls, address, maxConnections, logger },
      admits: (socket) => this.#admits(socket),
      takes: (socket) => this.#accept(socket, 'tls'),
    });
    return this;
  }

  #admits({ remoteAddress = '' }: Socket): boolean {
    if (this.#options.admits(plainAddress(remoteAddress))) return true;
    this.counts.refused++;
    return false;
  }

  #accept(socket: Socket, protocol: 'tcp' | 'tls'): void {
    const { remoteAddress = '', remotePort: port = 0 } = socket;
    const isAdmitted = this.#admits(socket);
    if (!isAdmitted || this.#isFull()) {
      if (isAdmitted) this.counts.refused++;
      socket.on('error', () => undefined).destroy();
      return;
    }
    const flow: Flow = { protocol, address: plainAddress(remoteAddress), port };
    this.#add(flow, (handlers) => StreamConnection.accept(socket, handlers, this.#options.clock));
  }

  #isFull(): boolean {
    if (this.#connections.size < this.#options.maxConnections) return false;
    this.#options.onFull();
    return true;
  }

  #connect(flow: Flow): StreamConnection | undefined {
    const { address, secureContext, clock } = this.#options;
    if (this.#isFull()) {
      this.#fail(flow, 'max_sip_connections is reached');
      return undefined;
    }
    try {
      const localAddress = address === '0.0.0.0' || address === '::' ? undefined : address;
      const tls = flow.protocol === 'tls' ? secureContext() : undefined;
      return this.#add(flow, (handlers) =>
        StreamConnection.open(flow, { localAddress, secureContext: tls }, handlers, clock),
      );
    } catch (error) {
      this.#fail(flow, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #add(flow: Flow, create: (handlers: StreamConnectionHandlers) => StreamConnection): StreamConnection {
    const key = flowKey(flow);
    const connection = create({
      message: (message) => {
        if (message.kind === 'request' && !this.#options.takesRequest(flow.address)) this.counts.refused++;
        else this.#take(message, flow);
      },
      malformed: (error) => this.#malformed(error),
      closed: (failure) => {
        if (this.#connections.get(key) === connection) this.#connections.delete(key);
        this.emit('failed', flow, failure);
      },
    });
    this.#connections.set(key, connection);
    return connection;
  }

  /** Not at once: the sender has not finished what it does. */
  #fail(flow: Flow, message: string): void {
    setImmediate(
      guarded(
        () => undefined,
        () => this.emit('failed', flow, { kind: 'unreachable', message }),
      ),
    );
  }
}

const plainAddress = (address: string): string => address.replace(/^::ffff:/, '');
