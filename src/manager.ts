import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import packageJson from '../package.json' with { type: 'json' };
import { createAuthorizer } from './access/create-authorizer.ts';
import { requireAction, headerCredentials } from './api/authorize.ts';
import { consoleRoutes } from './api/console-routes.ts';
import { ManagerApp } from './api/manager/manager-app.ts';
import { NodeClient } from './api/manager/node-client.ts';
import { RoomProxy } from './api/manager/room-proxy.ts';
import { NodeRegistry } from './cluster/node-registry.ts';
import { RedisStore } from './cluster/redis-store.ts';
import type { Settings } from './config/schema.ts';
import { Certificate } from './net/certificate.ts';
import { httpConnectionLimit } from './net/connection-limit.ts';
import { ForwardedClients } from './net/forwarded-client.ts';
import { limitHits, logLimits } from './observe/limits.ts';
import type { Logger } from './observe/logger.ts';
import { Metrics } from './observe/metrics.ts';
import { closeAll, type Closable } from './runtime/close-all.ts';
import { openRoutingServer } from './signaling/manager/routing-server.ts';
import { createOriginCheck } from './signaling/origin.ts';
import { wcsLimits } from './signaling/wcs-limits.ts';

/** Milliseconds to wait for Redis at the start. */
const REDIS_START_MS = 3000;

/** The composition root of a manager: routes clients to the nodes of the cluster. It needs no mediasoup and no ffmpeg. */
export class Manager {
  readonly addresses: { readonly http: number; readonly ws: number };
  readonly #parts: readonly Closable[];
  readonly #announceClose: () => void;
  #closing: Promise<void> | undefined;

  private constructor(addresses: Manager['addresses'], parts: readonly Closable[], announceClose: () => void) {
    this.addresses = addresses;
    this.#parts = parts;
    this.#announceClose = announceClose;
  }

  /** @throws {GatewayError} SETTINGS_INVALID; all parts that were started are closed again */
  static async create(settings: Settings, logger: Logger): Promise<Manager> {
    const parts: Closable[] = [];
    try {
      return await Manager.#assemble(settings, logger, parts);
    } catch (error) {
      await closeAll(parts).catch((failure: unknown) => logger.error({ err: failure }, 'closing failed'));
      throw error;
    }
  }

  static async #assemble(settings: Settings, logger: Logger, parts: Closable[]): Promise<Manager> {
    const opened = (part: { close(): Promise<void> | void }): void =>
      void parts.unshift({ close: async () => part.close() });
    let isClosing = false;
    const isAlone = settings.role === 'manager';
    const certificate =
      isAlone && settings.tls_cert
        ? new Certificate({ certFile: settings.tls_cert, keyFile: settings.tls_key, logger })
        : undefined;
    if (certificate) opened(certificate);
    const metrics = new Metrics();
    const store = new RedisStore({ url: settings.cluster_redis_url, prefix: settings.cluster_prefix });
    opened(store);
    store.on('available', (available) => {
      if (available) logger.info('cluster: Redis answers again');
      else logger.error('cluster: Redis does not answer; clients go to the nodes that were known last');
    });
    // A Redis that is away is reported by `available`; the manager waits for it.
    await store.waitUntilAvailable(REDIS_START_MS).catch(() => undefined);
    const registry = new NodeRegistry({
      store,
      managerId: `${hostname()}-${randomBytes(4).toString('hex')}`,
      logger,
    });
    opened(registry);
    await registry.start();
    const authorizer = createAuthorizer(settings, logger);
    opened(authorizer);
    const clients = new ForwardedClients(settings.state_key);
    const client = new NodeClient(registry, clients);
    opened(client);
    opened({ close: logLimits(limitHits, logger) });
    metrics.gauge('gateway_cluster_redis_up', '1 while Redis answers.', () => (store.available ? 1 : 0));
    metrics.gauge('gateway_cluster_nodes', 'Nodes that the manager knows.', () => registry.nodes.length);

    const { version } = packageJson;
    const limits = wcsLimits(settings);
    const routing = {
      limits,
      registry,
      clients,
      region: settings.node_region,
      version,
      logger,
      host: settings.listen_ip,
      allowOrigin: createOriginCheck(settings),
    };
    const [wsSetting, httpSetting] = isAlone
      ? (['ws.port', 'http.port'] as const)
      : (['manager_ws_port', 'manager_http_port'] as const);
    const ws = await openRoutingServer({ ...routing, port: settings[wsSetting], setting: wsSetting });
    opened(ws);
    metrics.gauge('gateway_cluster_clients', 'WebSocket connections of pages to the manager.', () => ws.sessions);
    const wss =
      certificate &&
      (await openRoutingServer({ ...routing, port: settings['wss.port'], setting: 'wss.port', certificate }));
    if (wss) opened(wss);

    const roomProxy = settings.rooms
      ? new RoomProxy({
          registry,
          clients,
          addresses: limits.connections.addresses,
          region: settings.node_region,
          allowOrigin: routing.allowOrigin,
          queuedBytes: limits.queuedBytes,
          logger,
        })
      : undefined;
    if (roomProxy) {
      opened(roomProxy);
      metrics.gauge(
        'gateway_cluster_room_clients',
        'WebSocket clients of rooms that the manager passes on to nodes.',
        () => roomProxy.size,
      );
    }
    const appOptions = {
      connections: httpConnectionLimit(settings),
      settings,
      registry,
      client,
      authorizer,
      metrics,
      logger,
      isClosing: () => isClosing,
      webSockets: roomProxy,
      routes: [
        consoleRoutes({
          wsPort: ws.port,
          ...(wss && { wssPort: wss.port }),
          restBase: '/rest-api',
          version,
          resumeWindowMs: settings.publisher_resume_window_ms,
          isManager: true,
          hasRooms: settings.rooms,
          isAllowed: requireAction(authorizer, 'console', 'play', headerCredentials),
        }),
      ],
    };
    const app = await ManagerApp.create(appOptions);
    parts.push(app);
    const http = await app.listen(settings.listen_ip, settings[httpSetting], httpSetting);
    if (certificate) {
      const https = await ManagerApp.create({ ...appOptions, certificate });
      parts.push(https);
      await https.listen(settings.listen_ip, settings['https.port'], 'https.port');
    }
    return new Manager({ http, ws: ws.port }, parts, () => (isClosing = true));
  }

  /** Closes all connections; the streams on the nodes are held for their publishers. Idempotent. */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#announceClose();
      this.#closing = closeAll(this.#parts);
    }
    return this.#closing;
  }
}
