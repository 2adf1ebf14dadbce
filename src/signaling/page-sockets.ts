import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { GatewayError } from '../errors.ts';
import type { Certificate } from '../net/certificate.ts';
import { limitConnections } from '../net/connection-limit.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../net/forwarded-client.ts';
import { listenerOptions } from '../net/listener-options.ts';
import { limitHits } from '../observe/limits.ts';
import { guarded } from '../runtime/in-background.ts';
import type { Logger } from '../observe/logger.ts';
import type { OriginCheck } from './origin.ts';
import type { WcsLimits } from './wcs-limits.ts';

/** What serves one WebSocket. Emits `closed` when the socket is closed. */
interface PageSession {
  close(): Promise<void>;
  once(event: 'closed', listener: () => void): unknown;
}

export interface PageSocketsOptions {
  /** Address bound. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The setting that has the port. */
  readonly setting: string;
  /** With one it is wss. */
  readonly certificate?: Certificate | undefined;
  /** Milliseconds in which a client must have sent its upgrade request. Default: 10 s. */
  readonly requestTimeoutMs?: number | undefined;
  readonly limits: Pick<WcsLimits, 'connections' | 'proxied'>;
  /** Which pages may connect. Without it, every page may. */
  readonly allowOrigin?: OriginCheck | undefined;
  /** Believes managers of the cluster whose client a connection is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  readonly logger: Logger;
}

/** Bytes of one message. An offer has 7 kB, an upload of the SDK's log some tens of kB. */
const MAX_MESSAGE_BYTES = 512 * 1024;

/** Milliseconds for an upgrade request. */
const REQUEST_TIMEOUT_MS = 10_000;

/** The WebSockets of pages at one port, within the limits of connections: one session per socket. */
export class PageSockets<Session extends PageSession> {
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<Session>();
  #closing: Promise<void> | undefined;

  private constructor(
    http: HttpServer,
    { limits, allowOrigin, forwardedClients, logger }: PageSocketsOptions,
    start: (socket: WebSocket, request: IncomingMessage, address: string) => Session,
  ) {
    this.#http = http;
    const { connections, proxied } = limits;
    const { addresses } = connections;
    const trust = limitConnections(http, connections);
    const forwarded = ({ headers }: IncomingMessage): string | undefined =>
      forwardedClients?.verify(headers[FORWARDED_CLIENT_HEADER]);
    const addressOf = (request: IncomingMessage): string => forwarded(request) ?? addresses.of(request);
    const isProxied = (request: IncomingMessage): boolean =>
      forwarded(request) !== undefined || addresses.isProxy(request.socket.remoteAddress ?? '');
    // The SDK uses its URL verbatim, so every path is accepted. Compression does not pay for these small messages.
    this.#sockets = new WebSocketServer({
      server: http,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      // One message of each client per event-loop tick: a burst of many clients must not delay media.
      allowSynchronousEvents: false,
      verifyClient: (
        { origin, req }: { origin: string | undefined; req: IncomingMessage },
        done: (ok: boolean, code?: number, message?: string) => void,
      ) => {
        const check = (): void => {
          if (!(allowOrigin?.(origin) ?? true)) {
            logger.warn({ origin }, 'connection of a page refused: add its origin to cors_origins to allow it');
            return done(false, 403, 'Origin not in cors_origins');
          }
          if (forwarded(req) !== undefined) trust(req.socket);
          if (isProxied(req) && proxied.full(addressOf(req))) {
            limitHits.count('max_ws_connections_per_ip');
            return done(false, 503, 'Too many connections of this address (max_ws_connections_per_ip)');
          }
          done(true);
        };
        guarded(() => req.socket.destroy(), check)();
      },
    });
    const accept = (socket: WebSocket, request: IncomingMessage): void => {
      const address = addressOf(request);
      if (isProxied(request)) socket.once('close', proxied.take(address));
      const session = start(socket, request, address);
      this.#sessions.add(session);
      session.once('closed', () => this.#sessions.delete(session));
    };
    this.#sockets.on('connection', (socket, request) => guarded(() => socket.terminate(), accept)(socket, request));
    this.#sockets.on('error', (error) => logger.error({ err: error }, 'WebSocket server'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the address or the port cannot be bound */
  static async listen<Session extends PageSession>(
    options: PageSocketsOptions,
    start: (socket: WebSocket, request: IncomingMessage, address: string) => Session,
  ): Promise<PageSockets<Session>> {
    const { certificate, host, port, setting, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
    // Explains the port to a user who opens it in a browser.
    const explain: RequestListener = (_, response): void => {
      response
        .writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' })
        .end('This port speaks the WebSocket protocol of the WCS Web SDK.\n');
    };
    const common = listenerOptions(certificate, requestTimeoutMs);
    const http = certificate ? createHttpsServer(common, explain) : createHttpServer(common, explain);
    certificate?.keepCurrent(http as HttpsServer);
    await new Promise<void>((resolve, reject) => {
      http.once('error', (error: NodeJS.ErrnoException) => reject(listenFailure(error, host, port, setting)));
      http.listen(port, host, resolve);
    });
    return new PageSockets(http, options, start);
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Closes every session and waits until the port is free. Idempotent. */
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

function listenFailure(error: NodeJS.ErrnoException, host: string, port: number, setting: string): GatewayError {
  const what =
    error.code === 'EADDRINUSE'
      ? `${setting} ${port} is in use on ${host}. Stop the program that uses it, or set ${setting} to a free port.`
      : error.code === 'EADDRNOTAVAIL'
        ? `listen_ip ${host} is not an address of this machine.`
        : `The WebSocket server cannot listen on ${host}, port ${port}: ${error.message}.`;
  return new GatewayError('SETTINGS_INVALID', what, { cause: error });
}
