import packageJson from '../package.json' with { type: 'json' };
import { createAuthorizer } from './access/create-authorizer.ts';
import { headerCredentials, requireAction } from './api/authorize.ts';
import { consoleRoutes } from './api/console-routes.ts';
import { ManagerApp } from './api/manager/manager-app.ts';
import { NodeClient } from './api/manager/node-client.ts';
import { createRoomProxy } from './api/manager/room-proxy.ts';
import { createRegistry } from './cluster/create-registry.ts';
import type { Settings } from './config/schema.ts';
import { createCertificate } from './net/certificate.ts';
import { httpConnectionLimit } from './net/connection-limit.ts';
import { ForwardedClients } from './net/forwarded-client.ts';
import { limitHits, logLimits } from './observe/limits.ts';
import type { Logger } from './observe/logger.ts';
import { Metrics } from './observe/metrics.ts';
import { Assembly } from './runtime/assembly.ts';
import { openRouting } from './signaling/manager/create-routing.ts';
import { createOriginCheck } from './signaling/origin.ts';
import { wcsLimits } from './signaling/wcs-limits.ts';

/** The composition root of a manager: routes clients to the nodes of the cluster. It needs no mediasoup and no ffmpeg. */
export class Manager {
  readonly addresses: { readonly http: number; readonly ws: number };
  readonly #assembly: Assembly;
  readonly #announceClose: () => void;

  private constructor(addresses: Manager['addresses'], assembly: Assembly, announceClose: () => void) {
    this.addresses = addresses;
    this.#assembly = assembly;
    this.#announceClose = announceClose;
  }

  /** @throws {GatewayError} SETTINGS_INVALID; all parts that were started are closed again */
  static create(settings: Settings, logger: Logger): Promise<Manager> {
    return Assembly.build(logger, async (assembly) => {
      let isClosing = false;
      const isAlone = settings.role === 'manager';
      const [wsSetting, httpSetting] = isAlone
        ? (['ws.port', 'http.port'] as const)
        : (['manager_ws_port', 'manager_http_port'] as const);
      const { version } = packageJson;
      const metrics = new Metrics();
      const certificate = isAlone ? assembly.add(createCertificate(settings, logger)) : undefined;
      const registry = await createRegistry(settings, { metrics, logger }, assembly);
      const authorizer = assembly.add(createAuthorizer(settings, logger));
      const clients = new ForwardedClients(settings.state_key);
      const client = assembly.add(new NodeClient(registry, clients));
      assembly.onClose(logLimits(limitHits, logger));

      const limits = wcsLimits(settings);
      const parts = { registry, clients, limits, allowOrigin: createOriginCheck(settings), metrics, logger };
      const routing = { ...parts, setting: wsSetting, certificate, version };
      const { ws, wss } = await openRouting(settings, routing, assembly);
      const webSockets = settings.rooms ? assembly.add(createRoomProxy(settings, parts)) : undefined;
      const app = {
        ...{ ...parts, settings, client, authorizer, webSockets },
        connections: httpConnectionLimit(settings),
        isClosing: () => isClosing,
        routes: [
          consoleRoutes({
            ...{ wsPort: ws.port, wssPort: wss?.port, version },
            restBase: '/rest-api',
            resumeWindowMs: settings.publisher_resume_window_ms,
            isManager: true,
            hasRooms: settings.rooms,
            isAllowed: requireAction(authorizer, 'console', 'play', headerCredentials),
          }),
        ],
      };
      const listen = async (setting: 'http.port' | 'https.port' | 'manager_http_port', more = {}): Promise<number> =>
        assembly
          .addLast(await ManagerApp.create({ ...app, ...more }))
          .listen(settings.listen_ip, settings[setting], setting);
      const http = await listen(httpSetting);
      if (certificate) await listen('https.port', { certificate });
      return new Manager({ http, ws: ws.port }, assembly, () => (isClosing = true));
    });
  }

  /** Closes all connections; the streams on the nodes are held for their publishers. Idempotent. */
  close(): Promise<void> {
    this.#announceClose();
    return this.#assembly.close();
  }
}
