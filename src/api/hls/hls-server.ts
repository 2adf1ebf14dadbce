import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { ConnectionLimit } from '../../net/connection-limit.ts';
import type { Logger } from '../../observe/logger.ts';
import { createHttpServer, listenHttp } from '../http-server.ts';
import { hlsRoutes, type HlsRoutesOptions } from './hls-routes.ts';

export interface HlsServerOptions extends Omit<HlsRoutesOptions, 'shape'> {
  readonly settings: Settings;
  readonly key: 'hls.port' | 'hls.https.port';
  readonly certificate?: Certificate;
  /** Shared by both listeners. */
  readonly connections?: ConnectionLimit;
  /** Milliseconds in which a client must have sent its whole request. Default: 30 s. */
  readonly requestTimeoutMs?: number;
  readonly logger: Logger;
}

/** HLS at the port and the paths of WCS. */
export class HlsServer {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  /** @throws {GatewayError} SETTINGS_INVALID if the port cannot be bound */
  static async create(options: HlsServerOptions): Promise<HlsServer> {
    const { settings, key } = options;
    const app = await createHttpServer({
      ...options,
      cors: { origin: false },
      isClosing: () => false,
      notFound: () => {
        throw new GatewayError('ROUTE_NOT_FOUND', 'This port serves /{stream}/{stream}.m3u8 (docs/hls.md).');
      },
      addRoutes: async (app) => {
        await app.register(hlsRoutes({ ...options, shape: 'wcs' }));
      },
    });
    try {
      const hint = 'Change the setting, or set hls=false.';
      await listenHttp(app, { host: settings.listen_ip, port: settings[key], key, hint });
    } catch (error) {
      await app.close();
      throw error;
    }
    return new HlsServer(app);
  }

  /** For tests: injects requests without a socket. */
  get http(): FastifyInstance {
    return this.#app;
  }

  get port(): number {
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#app.close();
  }
}
