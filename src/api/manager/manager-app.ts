import type { Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import cors from '@fastify/cors';
import { fastify, type FastifyInstance, type FastifyPluginAsync } from 'fastify';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Certificate } from '../../net/certificate.ts';
import { limitConnections, type ConnectionLimit } from '../../net/connection-limit.ts';
import { answerBrokenRequest } from '../broken-request.ts';
import { pathOf, replyWithError } from '../error-reply.ts';
import { documentRoutes } from '../openapi/document-routes.ts';
import { collectRoutes } from '../route-table.ts';
import { managerMonitoring, nodeRoutes, type NodeRoutesParts } from './node-routes.ts';
import { restProxyRoutes } from './rest-proxy.ts';
import { streamManagerRoutes } from './stream-manager-routes.ts';
import { whipProxyRoutes } from './whip-proxy.ts';

export interface ManagerAppOptions extends NodeRoutesParts {
  readonly settings: Settings;
  readonly certificate?: Certificate | undefined;
  /** Counts the connections of both listeners. Without it there is no limit. */
  readonly connections?: ConnectionLimit;
  /** Serves the WebSockets of clients of rooms. Without it there are none. */
  readonly webSockets?: { attach(server: Server): void } | undefined;
  /** The console's page. */
  readonly routes: readonly FastifyPluginAsync[];
}

const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUT_CHECK_MS = 1000;
/** Characters of one path parameter: as the nodes have it. */
const MAX_PARAMETER_LENGTH = 256 * 12;

/** The HTTP server of a manager. */
export class ManagerApp {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  static async create(options: ManagerAppOptions): Promise<ManagerApp> {
    const { certificate, logger, settings, routes, isClosing } = options;
    const timeouts = {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    };
    const app = fastify({
      ...(certificate ? { https: { ...certificate.secureOptions, ...timeouts } } : { http: timeouts }),
      requestTimeout: REQUEST_TIMEOUT_MS,
      trustProxy: settings.trust_proxy.length > 0 ? [...settings.trust_proxy] : false,
      forceCloseConnections: true,
      routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: MAX_PARAMETER_LENGTH },
      clientErrorHandler: answerBrokenRequest,
      frameworkErrors: (error, request, reply) => void replyWithError(error, request, reply as never, logger),
    }) as unknown as FastifyInstance;
    if (options.connections) limitConnections(app.server, options.connections);
    options.webSockets?.attach(app.server);
    certificate?.keepCurrent(app.server as unknown as HttpsServer);
    const notFound = collectRoutes(app);
    app.setErrorHandler((error, request, reply) => replyWithError(error, request, reply, logger));
    app.setNotFoundHandler(notFound);
    app.addHook('onRequest', async (request) => {
      if (isClosing() && !MONITORING.has(pathOf(request)))
        throw new GatewayError('SHUTTING_DOWN', 'The manager is shutting down.');
    });
    // Routes that the nodes answer have the headers for other origins from them.
    await app.register(async (own) => {
      await own.register(cors, {
        origin: [...settings.cors_origins],
        methods: ['GET', 'HEAD', 'POST'],
        strictPreflight: false,
        maxAge: 600,
      });
      await own.register(nodeRoutes(options), { prefix: '/api/v1' });
      await own.register(streamManagerRoutes(options));
    });
    await app.register(managerMonitoring(options));
    await app.register(whipProxyRoutes({ ...options, region: settings.node_region }));
    await app.register(restProxyRoutes(options));
    await app.register(documentRoutes);
    for (const plugin of routes) await app.register(plugin);
    await app.ready();
    return new ManagerApp(app);
  }

  /** For tests: injects requests without a socket. */
  get http(): FastifyInstance {
    return this.#app;
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  async listen(host: string, port: number, setting: string): Promise<number> {
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      throw new GatewayError(
        'SETTINGS_INVALID',
        `Cannot listen on ${host}, ${setting} ${port} (${(error as NodeJS.ErrnoException).code}). Stop the program that uses the port, or change the setting.`,
        { cause: error },
      );
    }
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#app.close();
  }
}

/** Paths that are answered while the manager closes. */
const MONITORING: ReadonlySet<string> = new Set(['/health', '/health/live', '/health/ready', '/metrics']);
