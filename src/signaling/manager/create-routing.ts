import type { Settings } from '../../config/schema.ts';
import type { Certificate } from '../../net/certificate.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { Assembly } from '../../runtime/assembly.ts';
import type { OriginCheck } from '../origin.ts';
import type { RoutingContext } from './routed-session.ts';
import { openRoutingServer, type RoutingServer } from './routing-server.ts';

export interface RoutingParts extends Omit<RoutingContext, 'region'> {
  readonly setting: 'ws.port' | 'manager_ws_port';
  /** With one there is `wss.port` too. */
  readonly certificate: Certificate | undefined;
  readonly allowOrigin: OriginCheck;
  readonly metrics: Metrics;
}

/** Opens the WebSockets of a manager, and registers their metrics. @throws {GatewayError} SETTINGS_INVALID */
export async function openRouting(
  settings: Settings,
  { setting, certificate, metrics, ...parts }: RoutingParts,
  assembly: Assembly,
): Promise<{ readonly ws: RoutingServer; readonly wss: RoutingServer | undefined }> {
  const routing = { ...parts, host: settings.listen_ip, region: settings.node_region };
  const ws = assembly.add(await openRoutingServer({ ...routing, port: settings[setting], setting }));
  metrics.gauge('gateway_cluster_clients', 'WebSocket connections of pages to the manager.', () => ws.sessions);
  const port = settings['wss.port'];
  const wss =
    certificate && assembly.add(await openRoutingServer({ ...routing, port, setting: 'wss.port', certificate }));
  return { ws, wss };
}
