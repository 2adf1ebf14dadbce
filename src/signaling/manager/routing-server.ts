import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { OriginCheck } from '../origin.ts';
import { limitConnections } from '../../net/connection-limit.ts';
import { limitHits } from '../../observe/limits.ts';
import { RoutedSession, type RoutingContext } from './routed-session.ts';

export interface RoutingServerOptions extends RoutingContext {
  readonly host: string;
  readonly port: number;
  /** The setting that has the port. */
  readonly setting: string;
  readonly allowOrigin: OriginCheck;
  readonly certificate?: Certificate | undefined;
}

/** As the nodes have it. */
const MAX_MESSAGE_BYTES = 512 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;

/** The WebSocket of a manager, to which pages connect as to a gateway. */
export class RoutingServer {
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<RoutedSession>();
  #closing: Promise<void> | undefined;

  private constructor(http: HttpServer, options: RoutingServerOptions) {
    this.#http = http;
    const { connections, proxied } = options.limits;
    const { addresses } = connections;
    limitConnections(http, connections);
    const isProxied = ({ socket }: IncomingMessage): boolean => addresses.isProxy(socket.remoteAddress ?? '');
    this.#sockets = new WebSocketServer({
      server: http,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      verifyClient: (
        { origin, req }: { origin: string | undefined; req: IncomingMessage },
        done: (ok: boolean, code?: number, message?: string) => void,
      ) => {
        if (!options.allowOrigin(origin)) {
          options.logger.warn({ origin }, 'connection of a page refused: add its origin to cors_origins to allow it');
          return done(false, 403, 'Origin not in cors_origins');
        }
        if (isProxied(req) && proxied.full(addresses.of(req))) {
          limitHits.count('max_ws_connections_per_ip');
          return done(false, 503, 'Too many connections of this address (max_ws_connections_per_ip)');
        }
        done(true);
      },
    });
    this.#sockets.on('connection', (socket, request) => {
      const { headers, url } = request;
      const ip = addresses.of(request);
      if (isProxied(request)) socket.once('close', proxied.take(ip));
      const session = new RoutedSession(socket, options, {
        ip,
        path: url?.startsWith('/') ? url : '/',
        host: headers.host,
        origin: headers.origin,
        userAgent: headers['user-agent'],
      });
      this.#sessions.add(session);
      session.once('closed', () => this.#sessions.delete(session));
    });
    this.#sockets.on('error', (error) => options.logger.error({ err: error }, 'WebSocket server'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the port cannot be bound */
  static async create(options: RoutingServerOptions): Promise<RoutingServer> {
    const { certificate, host, port, setting } = options;
    const timeouts: ServerOptions = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS };
    const http = certificate
      ? createHttpsServer({ ...certificate.secureOptions, ...timeouts, handshakeTimeout: REQUEST_TIMEOUT_MS })
      : createHttpServer(timeouts);
    if (certificate) certificate.keepCurrent(http as ReturnType<typeof createHttpsServer>);
    http.on('request', (_, response) =>
      response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' }).end('WebSocket only.\n'),
    );
    await new Promise<void>((resolve, reject) => {
      http.once('error', ({ code }: NodeJS.ErrnoException) =>
        reject(
          new GatewayError(
            'SETTINGS_INVALID',
            `Cannot listen on ${host}, ${setting} ${port} (${code}). Stop the program that uses the port, or change the setting.`,
          ),
        ),
      );
      http.listen(port, host, resolve);
    });
    return new RoutingServer(http, options);
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    await Promise.all([...this.#sessions].map((session) => session.close()));
    this.#sockets.close();
    this.#http.closeAllConnections();
    await closed;
  }
}
