import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { GatewayError } from '../../errors.ts';
import { limitConnections, type ConnectionLimit } from '../../net/connection-limit.ts';
import type { TokenBucketOptions } from '../../net/token-bucket.ts';
import type { Logger } from '../../observe/logger.ts';
import { RtmpError } from '../../rtmp/rtmp-error.ts';
import { RtmpServerConnection } from '../../rtmp/server-connection.ts';
import type { Entrance } from './enter.ts';
import type { RpcCallout } from './rpc-callout.ts';
import { guarded } from '../../runtime/in-background.ts';
import { RtmpClient } from './rtmp-client.ts';

export interface RtmpDoorOptions extends Entrance {
  /** Messages of one client. */
  readonly rate: TokenBucketOptions;
  readonly host: string;
  readonly port: number;
  readonly rpc?: RpcCallout | undefined;
  readonly connections?: ConnectionLimit | undefined;
  /** Bytes of the unfinished messages of one client. */
  readonly maxMessageBytes: number;
  /** Bytes that may wait for a client that reads slowly. */
  readonly maxQueuedBytes: number;
  readonly logger: Logger;
  /** For tests. */
  readonly timing?: { readonly pingMs: number; readonly silenceMs: number; readonly connectMs: number };
}

/** Milliseconds: between two pings, without a complete message, and until a client must have joined. */
const TIMING = { pingMs: 10_000, silenceMs: 30_000, connectMs: 10_000 };

/** The listener of RTMP clients, which share objects and take no media. */
export class RtmpDoor {
  readonly #server: Server;
  readonly #options: RtmpDoorOptions;
  readonly #clients = new Map<RtmpClient, RtmpServerConnection>();
  readonly #sockets = new Set<Socket>();
  #closing: Promise<void> | undefined;

  private constructor(server: Server, options: RtmpDoorOptions) {
    this.#server = server;
    this.#options = options;
    if (options.connections) limitConnections(server, options.connections);
    server.on('connection', (socket) =>
      guarded(
        () => socket.destroy(),
        () => this.#accept(socket),
      )(),
    );
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the port cannot be bound */
  static async create(options: RtmpDoorOptions): Promise<RtmpDoor> {
    const { host, port } = options;
    const server = createServer();
    const door = new RtmpDoor(server, options);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          new GatewayError(
            'SETTINGS_INVALID',
            `rooms_rtmp_port ${port} cannot be bound on ${host} (${error.code}). Stop the program that uses ` +
              'it, or set rooms_rtmp_port to a free port.',
            { cause: error },
          ),
        ),
      );
      server.listen(port, host, resolve);
    });
    return door;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Ends all connections with a reason, and frees the port. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const reason = new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    for (const client of this.#clients.keys()) client.end(reason);
    const impatience = setTimeout(() => this.#sockets.forEach((socket) => socket.destroy()), 1000);
    await closed;
    clearTimeout(impatience);
  }

  #accept(socket: Socket): void {
    // The limit of connections has refused it.
    if (socket.destroyed) return;
    const { maxMessageBytes, maxQueuedBytes, rooms, authorizer, rpc, rate, timing = TIMING } = this.#options;
    const ip = socket.remoteAddress ?? '';
    const logger = this.#options.logger.child({ remoteAddress: ip });
    socket.setNoDelay(true);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const connection = new RtmpServerConnection(socket, { maxMessageBytes, maxQueuedBytes });
    const client = new RtmpClient({ connection, ip, rooms, authorizer, rpc, rate, logger });
    this.#clients.set(client, connection);
    const late = setTimeout(() => {
      if (!client.joined) connection.abort(new RtmpError('timeout', 'The client has not connected in time'));
    }, timing.connectMs);
    const pings = setInterval(() => {
      if (performance.now() - connection.heardAt > timing.silenceMs)
        return connection.abort(new RtmpError('timeout', 'The client has been silent for too long'));
      if (client.joined) connection.ping();
    }, timing.pingMs);
    connection.once('closed', (reason) => {
      clearTimeout(late);
      clearInterval(pings);
      this.#clients.delete(client);
      logger.debug({ reason: reason?.message }, 'RTMP client gone');
    });
  }
}
