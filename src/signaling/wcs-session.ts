import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { WebSocket } from 'ws';
import type { Action, Credentials, Grant, Principal, Resource } from '../access/authorizer.ts';
import { ANONYMOUS } from '../access/open-access.ts';
import { toGatewayError } from '../errors.ts';
import { Secret } from '../net/secret.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClientConnection } from '../sessions/client-sessions.ts';
import { credentialOf, giveToken, ownerOf } from './auth-token.ts';
import { ClientLink } from './client-link.ts';
import * as messages from './messages.ts';
import type { ServerMessages } from './messages.ts';
import { SessionData } from './session-data.ts';
import { checkNoRoomEvent, ROOM_APP } from '../rooms/doors/room-api.ts';
import { SessionRooms } from './session-rooms.ts';
import { SessionSnapshots } from './session-snapshots.ts';
import { SessionStreams } from './session-streams.ts';
import type { WcsContext } from './wcs-server.ts';
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

/** Messages that may wait while the client is being identified. The SDK sends none before it has the answer. */
const MAX_WAITING_MESSAGES = 32;

/** One socket of one page: checks its messages and routes them. */
export class WcsSession extends EventEmitter<WcsSessionEvents> {
  readonly id = randomUUID();
  readonly context: WcsContext;
  readonly logger: Logger;
  readonly #link: ClientLink;
  readonly #client: WcsClient;
  readonly #streams: SessionStreams;
  readonly #snapshots: SessionSnapshots;
  readonly #data: SessionData;
  #rooms: SessionRooms | undefined;
  /** Messages that came while the client was being identified. */
  #waiting: [message: string, argument: unknown][] | undefined;
  #principal: Principal | undefined;
  #appKey: string | undefined;
  #owner: string | undefined;
  #unlist: (() => void) | undefined;

  constructor(socket: WebSocket, context: WcsContext, client: WcsClient) {
    super();
    this.#client = client;
    this.context = context;
    this.logger = context.logger.child({ session: this.id });
    this.logger.debug({ remoteAddress: client.ip }, 'WebSocket opened');
    this.#link = new ClientLink(
      socket,
      { limits: context.limits, logger: this.logger },
      {
        connect: (connection) => this.#connect(connection),
        receive: (message, argument) => this.#receive(message, argument),
        closed: () => this.#end(),
      },
    );
    this.#streams = new SessionStreams(this);
    this.#snapshots = new SessionSnapshots(this, this.#link);
    this.#data = new SessionData(this);
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
    this.#link.send(message, ...data);
  }

  /** Closes the socket because the server shuts down. Idempotent; resolves when the session has ended. */
  close(): Promise<void> {
    return this.#link.close();
  }

  /**
   * Ends the streams, which learn `info`, and closes the socket. Idempotent.
   *
   * @param closeReason without text of clients
   */
  terminate(info: string, closeReason = info): void {
    if (!this.#link.isOpen) return;
    this.logger.info({ info }, 'connection terminated');
    this.#streams.terminate(info);
    this.#unlist?.();
    this.#link.end(1000, closeReason);
  }

  #end(): void {
    this.#streams.disconnect();
    this.#rooms?.close();
    this.#unlist?.();
    this.emit('closed');
  }

  #receive(message: string, argument: unknown): void {
    if (this.#waiting) return this.#wait(message, argument);
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

  async #connect(connection: messages.Connection): Promise<void> {
    this.#appKey = connection.appKey;
    this.#waiting = [];
    const { authToken } = connection;
    const token = credentialOf(connection, this.#client.token);
    try {
      this.#principal = await this.#principalOf(token, { connection: { sessionId: this.id, fields: connection } });
    } catch (thrown) {
      const { code, message } = toGatewayError(thrown);
      this.logger.info({ code, reason: message }, 'connection refused');
      return this.#link.refuse(message, code);
    }
    if (!this.#link.isOpen) return;
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
    for (const [message, waitingArgument] of waiting) if (this.#link.isOpen) this.#receive(message, waitingArgument);
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
    this.#link.cutOff('too many messages');
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
