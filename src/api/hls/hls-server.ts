import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import cors from '@fastify/cors';
import { fastify, type FastifyInstance } from 'fastify';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { Logger } from '../../observe/logger.ts';
import { answerBrokenRequest } from '../broken-request.ts';
import { replyWithError } from '../error-reply.ts';
import { hlsRoutes, type HlsRoutesOptions } from './hls-routes.ts';

export interface HlsServerOptions extends Omit<HlsRoutesOptions, 'shape'> {
  readonly host: string;
  readonly port: number;
  readonly key: 'hls.port' | 'hls.https.port';
  readonly certificate?: Certificate;
  readonly logger: Logger;
}

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_PARAMETER_LENGTH = 256 * 12;

/** HLS at the port and the paths of WCS. */
export class HlsServer {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  /** @throws {GatewayError} SETTINGS_INVALID if the port cannot be bound */
  static async create({ host, port, key, certificate, logger, ...routes }: HlsServerOptions): Promise<HlsServer> {
    const app = fastify({
      ...(certificate ? { https: certificate.secureOptions } : {}),
      requestTimeout: REQUEST_TIMEOUT_MS,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
      clientErrorHandler: answerBrokenRequest,
      frameworkErrors: (error, request, reply) => void replyWithError(error, request, reply as never, logger),
    }) as unknown as FastifyInstance;
    certificate?.keepCurrent(app.server as unknown as HttpsServer);
    app.setErrorHandler((error, request, reply) => replyWithError(error, request, reply, logger));
    app.setNotFoundHandler(() => {
      throw new GatewayError('ROUTE_NOT_FOUND', 'This port serves /{stream}/{stream}.m3u8 (docs/hls.md).');
    });
    await app.register(cors, { origin: false });
    await app.register(hlsRoutes({ ...routes, shape: 'wcs' }));
    try {
      await app.listen({ host, port });
    } catch (error) {
      await app.close();
      throw new GatewayError(
        'SETTINGS_INVALID',
        `Cannot listen on ${host}, ${key} ${port} (${(error as NodeJS.ErrnoException).code}). Change the setting, or set hls=false.`,
        { cause: error },
      );
    }
    return new HlsServer(app);
  }

  get port(): number {
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#app.close();
  }
}
