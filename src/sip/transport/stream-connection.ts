import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { guarded } from '../../runtime/in-background.ts';
import { Timer, type Clock } from '../../runtime/clock.ts';
import type { SipMessage } from '../message/message.ts';
import type { Flow, WireFailure } from './flow.ts';
import { MessageReader } from './message-reader.ts';

export interface StreamConnectionHandlers {
  message(message: SipMessage): void;
  /** Bytes that are not SIP. */
  malformed(error: unknown): void;
  /** The connection has ended; called once. */
  closed(failure: WireFailure): void;
}

/** Milliseconds for a connection with its TLS handshake, and for one message from its first byte on. */
const CONNECT_MS = 10_000;
const MESSAGE_MS = 30_000;
/** Milliseconds without a message after which a connection ends; the next message opens it again. */
const IDLE_MS = 15 * 60_000;
/** Bytes that wait for a peer which does not read. */
const MAX_QUEUED = 1024 * 1024;

/** One TCP or TLS connection. Nothing of it throws. */
export class StreamConnection {
  readonly #socket: Socket;
  readonly #handlers: StreamConnectionHandlers;
  readonly #reader = new MessageReader();
  readonly #timer: Timer;
  #isOpen: boolean;
  /** A part of a message has come. */
  #isReading = false;
  #failure: WireFailure | undefined;

  private constructor(
    socket: Socket,
    isOpen: boolean,
    opened: string,
    handlers: StreamConnectionHandlers,
    clock: Clock,
  ) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#isOpen = isOpen;
    this.#timer = new Timer(clock);
    const end = (): void => this.close();
    const guard = <Args extends unknown[]>(listener: (...args: Args) => void) => guarded<Args>(end, listener);
    socket.setNoDelay(true);
    socket.once(
      opened,
      guard(() => {
        this.#isOpen = true;
        this.#wait(IDLE_MS, 'nothing was exchanged');
      }),
    );
    socket.on(
      'data',
      guard((chunk: Buffer) => this.#read(chunk)),
    );
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure ??= failureOf(error, this.#isOpen);
    });
    socket.once(
      'close',
      guard(() => {
        this.#timer.clear();
        handlers.closed(this.#failure ?? { kind: 'unreachable', message: 'the connection was closed' });
      }),
    );
    if (isOpen) this.#wait(IDLE_MS, 'nothing was exchanged');
    else this.#wait(CONNECT_MS, 'the connection was not accepted in time');
  }

  /** @param localAddress bound; without it the system chooses */
  static open(
    flow: Flow,
    { localAddress, secureContext }: { localAddress?: string | undefined; secureContext?: SecureContext | undefined },
    handlers: StreamConnectionHandlers,
    clock: Clock,
  ): StreamConnection {
    const { address: host, port, serverName = '' } = flow;
    const place = { host, port, ...(localAddress !== undefined && { localAddress }) };
    if (flow.protocol !== 'tls') return new StreamConnection(connectTcp(place), false, 'connect', handlers, clock);
    const socket = connectTls({
      ...place,
      // The certificate is compared with `host` if there is no server name.
      ...(serverName !== '' && isIP(serverName) === 0 ? { servername: serverName } : { servername: '' }),
      secureContext,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
    });
    return new StreamConnection(socket, false, 'secureConnect', handlers, clock);
  }

  static accept(socket: Socket, handlers: StreamConnectionHandlers, clock: Clock): StreamConnection {
    return new StreamConnection(socket, true, 'never', handlers, clock);
  }

  write(data: Buffer): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(data);
    if (this.#socket.writableLength > MAX_QUEUED) this.#fail('the peer does not read');
  }

  /** Idempotent. */
  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let messages;
    try {
      messages = this.#reader.push(chunk);
    } catch (error) {
      this.#handlers.malformed(error);
      return this.close();
    }
    for (const message of messages) this.#handlers.message(message);
    if (!this.#reader.isWaiting) this.#wait(IDLE_MS, 'nothing was exchanged');
    else if (messages.length > 0 || !this.#isReading) this.#wait(MESSAGE_MS, 'a message was not completed in time');
    this.#isReading = this.#reader.isWaiting;
  }
  #wait(ms: number, why: string): void {
    this.#timer.set(ms, () => this.#fail(why));
  }

  #fail(message: string): void {
    this.#failure ??= { kind: 'unreachable', message };
    this.close();
  }
}

/** Errors of the socket have a system call; those of TLS do not. */
function failureOf({ code, syscall, message }: NodeJS.ErrnoException, isOpen: boolean): WireFailure {
  if (syscall !== undefined || isOpen || code === 'ECONNRESET')
    return { kind: 'unreachable', message: code ?? message };
  return { kind: 'tls', message: code ?? message };
}
