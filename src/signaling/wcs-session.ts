import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { RawData, WebSocket } from 'ws';
import type { Action, Credentials, Grant, Principal, Resource } from '../access/authorizer.ts';
import { ANONYMOUS } from '../access/open-access.ts';
import { toGatewayError } from '../errors.ts';
import { Secret } from '../net/secret.ts';
import { limitHits } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClientConnection } from '../publish/client-sessions.ts';
import { credentialOf, giveToken, ownerOf } from './auth-token.ts';
import * as messages from './messages.ts';
import { encodeMessage, type ServerMessages } from './messages.ts';
import { Outbox } from './outbox.ts';
import { SessionData } from './session-data.ts';
import { checkNoRoomEvent, ROOM_APP } from '../rooms/doors/room-api.ts';
import { SessionRooms } from './session-rooms.ts';
import { SessionSnapshots } from './session-snapshots.ts';
import { SessionStreams } from './session-streams.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import type { WcsContext } from './wcs-server.ts';
import { guarded, inBackground } from '../runtime/in-background.ts';
import { closeWebSocket } from '../net/close-socket.ts';
import { wallClockDate } from '../runtime/wall-clock.ts';

export interface WcsSessionEvents {
  /** The socket is closed and its streams are held or ended; nothing follows. */
  closed: [];
}

/** What is known of a client from its HTTP request. */
export interface WcsClient {
  readonly ip: string;
  readonly host?: string | undefined;
  readonly userAgent?: string | undefined;
  /** The connection is from a manager of the cluster, which acts for the client. */
  readonly viaManager?: boolean | undefined;
  /** `?token=` of the URL. */
  readonly token?: string | undefined;
  /** The other parameters of the URL. */
  readonly query?: Readonly<Record<string, unknown>> | undefined;
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
/** Milliseconds in which a client that is cut off can read why. */
const CUT_OFF_MS = 500;
/** Messages that may wait while the client is being identified. The SDK sends none before it has the answer. */
const MAX_WAITING_MESSAGES = 32;

/** Not UTF-8. A browser that gets it as a text message fails the connection (RFC 6455, 8.1). */
const UNDECODABLE = Buffer.from([0xff]);

/** One socket of one page: checks its messages and routes them. */
export class WcsSession extends EventEmitter<WcsSessionEvents> {
  readonly id = randomUUID();
  readonly context: WcsContext;
  readonly logger: Logger;
  readonly #socket: WebSocket;
  readonly #client: WcsClient;
  readonly #outbox: Outbox;
  readonly #streams: SessionStreams;
  readonly #snapshots: SessionSnapshots;
  readonly #data: SessionData;
  #rooms: SessionRooms | undefined;
  readonly #bucket: TokenBucket;
  readonly #ping: NodeJS.Timeout;
  readonly #connectionTimeout: NodeJS.Timeout;
  /** Messages that came while the client was being identified. */
  #waiting: [message: string, argument: unknown][] | undefined;
  #heardAt = performance.now();
  #principal: Principal | undefined;
  #appKey: string | undefined;
  #owner: string | undefined;
  #unlist: (() => void) | undefined;
  #ended = false;

