import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Certificate } from '../net/certificate.ts';
import { GatewayError } from '../errors.ts';
import type { PublishSessionOptions } from '../webrtc/publish-session.ts';
import type { WorkerPool } from '../webrtc/worker-pool.ts';
import type { Logger } from '../observe/logger.ts';
import type { LiveStream } from '../streams/live-stream.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import type { TransponderControl } from '../outputs/push/transponder-view.ts';
import type { OriginCheck } from './origin.ts';
import { WcsSession } from './wcs-session.ts';

/** What every session works with. */
export interface WcsContext {
  readonly pool: WorkerPool;
  readonly audioPacketMs?: PublishSessionOptions['audioPacketMs'];
  readonly registry: StreamRegistry;
  readonly control: TransponderControl;
  readonly logger: Logger;
  /** Makes a frame (JPEG) of the stream as it is now. */
  readonly takeSnapshot?: (stream: LiveStream) => Promise<Buffer>;
  /** Finds out how large the stream's frames are, and tells the stream. */
  readonly learnFrameSize?: (stream: LiveStream) => Promise<void>;
  /** Which pages may connect; every one where it is missing. */
  readonly allowOrigin?: OriginCheck;
  /** Told to clients at the start. */
  readonly version: string;
}

export interface WcsServerOptions extends WcsContext {
  /** Address bound. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** With one it is wss. */
  readonly certificate?: Certificate;
}

/** Bytes of one message. An offer has 7 kB, the SDK's log uploads some tens. */
const MAX_MESSAGE_BYTES = 512 * 1024;

/** The WebSocket that the WCS Web SDK connects to: one session per socket. */
export class WcsServer {
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<WcsSession>();
  #closing: Promise<void> | undefined;

  private constructor(http: HttpServer, context: WcsContext) {
    this.#http = http;
    // The SDK uses the URL as it was given, whatever its path; compression costs more than these small messages are worth.
    this.#sockets = new WebSocketServer({
      server: http,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      verifyClient: (
        { origin }: { origin: string | undefined },
        done: (ok: boolean, code?: number, message?: string) => void,
      ) => {
        if (context.allowOrigin?.(origin) ?? true) return done(true);
        context.logger.warn({ origin }, 'a page of this origin may not connect; add it to cors_origins if it should');
        done(false, 403, 'Origin not in cors_origins');
      },
    });
    this.#sockets.on('connection', (socket, request) => {
      const session = new WcsSession(socket, context, request.socket.remoteAddress ?? '');
      this.#sessions.add(session);
      session.once('closed', () => this.#sessions.delete(session));
    });
    this.#sockets.on('error', (error) => context.logger.error({ err: error }, 'WebSocket server'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the port or address cannot be had */
  static async create(options: WcsServerOptions): Promise<WcsServer> {
    const { certificate, host, port } = options;
    // Somebody who opens the address in a browser should learn what it is.
    const explain: RequestListener = (_, response): void => {
      response
        .writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' })
        .end('This port speaks the WebSocket protocol of the WCS Web SDK.\n');
    };
    const http = certificate ? createSecureServer(certificate, explain) : createHttpServer(explain);
    await new Promise<void>((resolve, reject) => {
      http.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenFailure(error, host, port, certificate ? 'wss.port' : 'ws.port')),
      );
      http.listen(port, host, resolve);
    });
    return new WcsServer(http, options);
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Ends every session (their streams are ended by whoever owns the registry) and waits until the port is free. Idempotent. */
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

function createSecureServer(certificate: Certificate, explain: RequestListener): HttpServer {
  const server = createHttpsServer(certificate.secureOptions, explain);
  certificate.keepCurrent(server);
  return server;
}

function listenFailure(error: NodeJS.ErrnoException, host: string, port: number, setting: string): GatewayError {
  const what =
    error.code === 'EADDRINUSE'
      ? `${setting} ${port} is in use on ${host}. Stop the program that has it, or set ${setting} to a free port.`
      : error.code === 'EADDRNOTAVAIL'
        ? `listen_ip ${host} is not an address of this machine.`
        : `The WebSocket server cannot listen on ${host}, port ${port}: ${error.message}.`;
  return new GatewayError('SETTINGS_INVALID', what, { cause: error });
}
