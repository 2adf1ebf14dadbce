import type { Server } from 'node:http';
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { SettingKey, Settings } from '../../config/schema.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { ConnectionLimit } from '../../net/connection-limit.ts';
import { createHttpServer, listenHttp } from '../http-server.ts';
import { documentRoutes } from '../openapi/document-routes.ts';
import { eventProxyRoutes } from './event-proxy.ts';
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

/** The HTTP server of a manager. */
export class ManagerApp {
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
  }

  static async create(options: ManagerAppOptions): Promise<ManagerApp> {
    const { settings, routes } = options;
    const app = await createHttpServer({
      ...options,
      addRoutes: async (app) => {
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
        await app.register(eventProxyRoutes(options));
        await app.register(restProxyRoutes(options));
        await app.register(documentRoutes);
        for (const plugin of routes) await app.register(plugin);
      },
    });
    return new ManagerApp(app);
  }

  /** For tests: injects requests without a socket. */
  get http(): FastifyInstance {
    return this.#app;
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  listen(host: string, port: number, key: SettingKey): Promise<number> {
    return listenHttp(this.#app, { host, port, key });
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#app.close();
  }
}
