import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import type { FastifyRequest } from 'fastify';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../../net/forwarded-client.ts';
import { FORWARDED_PREFIX_HEADER } from '../../net/path-prefix.ts';
import type { NodeRegistry } from '../../cluster/node-registry.ts';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { urlAtNode } from './node-url.ts';

/** What a node has answered. */
export interface NodeAnswer {
  readonly node: NodeRecord;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Answers of all nodes, and those that did not answer. */
export interface AllAnswers {
  readonly answers: readonly NodeAnswer[];
  readonly missing: readonly NodeRecord[];
}

/** Milliseconds in which each node must answer a question that goes to all. */
const DEADLINE_MS = 2000;
/** Bytes of one answer. A list of a thousand pushes has less than one megabyte. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** Of one connection to another. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'proxy-authorization',
  'proxy-authenticate',
  'content-length',
  FORWARDED_PREFIX_HEADER,
]);

/** Connections of a manager to the nodes. When a node is gone, requests that wait for it fail at once. */
export class NodeClient {
  readonly agents = {
    'http:': new HttpAgent({ keepAlive: true }),
    'https:': new HttpsAgent({ keepAlive: true }),
  };
  readonly #clients: ForwardedClients;
  readonly #registry: NodeRegistry;
  /** URLs of the nodes as they were last seen. */
  readonly #onGone: (id: string, url: string) => void;

  constructor(registry: NodeRegistry, clients: ForwardedClients) {
    this.#registry = registry;
    this.#clients = clients;
    this.#onGone = (_, url) => this.#cut(new URL(url));
    registry.on('gone', this.#onGone);
  }

  /** The headers of a client's request, for a node: its own `Host`, and the client's address. */
  headersFor(request: FastifyRequest): Record<string, string | string[]> {
    const headers = Object.entries(request.headers).filter(
      ([name, value]) => value !== undefined && !HOP_BY_HOP.has(name) && name !== 'expect',
    );
    return {
      ...(Object.fromEntries(headers) as Record<string, string | string[]>),
      [FORWARDED_CLIENT_HEADER]: this.#clients.sign(request.ip),
    };
  }

  /** Asks all nodes at the same time. */
  async askAll(request: FastifyRequest, path = request.url, deadlineMs = DEADLINE_MS): Promise<AllAnswers> {
    const { reachable } = this.#registry;
    const asked = await Promise.all(
      reachable.map(async (node) => this.ask(node, request, path, deadlineMs).catch(() => node)),
    );
    return {
      answers: asked.filter((one): one is NodeAnswer => 'status' in one),
      missing: asked.filter((one): one is NodeRecord => !('status' in one)),
    };
  }

  /**
   * Passes a client's request on to a node and reads the whole answer.
   *
   * @throws {Error} when the node does not answer in time
   */
  ask(node: NodeRecord, request: FastifyRequest, path: string, timeoutMs: number): Promise<NodeAnswer> {
    const url = urlAtNode(node, path);
    const body = request.body instanceof Buffer ? request.body : undefined;
    const headers: OutgoingHttpHeaders = {
      ...this.headersFor(request),
      ...(body && { 'content-length': body.length }),
    };
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const upstream = send(url, {
        method: request.method,
        headers,
        agent: this.agents[url.protocol as 'http:' | 'https:'],
        signal: AbortSignal.timeout(timeoutMs),
      });
      upstream.once('error', reject);
      upstream.once('response', (response) => {
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too large'));
        });
        buffer(response).then(
          (all) => resolve({ node, status: response.statusCode!, headers: response.headers, body: all }),
          reject,
        );
      });
      upstream.end(body);
    });
  }

  /** Idempotent. */
  close(): void {
    this.#registry.off('gone', this.#onGone);
    for (const agent of Object.values(this.agents)) agent.destroy();
  }

  #cut({ protocol, hostname, port }: URL): void {
    const agent = this.agents[protocol as 'http:' | 'https:'];
    const name = `${hostname.replace(/^\[|\]$/g, '')}:${port || (protocol === 'https:' ? 443 : 80)}:`;
    for (const pool of [agent.sockets, agent.freeSockets])
      for (const [key, sockets] of Object.entries(pool))
        if (key.startsWith(name)) for (const socket of sockets ?? []) socket.destroy();
  }
}
