import type { Settings } from '../config/schema.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { SecretBox } from '../store/secret-box.ts';
import type { GatewayCluster } from './gateway-cluster.ts';

/** The cluster of the settings, to be joined. A gateway that runs alone does not load the client of Redis. */
export async function createCluster(
  settings: Settings,
  parts: { readonly metrics: Metrics; readonly version: string; readonly logger: Logger },
): Promise<GatewayCluster | undefined> {
  if (!settings.cluster_redis_url) return undefined;
  const { GatewayCluster: Cluster } = await import('./gateway-cluster.ts');
  return Cluster.create({ settings, box: new SecretBox(Buffer.from(settings.state_key, 'base64')), ...parts });
}
