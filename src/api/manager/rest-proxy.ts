import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { GatewayError } from '../../errors.ts';
import { isStreamName } from '../../streams/stream-name.ts';
import { OPERATIONS } from '../openapi/operations.ts';
import { mergeAnswers } from './merge-answers.ts';
import type { NodeAnswer } from './node-client.ts';
import { acceptForwarding, anyNode, forward, nodeLost, type ProxyParts } from './proxy.ts';

/** Bytes: as the nodes have it. */
const BODY_LIMIT = 64 * 1024;
/** Transponders whose node is remembered. */
const MAX_REMEMBERED = 10_000;
/** Milliseconds for a node that is asked to do something: it may have to read a sound file. */
const HOLDER_MS = 10_000;

/**
 * The REST interface at a manager: every question is answered by the nodes it concerns, never from Redis, and each node
 * checks the client's rights itself.
 */
export const restProxyRoutes =
  (parts: ProxyParts): FastifyPluginAsync =>
  async (app) => {
    const { registry, client } = parts;
    await acceptForwarding(app, parts);
    const holders = new Map<string, string>();
    const remember = (id: string, node: NodeRecord): void => {
      holders.set(id, node.id);
      if (holders.size > MAX_REMEMBERED) holders.delete(holders.keys().next().value!);
    };

    const toAny = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
      forward(request, reply, anyNode(parts), parts);

    async function toOwner(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      const stream = streamOf(request);
      const owner = stream === undefined ? undefined : await registry.owner(stream);
      // Any node says that the stream does not exist, or what is wrong with the request.
      return owner ? forward(request, reply, owner, parts) : toAny(request, reply);
    }

    async function toAll(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      const { answers, missing: silent } = await client.askAll(request);
      const { missing, ...merged } = mergeAnswers(answers, silent, {
        // Answers of WCS's methods have the fields of WCS only.
        namesNodes: request.url.startsWith('/api/v1/'),
        onId: remember,
      });
      if (missing.length > 0)
        reply.header('X-Partial', 'true').header('X-Missing-Nodes', missing.map(({ id }) => id).join(', '));
      return relay(reply, merged);
    }

    async function toHolder(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      const id = idOf(request);
      const known = registry.find(holders.get(id ?? '') ?? '');
      if (known) {
        const answer = await client.ask(known, request, request.url, HOLDER_MS).catch(() => undefined);
        if (answer && answer.status !== 404) return relay(reply, answer);
      }
      const { answers, missing } = await client.askAll(request, request.url, HOLDER_MS);
      const found = answers.find(({ status }) => status < 300) ?? answers.find(({ status }) => status !== 404);
      if (found) {
        if (id !== undefined) remember(id, found.node);
        return relay(reply, found);
      }
      // It may be on a node that did not answer.
      if (missing.length > 0 || answers.length === 0) throw nodeLost(missing.map((node) => node.id));
      return relay(reply, answers[0]!);
    }

    const handlers = {
      owner: toOwner,
      all: toAll,
      holder: toHolder,
      any: async (...args: [FastifyRequest, FastifyReply]) => toAny(...args),
    };
    for (const { method, path, cluster } of OPERATIONS) {
      if (!cluster) continue;
      app.route({
        method: method.toUpperCase(),
        url: path.replace(/\{(\w+)\}/g, ':$1'),
        bodyLimit: BODY_LIMIT,
        exposeHeadRoute: false,
        handler: async (request, reply) => {
          const answer = await handlers[cluster](request, reply);
          return answer;
        },
      });
    }
    // Preflights of pages of other origins: the nodes have the same cors_origins.
    for (const url of ['/rest-api/*', '/api/v1/*']) app.options(url, async (request, reply) => toAny(request, reply));
    for (const url of ['/rest-api/*', '/RESTCall/*', '/api/v1/*', '/client/records/*', '/hls/*'])
      app.route({
        method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
        url,
        exposeHeadRoute: false,
        handler: () => {
          throw new GatewayError(
            'NOT_IMPLEMENTED',
            'Managers do not pass this method on, because it concerns one node. Call it at the node: GET /api/v1/nodes shows the URLs.',
          );
        },
      });
  };

function relay(
  reply: FastifyReply,
  { status, headers, body }: Pick<NodeAnswer, 'status' | 'headers' | 'body'>,
): FastifyReply {
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !DROPPED.has(name)) reply.header(name, value);
  return reply.code(status).send(body.length > 0 ? body : undefined);
}

/** Set anew for the answer to the client. */
const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'date',
]);

function fieldsOf({ body }: FastifyRequest): Record<string, unknown> {
  if (!(body instanceof Buffer)) return {};
  try {
    const parsed: unknown = JSON.parse(body.toString());
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {}; // The node says what is wrong with it.
  }
}

function streamOf(request: FastifyRequest): string | undefined {
  const { stream, name } = request.params as { readonly stream?: string; readonly name?: string };
  const found = stream ?? name ?? fieldsOf(request)['streamName'];
  return typeof found === 'string' && isStreamName(found) ? found : undefined;
}

function idOf(request: FastifyRequest): string | undefined {
  const { id } = request.params as { readonly id?: string };
  const { mediaSessionId, sessionId } = fieldsOf(request);
  const found = id ?? mediaSessionId ?? sessionId;
  return typeof found === 'string' ? found : undefined;
}
