import type { FastifyPluginAsync, FastifyReply } from 'fastify';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Authorizer } from '../../access/authorizer.ts';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { guardRoutes } from '../authorize.ts';
import type { NodeView } from '../openapi/answers.ts';
import { acceptForwarding, forward, type ProxyParts } from './proxy.ts';

export interface NodeRoutesParts extends ProxyParts {
  readonly authorizer: Authorizer;
  readonly metrics: Metrics;
  readonly isClosing: () => boolean;
}

const READ = { config: { action: 'read' } } as const;

/** The nodes of the cluster: `/api/v1/nodes`. */
export const nodeRoutes =
  (parts: NodeRoutesParts): FastifyPluginAsync =>
  async (app) => {
    const { registry, authorizer } = parts;
    await acceptForwarding(app, parts);
    guardRoutes(app, authorizer, 'rest');
    app.get('/nodes', READ, async () => registry.nodes.map(nodeView));
    app.get('/nodes/:id', READ, async ({ params }) => nodeView(registry.get((params as { readonly id: string }).id)));
    // The node itself checks the client's rights again.
    app.post('/nodes/:id/drain', { config: { action: 'admin' } }, async (request, reply) => {
      const node = registry.get((request.params as { readonly id: string }).id);
      return forward(request, reply, node, parts, {
        path: `/api/v1/server/drain${new URL(request.url, node.url).search}`,
      });
    });
  };

const nodeView = (node: NodeRecord): NodeView => ({
  id: node.id,
  url: node.url,
  wsUrl: node.wsUrl,
  region: node.region,
  group: node.group,
  state: node.state,
  version: node.version,
  capacity: node.capacity,
  publications: node.publications,
  pushes: node.pushes,
  encoders: node.encoders,
  cpu: Math.round(node.cpu * 1000) / 1000,
  overloaded: node.overloaded,
  drain: node.drain,
  toMove: node.toMove,
  startedAt: new Date(node.startedAt).toISOString(),
});

/** `/health` and `/metrics` of a manager. */
export const managerMonitoring =
  ({ registry, authorizer, metrics, isClosing }: NodeRoutesParts): FastifyPluginAsync =>
  async (app) => {
    guardRoutes(app, authorizer, 'metrics');
    const status = (): string => {
      if (isClosing()) return 'closing';
      if (!registry.available) return 'degraded';
      return registry.nodes.length > 0 ? 'ok' : 'failed';
    };
    const health =
      (unavailable: readonly string[]) =>
      async (_: unknown, reply: FastifyReply): Promise<FastifyReply> => {
        const answer = {
          status: status(),
          role: 'manager',
          version: packageJson.version,
          uptime: Math.floor(process.uptime()),
          redis: registry.available,
          nodes: registry.nodes.length,
        };
        return reply.code(unavailable.includes(answer.status) ? 503 : 200).send(answer);
      };
    app.get('/health', READ, health(['closing', 'failed']));
    app.get('/health/live', READ, health([]));
    app.get('/health/ready', READ, health(['closing', 'failed']));
    app.get('/metrics', READ, async (_, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  };
