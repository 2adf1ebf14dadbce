import replyFrom from '@fastify/reply-from';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { NodeRegistry } from '../../cluster/node-registry.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { errorBody, pathOf } from '../error-reply.ts';
import type { NodeClient } from './node-client.ts';
import { urlAtNode } from './node-url.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';

export interface ProxyParts {
  readonly registry: NodeRegistry;
  readonly client: NodeClient;
  readonly logger: Logger;
}

export interface ForwardOptions {
  /** Path and query at the node. Default: as the client has sent them. */
  readonly path?: string;
  /** What to do when the node does not answer. Default: 503 NODE_LOST. */
  readonly onLost?: (error: Error) => void;
  /** Called with the status of the answer. */
  readonly onStatus?: (status: number) => void;
  readonly rewriteHeaders?: (headers: Record<string, unknown>) => Record<string, unknown>;
}

/** Milliseconds that a node may take. Application servers that it asks may take 15 s. */
const TIMEOUT_MS = 20_000;

/** Enables {@link forward} in an instance. */
export async function acceptForwarding(app: FastifyInstance, { client }: ProxyParts): Promise<void> {
  await app.register(replyFrom as never, {
    undici: false,
    http: { agents: client.agents, requestOptions: { timeout: TIMEOUT_MS } },
    disableCache: true,
    disableRequestLogging: true,
    retryMethods: [],
  });
  app.removeAllContentTypeParsers();
  // Nodes parse and check bodies.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) => body);
}

/** Passes a request on to a node, and its answer back. */
export function forward(
  request: FastifyRequest,
  reply: FastifyReply,
  node: NodeRecord,
  { client, logger }: Pick<ProxyParts, 'client' | 'logger'>,
  { path = request.url, rewriteHeaders = (headers) => headers, onLost, onStatus }: ForwardOptions = {},
): FastifyReply {
  const body = request.body instanceof Buffer && request.body.length > 0 ? request.body : undefined;
  const contentType = request.headers['content-type'];
  const headers = client.headersFor(request);
  const sends = request.method !== 'GET' && request.method !== 'HEAD';
  const url = urlAtNode(node, path);
  return reply.from(url.origin + url.pathname, {
    queryString: () => url.search.slice(1),
    ...(sends && { body: body ?? null, contentType: contentType ?? 'application/octet-stream' }),
    rewriteRequestHeaders: (_request: unknown, own: Record<string, unknown>) => ({
      ...headers,
      ...('content-length' in own && { 'content-length': own['content-length'] }),
      ...(request.headers.host && { host: request.headers.host }),
    }),
    rewriteHeaders: (answered: Record<string, unknown>) => rewriteHeaders(answered),
    ...(onStatus && {
      onResponse: (_request: unknown, answer: FastifyReply, upstream: { statusCode: number; stream: unknown }) => {
        onStatus(upstream.statusCode);
        void answer.send(upstream.stream);
      },
    }),
    onError: (_reply: unknown, { error }: { readonly error: Error }) => {
      logger.warn({ nodeId: node.id, method: request.method, reason: causeOf(error) }, 'a node did not answer');
      if (onLost) onLost(error);
      else replyLost(request, reply, node.id);
    },
  } as never);
}

/** A node that answers, also when it takes no new streams. */
export function anyNode({ registry }: Pick<ProxyParts, 'registry'>): NodeRecord {
  const node = registry.rank()[0] ?? registry.nodes[0];
  if (node) return node;
  throw new GatewayError('CLUSTER_UNAVAILABLE', 'The cluster has no node. Start one, or try again in some seconds.');
}

/** Whether a request certainly did not reach the node. */
export const wasRefused = (error: Error): boolean => /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH/.test(causeOf(error));

export function replyLost(request: FastifyRequest, reply: FastifyReply, nodeId: string): void {
  const error = nodeLost([nodeId]);
  void reply
    .code(error.httpStatus)
    .header('Retry-After', 1)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(error, pathOf(request), wallClockMs())));
}

export const nodeLost = (ids: readonly string[]): GatewayError =>
  new GatewayError(
    'NODE_LOST',
    `The node ${ids.join(', ')} does not answer. Try again in some seconds: what ran there is started on another node.`,
  );

function causeOf(error: Error): string {
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return code ?? message;
}
