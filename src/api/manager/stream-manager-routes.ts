import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { NodeRegistry } from '../../cluster/node-registry.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { accessTokenCredentials, queryCredentials, requireRights } from '../authorize.ts';
import { prepareError } from '../error-reply.ts';
import { readStreamName } from '../whip/whip-requests.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';

export interface StreamManagerParts {
  readonly registry: NodeRegistry;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

const once = z.string().max(64).optional();
const EventQuery = z.object({
  action: z.enum(['broadcast', 'subscribe'], 'action must be broadcast or subscribe'),
  region: once,
  strict: z.stringbool({ error: 'strict must be true or false' }).default(false),
  endpoints: z.coerce.number('endpoints must be a number').int().min(1).max(100).default(1),
});

/** Red5's Stream Manager API, version 4.0: which node a client uses. */
export const streamManagerRoutes =
  ({ registry, authorizer, logger }: StreamManagerParts): FastifyPluginAsync =>
  async (app) => {
    app.setErrorHandler((error, request, reply) => {
      const { httpStatus, message } = prepareError(error, request, reply, logger);
      return reply.code(httpStatus).send({ errorMessage: message, timestamp: wallClockMs() });
    });
    const mayPublish = requireRights(authorizer, 'red5', 'publish', queryCredentials);
    const mayPlay = requireRights(authorizer, 'red5', 'play', queryCredentials);
    const mayRead = requireRights(authorizer, 'rest', 'read', accessTokenCredentials);

    app.get(
      '/streammanager/api/4.0/event/:scope/:stream',
      {
        onRequest: async (request) => {
          const { action } = request.query as { readonly action?: unknown };
          await (action === 'subscribe' ? mayPlay(request) : mayPublish(request));
        },
      },
      async (request) => {
        const { action, region, strict, endpoints } = readQuery(request);
        const { scope } = request.params as { readonly scope: string };
        const name = readStreamName(request);
        const view = ({ url, region: its }: NodeRecord) => ({
          name,
          scope,
          serverAddress: new URL(url).hostname,
          region: its,
        });
        if (action === 'subscribe') {
          const owner = await registry.owner(name);
          if (!owner) throw new GatewayError('STREAM_NOT_FOUND', 'No node has this stream.');
          return endpoints === 1 ? view(owner) : [view(owner)];
        }
        const owner = await registry.owner(name);
        if (owner) return endpoints === 1 ? view(owner) : [view(owner)];
        const best = registry.rank({ region, strict });
        if (best.length === 0) throw new GatewayError('NODE_NOT_FOUND', 'No node can take this stream.');
        if (endpoints > 1) return best.slice(0, endpoints).map(view);
        return view(registry.place({ region, strict }));
      },
    );

    app.get('/streammanager/api/4.0/nodes', { onRequest: mayRead }, async () => registry.nodes.map(nodeView));
    app.get('/streammanager/api/4.0/nodes/:id', { onRequest: mayRead }, async ({ params }) =>
      nodeView(registry.get((params as { readonly id: string }).id)),
    );
  };

function readQuery({ query }: FastifyRequest): z.output<typeof EventQuery> {
  const parsed = EventQuery.safeParse(query);
  if (parsed.success) return parsed.data;
  throw new GatewayError('INVALID_REQUEST', `${parsed.error.issues.map(({ message }) => message).join('; ')}.`);
}

const nodeView = (node: NodeRecord): object => ({
  id: node.id,
  address: new URL(node.url).hostname,
  region: node.region,
  group: node.group,
  state: node.state === 'in-service' ? 'INSERVICE' : 'TERMINATING',
  publishers: node.publications,
  capacity: node.capacity,
  launchTime: node.startedAt,
});
