import { get as httpGet, type ClientRequest } from 'node:http';
import { get as httpsGet } from 'node:https';
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { EventStream } from '../live/event-stream.ts';
import { anyNode, nodeLost, type ProxyParts } from './proxy.ts';
import { urlAtNode } from './node-url.ts';

/** Milliseconds between two looks for nodes that are new, or whose stream has ended. */
const LOOK_MS = 1000;
/** Characters of one message. The snapshot of a node with a thousand pushes has less than two million. */
const MAX_MESSAGE = 16 * 1024 * 1024;

/**
 * `/api/v1/events` of a manager: the events of all nodes in one stream, each with the id of its node. Every node checks
 * the client's rights itself.
 */
export const eventProxyRoutes =
  (parts: ProxyParts): FastifyPluginAsync =>
  async (app) => {
    const open = new Set<EventStream>();
    app.addHook('preClose', async () => {
      for (const stream of open) stream.end();
    });
    app.get('/api/v1/events', { exposeHeadRoute: false }, async (request, reply) => {
      // The first node says whether the client may.
      const first = anyNode(parts);
      const probe = await parts.client.ask(first, request, '/api/v1/me', 2000).catch(() => undefined);
      if (!probe) throw nodeLost([first.id]);
      if (probe.status !== 200) {
        reply.code(probe.status).type('application/json; charset=utf-8');
        const { 'www-authenticate': challenge } = probe.headers;
        if (challenge !== undefined) reply.header('www-authenticate', challenge);
        return reply.send(probe.body);
      }
      const stream = new EventStream(reply, () => {
        open.delete(stream);
        merged.close();
      });
      open.add(stream);
      const merged = new MergedEvents(request, parts, stream);
      return reply;
    });
  };

/** The streams of all nodes for one client. */
class MergedEvents {
  readonly #request: FastifyRequest;
  readonly #parts: ProxyParts;
  readonly #stream: EventStream;
  readonly #nodes = new Map<string, ClientRequest>();
  readonly #timer: NodeJS.Timeout;

  constructor(request: FastifyRequest, parts: ProxyParts, stream: EventStream) {
    this.#request = request;
    this.#parts = parts;
    this.#stream = stream;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const request of this.#nodes.values()) request.destroy();
    this.#nodes.clear();
  }

  #look(): void {
    for (const node of this.#parts.registry.reachable)
      if (!this.#nodes.has(node.id)) this.#nodes.set(node.id, this.#follow(node));
  }

  #follow(node: NodeRecord): ClientRequest {
    const { client } = this.#parts;
    const url = urlAtNode(node, this.#request.url);
    const get = url.protocol === 'https:' ? httpsGet : httpGet;
    // Not over the agent, which would cut it off as one that does not answer. Ids of other nodes mean nothing to it.
    const { 'last-event-id': _, ...headers } = client.headersFor(this.#request);
    let hasBegun = false;
    const request = get(url, { headers, agent: false });
    const ended = (): void => {
      if (this.#nodes.get(node.id) !== request) return;
      this.#nodes.delete(node.id);
      if (hasBegun) this.#stream.send('gone', JSON.stringify({ node: node.id }));
    };
    request.once('error', ended).once('close', ended);
    request.once('response', (response) => {
      if (response.statusCode !== 200) return void response.destroy();
      hasBegun = true;
      let rest = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        const messages = (rest + text).split('\n\n');
        rest = messages.pop()!;
        for (const message of messages) this.#pass(node.id, message);
        if (rest.length > MAX_MESSAGE) response.destroy();
      });
    });
    return request;
  }

  #pass(node: string, message: string): void {
    const field = (name: string): string | undefined =>
      message
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
    const [event, data] = [field('event'), field('data')];
    // Every message is an object with fields.
    if (event !== undefined && data?.startsWith('{'))
      this.#stream.send(event, `{"node":${JSON.stringify(node)},${data.slice(1)}`);
  }
}
