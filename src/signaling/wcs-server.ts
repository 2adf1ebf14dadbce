import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
  type ServerOptions,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Authorizer } from '../access/authorizer.ts';
import { SettingsSchema } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Certificate } from '../net/certificate.ts';
import { limitConnections } from '../net/connection-limit.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../net/forwarded-client.ts';
import { limitHits } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClientSessions } from '../publish/client-sessions.ts';
import type { Players } from '../publish/players.ts';
import type { Publications } from '../publish/publications.ts';
import type { Rooms } from '../rooms/room-client.ts';
import type { LiveStream } from '../streams/live-stream.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import type { OriginCheck } from './origin.ts';
import type { DataReceiver } from './session-data.ts';
import { wcsLimits, type WcsLimits } from './wcs-limits.ts';
import { WcsSession, type WcsClient } from './wcs-session.ts';

/** What every session works with. */
export interface WcsContext {
  readonly publications: Publications;
  readonly players: Players;
  readonly registry: StreamRegistry;
  readonly sessions: ClientSessions;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
  readonly limits: WcsLimits;
  /** Encodes the current frame of the stream as JPEG. */
  readonly takeSnapshot?: (stream: LiveStream) => Promise<Buffer>;
  /** Gets the data that pages send. Without it, data is refused. */
  readonly dataReceiver?: DataReceiver | undefined;
  /** Where clients meet. Without them, the Room API is refused. */
  readonly rooms?: Rooms | undefined;
  /** Which pages may connect. Without it, every page may. */
  readonly allowOrigin?: OriginCheck;
  /** Believes managers of the cluster whose client a connection is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  /** Sent to clients when they connect. */
  readonly version: string;
}

export interface WcsServerOptions extends Omit<WcsContext, 'limits'> {
  /** Shared by the listeners of a gateway. Default: those of the default settings. */
  readonly limits?: WcsLimits;
  /** Address bound. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** With one it is wss. */
  readonly certificate?: Certificate;
  /** Milliseconds in which a client must have sent its upgrade request. Default: 10 s. */
  readonly requestTimeoutMs?: number;
}

/** Bytes of one message. An offer has 7 kB, an upload of the SDK's log some tens of kB. */
const MAX_MESSAGE_BYTES = 512 * 1024;

/** Milliseconds for an upgrade request, and for a TLS handshake. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Milliseconds between two checks for requests that take too long. Node checks every 30 s by default. */
const TIMEOUT_CHECK_MS = 1000;

/** The WebSocket that the WCS Web SDK connects to: one session per socket. */
export class WcsServer {
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<WcsSession>();
  #closing: Promise<void> | undefined;

  private constructor(http: HttpServer, context: WcsContext) {
    this.#http = http;
    const { connections, proxied } = context.limits;
    const { addresses } = connections;
    const trust = limitConnections(http, connections);
    const forwarded = ({ headers }: IncomingMessage): string | undefined =>
      context.forwardedClients?.verify(headers[FORWARDED_CLIENT_HEADER]);
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
        if (!(context.allowOrigin?.(origin) ?? true)) {
          context.logger.warn({ origin }, 'connection of a page refused: add its origin to cors_origins to allow it');
          return done(false, 403, 'Origin not in cors_origins');
        }
        if (forwarded(req) !== undefined) trust(req.socket);
        if (isProxied(req) && proxied.full(addressOf(req))) {
          limitHits.count('max_ws_connections_per_ip');
          return done(false, 503, 'Too many connections of this address (max_ws_connections_per_ip)');
        }
        done(true);
      },
    });
    this.#sockets.on('connection', (socket, request) => {
      const address = addressOf(request);
      if (isProxied(request)) socket.once('close', proxied.take(address));
      const session = new WcsSession(socket, context, clientOf(request, address));
      this.#sessions.add(session);
      session.once('closed', () => this.#sessions.delete(session));
    });
    this.#sockets.on('error', (error) => context.logger.error({ err: error }, 'WebSocket server'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the address or the port cannot be bound */
  static async create(options: WcsServerOptions): Promise<WcsServer> {
    const { certificate, host, port, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
    // Explains the port to a user who opens it in a browser.
    const explain: RequestListener = (_, response): void => {
      response
        .writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' })
        .end('This port speaks the WebSocket protocol of the WCS Web SDK.\n');
    };
    const timeouts: ServerOptions = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, requestTimeoutMs),
    };
    const http = certificate ? createSecureServer(certificate, timeouts, explain) : createHttpServer(timeouts, explain);
    await new Promise<void>((resolve, reject) => {
      http.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenFailure(error, host, port, certificate ? 'wss.port' : 'ws.port')),
      );
      http.listen(port, host, resolve);
    });
    return new WcsServer(http, { ...options, limits: options.limits ?? wcsLimits(SettingsSchema.parse({})) });
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Closes every session and waits until the port is free. The owner of the registry ends the streams. Idempotent. */
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

function clientOf({ headers, url }: IncomingMessage, ip: string): WcsClient {
  const { token, ...query } = Object.fromEntries(new URLSearchParams(url?.split('?')[1] ?? ''));
  return { ip, host: headers.host, userAgent: headers['user-agent'], token, query };
}

function createSecureServer(certificate: Certificate, timeouts: ServerOptions, explain: RequestListener): HttpServer {
  const server = createHttpsServer(
    { ...certificate.secureOptions, ...timeouts, handshakeTimeout: REQUEST_TIMEOUT_MS },
    explain,
  );
  certificate.keepCurrent(server);
  return server;
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
