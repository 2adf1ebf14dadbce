import type { RawData, WebSocket } from 'ws';
import { closeWebSocket } from '../net/close-socket.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { limitHits } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import { guarded } from '../runtime/in-background.ts';
import { ConnectionSchema, encodeMessage, EnvelopeSchema, type Connection, type ServerMessages } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { WcsLimits } from './wcs-limits.ts';

/** What serves the client. An exception or a rejection ends its connection. */
export interface LinkHandler {
  /** The first message of the client. */
  connect(connection: Connection): unknown;
  /** @param text the whole message */
  receive(message: string, argument: unknown, text: string): unknown;
  /** The socket is closed; nothing follows. */
  closed(): void;
}

export interface ClientLinkOptions {
  readonly limits: Pick<WcsLimits, 'messages' | 'queuedBytes'>;
  readonly logger: Logger;
}

/**
 * Milliseconds between two pings. They also keep the connection open through proxies, which drop idle ones after 30 to
 * 60 s.
 */
const PING_INTERVAL_MS = 10_000;
/**
 * Milliseconds without any message, pongs included, after which the client counts as lost. Allows for two lost pongs.
 */
const SILENCE_LIMIT_MS = 30_000;
/** Milliseconds in which a client must send `connection`. */
const CONNECTION_TIMEOUT_MS = 10_000;
/** Characters of a `connection`, which is sent back to the client. The SDK's has less than 2000. */
const MAX_CONNECTION_LENGTH = 64 * 1024;
/** Milliseconds in which a client that is cut off can read why, or may answer when the server shuts down. */
const CLOSE_GRACE_MS = 500;

/** Not UTF-8. A browser that gets it as a text message fails the connection (RFC 6455, 8.1). */
const UNDECODABLE = Buffer.from([0xff]);

/** The WebSocket of one page, at a node or a manager: its messages, its bounds, whether it is alive, and how it ends. */
export class ClientLink {
  readonly #socket: WebSocket;
  readonly #logger: Logger;
  readonly #handler: LinkHandler;
  readonly #outbox: Outbox;
  readonly #bucket: TokenBucket;
  readonly #ping: NodeJS.Timeout;
  readonly #connectionTimeout: NodeJS.Timeout;
  readonly #closed = Promise.withResolvers<void>();
  #connection: Connection | undefined;
  #heardAt = performance.now();

  constructor(socket: WebSocket, { limits, logger }: ClientLinkOptions, handler: LinkHandler) {
    this.#socket = socket;
    this.#logger = logger;
    this.#handler = handler;
    this.#bucket = new TokenBucket(limits.messages);
    this.#outbox = new Outbox(socket, limits.queuedBytes, (queuedBytes) => {
      limitHits.count('max_ws_queued_kb');
      logger.warn({ queuedBytes }, 'the client does not read its messages; closing its WebSocket');
    });
    this.#ping = setInterval(() => this.#checkAlive(), PING_INTERVAL_MS);
    this.#connectionTimeout = setTimeout(() => {
      logger.info('the client has not sent "connection" in time; closing its WebSocket');
      this.end(1008, 'connection expected');
    }, CONNECTION_TIMEOUT_MS);
    const terminate = (): void => this.terminate();
    socket.on(
      'message',
      guarded(terminate, (raw: RawData, isBinary: boolean) => this.#receive(raw, isBinary)),
    );
    socket.on('error', (error) => logger.debug({ err: error }, 'WebSocket error'));
    socket.once('close', (code: number) => {
      clearInterval(this.#ping);
      clearTimeout(this.#connectionTimeout);
      logger.debug({ code }, 'WebSocket closed');
      guarded(terminate, () => handler.closed())();
      this.#closed.resolve();
    });
  }

  get isOpen(): boolean {
    return this.#outbox.isOpen;
  }

  send<Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]): void {
    this.#outbox.send(encodeMessage(message, ...data));
  }

  /** Sends an encoded message. */
  sendText(text: string): void {
    this.#outbox.send(text);
  }

  /** As {@link Outbox.sendLarge}. */
  sendLarge(text: string): Promise<void> {
    return this.#outbox.sendLarge(text);
  }

  /** Refuses the client's `connection`, and closes the socket. */
  refuse(info: string, code?: string): void {
    this.send('fail', { apiMethod: 'connection', status: 'FAILED', info, ...(code !== undefined && { code }) });
    // After a proper close, the Web SDK's session gets DISCONNECTED. It gets FAILED, as with WCS, only if the connection
    // breaks.
    if (this.#isWebSdk) this.#socket.send(UNDECODABLE, { binary: false });
    this.end(1008, 'connection refused');
  }

  /** Closes the socket. @param reason without text of clients */
  end(code: number, reason: string): void {
    closeWebSocket(this.#socket, code, reason);
  }

  /** Closes the socket without reading what the client goes on to send. */
  cutOff(reason: string): void {
    this.end(1008, reason);
    // Its answer to the close is not read either.
    this.#socket.pause();
    setTimeout(() => this.terminate(), CLOSE_GRACE_MS).unref();
  }

  /** Ends the connection at once. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Closes the socket because the server shuts down. Idempotent; resolves when the socket is closed. */
  async close(): Promise<void> {
    this.end(1001, 'going away');
    // A page that does not answer must not delay the shutdown.
    const impatience = setTimeout(() => this.terminate(), CLOSE_GRACE_MS);
    await this.#closed.promise;
    clearTimeout(impatience);
  }

  /** The official SDK, in a browser: only its `connection` has this. */
  get #isWebSdk(): boolean {
    return this.#connection?.['msePacketizationVersion'] !== undefined;
  }

  #checkAlive(): void {
    if (performance.now() - this.#heardAt <= SILENCE_LIMIT_MS) return this.send('ping');
    this.#logger.info('the client has been silent for too long; closing its WebSocket');
    this.terminate();
  }

  #receive(raw: RawData, isBinary: boolean): unknown {
    if (!this.isOpen) return;
    this.#heardAt = performance.now();
    if (!this.#bucket.take(this.#heardAt)) {
      limitHits.count('max_ws_messages_per_second');
      this.#logger.warn('the client sends too many messages; closing its WebSocket');
      return this.cutOff('too many messages');
    }
    if (isBinary) return this.#logger.debug('binary message ignored');
    const text = String(raw);
    let envelope;
    try {
      envelope = EnvelopeSchema.parse(JSON.parse(text));
    } catch {
      return this.#logger.debug('message that is not {"message", "data"} ignored');
    }
    const { message, data } = envelope;
    const argument = data[0];
    if (message === 'connection') return this.#connect(argument);
    if (message === 'ping') return this.send('pong');
    if (message === 'pong') return;
    if (!this.#connection) return this.#logger.debug({ message }, 'message before "connection" ignored');
    return this.#handler.receive(message, argument, text);
  }

  #connect(argument: unknown): unknown {
    if (this.#connection) return this.#logger.debug('repeated "connection" ignored');
    const connection = ConnectionSchema.safeParse(argument ?? {});
    if (!connection.success) return this.#logger.debug('malformed "connection" ignored');
    clearTimeout(this.#connectionTimeout);
    if (JSON.stringify(connection.data).length > MAX_CONNECTION_LENGTH)
      return this.end(1009, '"connection" is too large');
    this.#connection = connection.data;
    return this.#handler.connect(connection.data);
  }
}
