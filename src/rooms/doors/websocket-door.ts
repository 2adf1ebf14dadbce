import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { ClientAddresses } from '../../net/client-addresses.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../../net/forwarded-client.ts';
import { KeepAlive } from '../../net/keep-alive.ts';
import { refuseUpgrade } from '../../net/refuse-upgrade.ts';
import type { TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import type { StreamMessage } from '../../streams/live-stream.ts';
import { credentialsOf, enter, type Entrance, type RoomClient } from './enter.ts';
import { JsonClient, type Announce } from './json-client.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { scopeOf } from './scope-url.ts';
import { SendQueue } from './send-queue.ts';
import { closeWebSocket } from '../../net/close-socket.ts';
import { guarded } from '../../runtime/in-background.ts';

export interface WebSocketDoorOptions extends Entrance {
  /** Messages of one client. */
  readonly rate: TokenBucketOptions;
  readonly rpc?: RpcCallout | undefined;
  /**
   * Sends a message to the players of a stream.
   *
   * @throws {GatewayError} STREAM_NOT_FOUND
   */
  readonly announce: (streamName: string, message: StreamMessage) => void;
  readonly addresses: ClientAddresses;
  /** Believes managers of the cluster whose client a connection is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  /** Whether a page of this origin may connect. */
  readonly allowOrigin: (origin: string | undefined) => boolean;
  /** Bytes of one frame of a client. */
  readonly maxFrameBytes: number;
  /** Bytes that may wait for a client that reads slowly. */
  readonly maxQueuedBytes: number;
  readonly logger: Logger;
}

/** Milliseconds in which a client can read why it is refused, and answer the end of the connection. */
const CLOSE_GRACE_MS = 500;
/** The subprotocol of Red5's chat example. */
const CHAT = 'chat';
const TEXT_FRAME = { binary: false };

/**
 * WebSocket clients of Red5, on the HTTP listeners: `/{app}/{scope}` or `/{app}?scope={scope}`. Every upgrade request of
 * these listeners belongs to this door.
 */
export class WebSocketDoor {
  readonly #options: WebSocketDoorOptions;
  readonly #sockets: WebSocketServer;
  readonly #keepAlive: KeepAlive;
  readonly #queue = new SendQueue();
  #encoded = { text: '', bytes: Buffer.alloc(0) };
  #closing: Promise<void> | undefined;

  constructor(options: WebSocketDoorOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: options.maxFrameBytes,
      perMessageDeflate: false,
      allowSynchronousEvents: false,
      handleProtocols: (protocols) => protocols.has(CHAT) && CHAT,
    });
    const ping = (socket: WebSocket): void => this.#queue.add(0, () => socket.ping());
    this.#keepAlive = new KeepAlive(this.#sockets.clients, { ping });
  }

  /**
   * Serves the upgrade requests of a listener.
   *
   * @param trust called for connections of managers of the cluster
   */
  attach(server: Server, trust?: (socket: Socket) => void): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      // Until the WebSocket takes over.
      socket.on('error', () => socket.destroy());
      try {
        const forwarded = this.#options.forwardedClients?.verify(request.headers[FORWARDED_CLIENT_HEADER]);
        if (forwarded !== undefined) trust?.(request.socket);
        const client = this.#clientOf(request, forwarded);
        this.#sockets.handleUpgrade(request, socket, head, (webSocket) =>
          guarded(
            () => webSocket.terminate(),
            () => this.#accept(webSocket, client),
          )(),
        );
      } catch (error) {
        refuseUpgrade(socket, toGatewayError(error));
      }
    });
  }

  get size(): number {
    return this.#sockets.clients.size;
  }

  /** Ends all connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keepAlive.close();
    this.#queue.flush();
    const clients = [...this.#sockets.clients];
    const closed = clients.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of clients) closeWebSocket(socket, 1001, 'going away');
    const impatience = setTimeout(() => clients.forEach((socket) => socket.terminate()), CLOSE_GRACE_MS);
    await Promise.all(closed);
    clearTimeout(impatience);
  }

  /** @throws {GatewayError} */
  #clientOf(request: IncomingMessage, forwarded: string | undefined): RoomClient {
    const { headers, url = '/' } = request;
    if (this.#closing) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    if (!this.#options.allowOrigin(headers.origin)) {
      this.#options.logger.warn(
        { origin: headers.origin },
        'connection of a page refused: add its origin to cors_origins to allow it',
      );
      throw new GatewayError('FORBIDDEN', 'Pages of this origin may not connect (cors_origins).');
    }
    const [path = '', ...rest] = url.split('?');
    const query = new URLSearchParams(rest.join('?'));
    return {
      scope: scopeOf(path, query.get('scope')),
      door: 'websocket',
      ip: forwarded ?? this.#options.addresses.of(request),
      host: headers.host,
      userAgent: headers['user-agent'],
      query,
    };
  }

  #accept(socket: WebSocket, client: RoomClient): void {
    const { maxQueuedBytes, rpc, rate, logger } = this.#options;
    const transmit = (bytes: Buffer): void => {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount + bytes.length > maxQueuedBytes) {
        logger.info({ scope: client.scope, queuedBytes: socket.bufferedAmount }, 'the client does not read; closing');
        return socket.terminate();
      }
      socket.send(bytes, TEXT_FRAME);
    };
    const send = (text: string): void => {
      const bytes = this.#encode(text);
      this.#queue.add(bytes.length, () => transmit(bytes));
    };
    const { ip, scope, userAgent } = client;
    const room = new JsonClient({
      join: (receive) => enter(this.#options, client, receive),
      send,
      refuse: (reason) => this.#queue.add(0, () => cutOff(socket, reason)),
      rpc,
      announce: this.#announceOf(client),
      client: { ip, userAgent, protocol: 'websocket' },
      rate,
      // Red5 Pro's clients wait for it; pages like that of red5-websocket-chat would show it.
      greet: client.query.has('id') && socket.protocol !== CHAT,
      logger: logger.child({ scope }),
    });
    this.#keepAlive.watch(socket);
    const terminate = (): void => socket.terminate();
    socket.on(
      'message',
      guarded(terminate, (data: RawData, binary: boolean) => {
        if (binary) return cutOff(socket, new GatewayError('INVALID_REQUEST', 'Binary messages are not accepted.'));
        room.receive(String(data));
      }),
    );
    socket.on('ping', () => {
      // Each one is answered, also if the client does not read.
      if (socket.bufferedAmount > maxQueuedBytes) socket.terminate();
    });
    socket.on('error', (error) => logger.debug({ err: error }, 'WebSocket error'));
    socket.once(
      'close',
      guarded(terminate, () => room.close()),
    );
  }

  /** All members of a scope get the same text one after the other, so it is encoded once. A string is sent more slowly. */
  #encode(text: string): Buffer {
    if (text !== this.#encoded.text) this.#encoded = { text, bytes: Buffer.from(text) };
    return this.#encoded.bytes;
  }

  /** For a client that names its stream with `?stream=`: it must have the right to publish it. */
  #announceOf(client: RoomClient): Announce | undefined {
    const name = client.query.get('stream');
    if (!name) return undefined;
    const { authorizer, announce } = this.#options;
    let allowed: Promise<unknown> | undefined;
    return async (message) => {
      allowed ??= authorizer
        .identify(credentialsOf(client))
        .then((principal) => authorizer.authorize(principal, 'publish', { stream: name }));
      await allowed;
      announce(name, message);
    };
  }
}

/** Closes a WebSocket without reading what its client goes on to send. */
function cutOff(socket: WebSocket, reason: GatewayError): void {
  // 1008: policy violation. The text of a close has at most 123 bytes.
  closeWebSocket(socket, reason.code === 'SHUTTING_DOWN' ? 1001 : 1008, reason.code);
  socket.pause();
  setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
}
