import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { Logger } from '../../observe/logger.ts';
import { guarded } from '../../runtime/in-background.ts';
import { bound } from './bound.ts';

export interface TlsListenerOptions {
  readonly address: string;
  readonly port: number;
  readonly certificate: Certificate;
  readonly maxConnections: number;
  /** Called before the handshake. A connection that is not admitted ends without a byte. */
  readonly admits: (socket: Socket) => boolean;
  readonly takes: (socket: TLSSocket) => void;
  readonly logger: Logger;
}

const HANDSHAKE_MS = 10_000;

/** Takes SIP connections with TLS. */
export class TlsListener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor({ certificate, admits, takes, logger, maxConnections }: TlsListenerOptions) {
    const survive = (error: unknown): void => logger.error({ err: error }, 'a TLS connection of SIP failed');
    const tls = createTlsServer({ ...certificate.secureOptions, handshakeTimeout: HANDSHAKE_MS });
    certificate.keepCurrent(tls);
    tls.on('secureConnection', guarded(survive, takes));
    tls.on('tlsClientError', (error, socket) => {
      logger.debug({ err: error }, 'a TLS handshake of SIP failed');
      socket.destroy();
    });
    this.#server = createServer();
    this.#server.maxConnections = maxConnections;
    this.#server.on(
      'connection',
      guarded(survive, (socket: Socket) => {
        socket.on('error', () => undefined);
        if (!admits(socket)) return void socket.destroy();
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        tls.emit('connection', socket);
      }),
    );
    this.#server.on('error', (error) => logger.warn({ err: error }, 'the TLS listener of SIP reports an error'));
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  static async create(options: TlsListenerOptions): Promise<TlsListener> {
    const listener = new TlsListener(options);
    const { address, port } = options;
    try {
      await bound(listener.#server, (done) => listener.#server.listen(port, address, done));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new GatewayError(
        'SETTINGS_INVALID',
        `sip_tls_port ${port} cannot be bound on ${address} (${code ?? message}). ` +
          'Stop the program that uses it, or set sip_tls_port to a free port or to 0.',
        { cause: error },
      );
    }
    return listener;
  }

  /** Ends connections too, also those without a finished handshake. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
