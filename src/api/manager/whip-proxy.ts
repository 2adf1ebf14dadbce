import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { GatewayError } from '../../errors.ts';
import { readStreamName } from '../whip/whip-requests.ts';
import { acceptForwarding, anyNode, forward, replyLost, wasRefused, type ProxyParts } from './proxy.ts';

/** Bytes: as the nodes have it. */
const OFFER_LIMIT = 128 * 1024;
/** Nodes that are tried for one new stream. */
const MAX_TRIES = 3;

export interface WhipProxyParts extends ProxyParts {
  /** `node_region` of the manager: its own region is preferred. */
  readonly region: string;
}

/**
 * WHIP and WHEP at a manager. A POST goes to the node that owns the stream, or a new stream to the best node. The path of
 * the session in `Location` names its node: `/n/NODE/whip/STREAM/ID`.
 */
export const whipProxyRoutes =
  (parts: WhipProxyParts): FastifyPluginAsync =>
  async (app) => {
    const { registry } = parts;
    await acceptForwarding(app, parts);
    const any = (request: FastifyRequest, reply: FastifyReply, path?: string): FastifyReply =>
      forward(request, reply, anyNode(parts), parts, path === undefined ? {} : { path });

    const publish =
      (pathOf: (request: FastifyRequest) => string) => async (request: FastifyRequest, reply: FastifyReply) => {
        const owner = await registry.owner(readStreamName(request));
        tryNodes(request, reply, owner, pathOf(request), parts);
        return reply;
      };
    const asSent = ({ url }: FastifyRequest): string => url;

    const endpoints = [
      { url: '/whip/:stream', post: publish(asSent) },
      { url: '/:app/whip/endpoint/:stream', post: publish(asSent) },
      {
        url: '/as/v1/proxy/whip/:app/:stream',
        post: publish(({ params, url }) => {
          const { app: application, stream } = params as { readonly app: string; readonly stream: string };
          const query = url.includes('?') ? url.slice(url.indexOf('?')) : '';
          return `/${encodeURIComponent(application)}/whip/endpoint/${encodeURIComponent(stream)}${query}`;
        }),
      },
      {
        url: '/whep/:stream',
        post: async (request: FastifyRequest, reply: FastifyReply) => {
          const owner = await registry.owner(readStreamName(request));
          // A stream that nobody publishes is refused by any node.
          if (!owner) return any(request, reply);
          return forward(request, reply, owner, parts, { rewriteHeaders: carryNode(owner, request) });
        },
      },
    ];
    for (const { url, post } of endpoints) {
      app.post(url, { bodyLimit: OFFER_LIMIT }, post);
      app.route({
        method: ['GET', 'OPTIONS', 'PUT', 'PATCH', 'DELETE'],
        url,
        bodyLimit: OFFER_LIMIT,
        handler: async (request, reply) =>
          any(request, reply, url.startsWith('/as/') ? asEndpoint(request) : undefined),
      });
    }
    for (const url of [
      '/n/:node/whip/:stream/:id',
      '/n/:node/whep/:stream/:id',
      '/n/:node/:app/whip/resource/:stream/:id',
    ])
      app.route({
        method: ['GET', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE'],
        url,
        bodyLimit: OFFER_LIMIT,
        handler: async (request, reply) => {
          const node = registry.get((request.params as { readonly node: string }).node);
          return forward(request, reply, node, parts, { path: request.url.replace(/^\/+n\/+[^/]+/, '') });
        },
      });
  };

const asEndpoint = ({ params }: FastifyRequest): string => {
  const { app, stream } = params as { readonly app: string; readonly stream: string };
  return `/${encodeURIComponent(app)}/whip/endpoint/${encodeURIComponent(stream)}`;
};

/** Tries the owner, and for a stream without one the best nodes in turn. */
function tryNodes(
  request: FastifyRequest,
  reply: FastifyReply,
  owner: NodeRecord | undefined,
  path: string,
  parts: WhipProxyParts,
): void {
  const { registry, region } = parts;
  const tried = new Set<string>();
  const attempt = (node: NodeRecord): void => {
    tried.add(node.id);
    forward(request, reply, node, parts, {
      path,
      rewriteHeaders: carryNode(node, request),
      onStatus: (status) => {
        if (status >= 400 && node !== owner) registry.withdraw(node.id);
      },
      onLost: (error) => {
        // An offer that has reached its node may have started a session, which ends unless a client connects.
        if (wasRefused(error)) registry.unreachable(node.id);
        const mayTryAgain = wasRefused(error) || !registry.find(node.id);
        if (!mayTryAgain || tried.size >= MAX_TRIES) return replyLost(request, reply, node.id);
        try {
          attempt(registry.place({ region, except: tried }));
        } catch (failure) {
          if (!(failure instanceof GatewayError)) throw failure;
          replyLost(request, reply, node.id);
        }
      },
    });
  };
  attempt(owner ?? registry.place({ region }));
}

/** Puts the node into the path of the session, and names it as Red5 does. */
const carryNode =
  ({ id, url }: NodeRecord, { pathPrefix }: FastifyRequest) =>
  (headers: Record<string, unknown>): Record<string, unknown> => {
    const { location } = headers;
    if (typeof location !== 'string' || !location.startsWith('/')) return headers;
    return {
      ...headers,
      location: `${pathPrefix}/n/${encodeURIComponent(id)}${location}`,
      'session-host': new URL(url).hostname,
    };
  };