  constructor(socket: WebSocket, context: WcsContext, client: WcsClient) {
    super();
    this.#socket = socket;
    this.#client = client;
    this.context = context;
    this.logger = context.logger.child({ session: this.id });
    this.logger.debug({ remoteAddress: client.ip }, 'WebSocket opened');
    const { messages: rate, queuedBytes } = context.limits;
    this.#bucket = new TokenBucket(rate);
    this.#outbox = new Outbox(socket, queuedBytes, (queued) => {
      limitHits.count('max_ws_queued_kb');
      this.logger.warn({ queuedBytes: queued }, 'the client does not read its messages; closing its WebSocket');
    });
    this.#streams = new SessionStreams(this);
    this.#snapshots = new SessionSnapshots(this, this.#outbox);
    this.#data = new SessionData(this);
    this.#ping = setInterval(() => this.#checkAlive(), PING_INTERVAL_MS);
    this.#connectionTimeout = setTimeout(() => {
      this.logger.info('the client has not sent "connection" in time; closing its WebSocket');
      closeWebSocket(socket, 1008, 'connection expected');
    }, CONNECTION_TIMEOUT_MS);
    const terminate = (): void => socket.terminate();
    socket.on(
      'message',
      guarded(terminate, (data: RawData, binary: boolean) => this.#receive(data, binary)),
    );
    socket.on('error', (error) => this.logger.debug({ err: error }, 'WebSocket error'));
    socket.on(
      'close',
      guarded(terminate, (code: number) => this.#end(code)),
    );
  }

  /** The client's name for its application; part of its stream events. */
  get appKey(): string {
    return this.#appKey ?? '';
  }

  /** IP address of the client. */
  get clientAddress(): string {
    return this.#client.ip;
  }

  /** Owns the streams of this session; undefined for clients without a credential that did not bring an `authToken`. */
  get owner(): string | undefined {
    return this.#owner;
  }

  /** Whether a manager of the cluster acts for the client. */
  get viaManager(): boolean {
    return this.#client.viaManager === true;
  }

  /** Undefined where rooms are off. */
  get rooms(): SessionRooms | undefined {
    return this.#rooms;
  }

  hasStream(mediaSessionId: string): boolean {
    return this.#streams.has(mediaSessionId);
  }

  /**
   * @param token of the stream, which then counts instead of the connection's
   * @throws {GatewayError} FORBIDDEN, UNAUTHORIZED, TOKEN_EXPIRED or ACCESS_UNAVAILABLE
   */
  async authorize(
    action: Action,
    resource: Resource,
    token?: string,
  ): Promise<Grant & { readonly principalId: string }> {
    const principal =
      token === undefined ? this.#principal! : await this.#principalOf(token, { connectedAs: this.#principal });
    const grant = await this.context.authorizer.authorize(principal, action, resource);
    return { ...grant, principalId: principal.id };
  }

  send<Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]): void {
    this.#outbox.send(encodeMessage(message, ...data));
  }

  /** Closes the socket because the server shuts down. Idempotent; resolves when the session has ended. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise<void>((resolve) => this.once('closed', resolve));
    closeWebSocket(this.#socket, 1001, 'going away');
    // A page that does not answer must not delay the shutdown.
    const impatience = setTimeout(() => this.#socket.terminate(), 500);
    await closed;
    clearTimeout(impatience);
  }

  /** Closes the socket without reading what the client goes on to send. */
  #cutOff(why: string): void {
    closeWebSocket(this.#socket, 1008, why);
    // Its answer to the close is not read either.
    this.#socket.pause();
    setTimeout(() => this.#socket.terminate(), CUT_OFF_MS).unref();
  }

  /**
   * Ends the streams, which learn `info`, and closes the socket. Idempotent.
   *
   * @param closeReason without text of clients
   */
  terminate(info: string, closeReason = info): void {
    if (!this.#outbox.isOpen) return;
    this.logger.info({ info }, 'connection terminated');
    this.#streams.terminate(info);
    this.#unlist?.();
    closeWebSocket(this.#socket, 1000, closeReason);
  }

  #checkAlive(): void {
    if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) {
      this.logger.info('the client has been silent for too long; closing its WebSocket');
      return this.#socket.terminate();
    }
    this.send('ping');
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#ping);
    clearTimeout(this.#connectionTimeout);
    this.logger.debug({ code }, 'WebSocket closed');
    this.#streams.disconnect();
    this.#rooms?.close();
    this.#unlist?.();
    this.emit('closed');
  }

  #receive(data: RawData, binary: boolean): void {
    if (!this.#outbox.isOpen) return;
    this.#heardAt = performance.now();
    if (!this.#bucket.take(this.#heardAt)) {
      limitHits.count('max_ws_messages_per_second');
      this.logger.warn('the client sends too many messages; closing its WebSocket');
      return this.#cutOff('too many messages');
    }
    if (binary) return this.logger.debug('binary message ignored');
    let envelope;
    try {
      envelope = messages.EnvelopeSchema.parse(JSON.parse(String(data)));
    } catch {
      return this.logger.debug('message that is not {"message", "data"} ignored');
    }
    this.#dispatch(envelope.message, envelope.data[0]);
  }

  #dispatch(message: string, argument: unknown): void {
    try {
      this.#route(message, argument);
    } catch (error) {
      this.logger.error({ err: error, message }, 'message failed; closing the WebSocket of its client');
      this.#socket.terminate();
    }
  }

  #route(message: string, argument: unknown): void {
    if (message === 'connection') return this.#connect(argument);
    if (message === 'ping') return this.send('pong');
    if (message === 'pong') return;
    if (this.#waiting) return this.#wait(message, argument);
    if (!this.#principal) return this.logger.debug({ message }, 'message before "connection" ignored');
    switch (message) {
      case 'publishStream':
        return this.#streams.publish(argument);
      case 'playStream':
        return this.#streams.play(argument);
      case 'unPublishStream':
        return this.#streams.stop(argument, true);
      case 'stopStream':
        return this.#streams.stop(argument, false);
      case 'availableStream':
        return this.#streams.available(argument);
      case 'sendStreamEvent':
        return this.#streams.streamEvent(argument);
      case 'snapshot':
        return this.#snapshots.request(argument);
      case 'sendData':
        return this.#data.receive(argument);
      case 'room':
        return this.#room(argument);
      case 'roomStream':
        return this.#roomStream(argument);
      case 'call':
        return this.#refuseCall(argument);
      default:
        // pushLogs, sessionDebug, webRTCMetricsBatch, and messages of later SDKs.
        this.logger.debug({ message }, 'message ignored');
    }
  }

  #connect(argument: unknown): void {
    if (this.#appKey !== undefined) return this.logger.debug('repeated "connection" ignored');
    const connection = messages.ConnectionSchema.safeParse(argument ?? {});
    if (!connection.success) return this.logger.debug('malformed "connection" ignored');
    clearTimeout(this.#connectionTimeout);
    if (JSON.stringify(connection.data).length > MAX_CONNECTION_LENGTH)
      return closeWebSocket(this.#socket, 1009, '"connection" is too large');
    this.#appKey = connection.data.appKey;
    this.#waiting = [];
    inBackground(this.#identify(connection.data), () => this.#socket.terminate());
  }

  async #identify(connection: Record<string, unknown>): Promise<void> {
    const { authToken } = connection;
    const token = credentialOf(connection, this.#client.token);
    try {
      this.#principal = await this.#principalOf(token, { connection: { sessionId: this.id, fields: connection } });
    } catch (thrown) {
      const { code, message } = toGatewayError(thrown);
      this.logger.info({ code, reason: message }, 'connection refused');
      this.send('fail', { apiMethod: 'connection', status: 'FAILED', info: message });
      this.#waiting = undefined;
      // After a proper close, the Web SDK's session gets DISCONNECTED. It gets FAILED, as with WCS, only if the
      // connection breaks.
      if (isWebSdk(connection)) this.#socket.send(UNDECODABLE, { binary: false });
      return closeWebSocket(this.#socket, 1008, 'connection refused');
    }
    if (!this.#outbox.isOpen) return;
    this.#list(connection, this.#principal);
    const { id, connection: changed } = this.#principal;
    const { rooms } = this.context;
    if (rooms) this.#rooms = new SessionRooms(this, rooms, this.#principal, { ...connection, ...changed });
    this.#owner = ownerOf(id, authToken, id === ANONYMOUS ? undefined : token);
    this.send('getVersion', this.context.version);
    this.send('getUserData', {
      ...connection,
      ...changed,
      authToken: typeof authToken === 'string' ? authToken : giveToken(this.id),
      status: 'ESTABLISHED',
    });
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const [message, waitingArgument] of waiting) if (this.#outbox.isOpen) this.#dispatch(message, waitingArgument);
  }

  #list(connection: Record<string, unknown>, principal: Principal): void {
    const { sessions } = this.context;
    const listed: ClientConnection = {
      sessionId: this.id,
      appKey: this.appKey,
      ...messages.ClientSchema.parse(connection),
      clientAddress: this.clientAddress,
      createdAt: wallClockDate(),
      principal,
      sendData: (data) => {
        if (this.#rooms && this.appKey === ROOM_APP) checkNoRoomEvent(data.payload);
        this.send('OnDataEvent', data);
        sessions.emit('data', listed, data);
      },
      terminate: (info) => this.terminate(info),
    };
    this.#unlist = sessions.addConnection(listed);
  }

  #principalOf(token: string | undefined, more: Pick<Credentials, 'connection' | 'connectedAs'>): Promise<Principal> {
    return this.context.authorizer.identify({
      door: 'wcs',
      ...this.#client,
      ...more,
      token: token === undefined ? undefined : new Secret(token),
    });
  }

  #wait(message: string, argument: unknown): void {
    this.#waiting!.push([message, argument]);
    if (this.#waiting!.length <= MAX_WAITING_MESSAGES) return;
    this.logger.warn('the client sends messages before its connection is accepted; closing its WebSocket');
    this.#waiting = [];
    this.#cutOff('too many messages');
  }

  #room(argument: unknown): void {
    if (this.#rooms) return this.#rooms.receive(argument);
    const { id } = (argument ?? {}) as { readonly id?: unknown };
    if (typeof id !== 'string' && typeof id !== 'number') return;
    const message = 'Rooms are off: the gateway has the setting rooms=false.';
    this.send('roomReply', { id, error: { code: 'NOT_IMPLEMENTED', message } });
  }

  #roomStream(argument: unknown): void {
    const report = messages.RoomStreamSchema.safeParse(argument);
    if (!this.viaManager || !report.success) return this.logger.debug('roomStream ignored');
    this.#rooms?.streamElsewhere(report.data);
  }

  #refuseCall(argument: unknown): void {
    const call = messages.CallSchema.safeParse(argument);
    if (!call.success) return this.logger.debug('malformed call ignored');
    const info = 'Calls are not available in this version of the gateway.';
    this.send('finish', { callId: call.data.callId, status: 'FAILED', info });
  }
}

/** The official SDK, in a browser: only its `connection` has this. */
const isWebSdk = ({ msePacketizationVersion }: Record<string, unknown>): boolean =>
  msePacketizationVersion !== undefined;
