import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { NodeRegistry } from '../../cluster/node-registry.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { ClientAddresses } from '../../net/client-addresses.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../../net/forwarded-client.ts';
import { answerUpgrade, refuseUpgrade } from '../../net/refuse-upgrade.ts';
import { KeepAlive } from '../../net/keep-alive.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { ConnectionLimit } from '../../net/connection-limit.ts';
import type { Settings } from '../../config/schema.ts';
import { guarded } from '../../runtime/in-background.ts';
import { closeSocket, joinSockets } from './join-sockets.ts';
import { openNodeSocket, type NodeRefusal } from './node-socket.ts';
import { urlAtNode } from './node-url.ts';
import { nodeLost } from './proxy.ts';
import { roomTarget, type RoomTarget } from './room-target.ts';

export interface RoomProxyOptions {
  readonly registry: NodeRegistry;
  readonly clients: ForwardedClients;
  readonly addresses: ClientAddresses;
  /** Nodes of this region are preferred. */
  readonly region: string;
  /** Whether a page of this origin may connect. */
  readonly allowOrigin: (origin: string | undefined) => boolean;
  /** Bytes that may wait for a client, or for a node: at least two messages. */
  readonly queuedBytes: number;
  readonly logger: Logger;
  /** Milliseconds between two pings. Default: 10 s. */
  readonly pingIntervalMs?: number;
}

export interface RoomProxyParts extends Pick<RoomProxyOptions, 'registry' | 'clients' | 'allowOrigin' | 'logger'> {
  readonly limits: { readonly connections: Pick<ConnectionLimit, 'addresses'>; readonly queuedBytes: number };
  readonly metrics: Metrics;
}

/** Creates the proxy of a manager from its settings, and registers its metrics. */
export function createRoomProxy(settings: Settings, { limits, metrics, ...parts }: RoomProxyParts): RoomProxy {
  const { queuedBytes, connections } = limits;
  const region = settings.node_region;
  const proxy = new RoomProxy({ ...parts, region, queuedBytes, addresses: connections.addresses });
  metrics.gauge(
    'gateway_cluster_room_clients',
    'WebSocket clients of rooms that the manager passes on to nodes.',
    () => proxy.size,
  );
  return proxy;
}

/** An upgrade request, and what belongs to it. */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Bytes of one message: as the nodes have it. */
const MAX_MESSAGE_BYTES = 256 * 1024;
/** Nodes that are tried for one client. */
const MAX_TRIES = 3;
/** The subprotocol of Red5's chat example: the only one that the nodes know. */
const CHAT = 'chat';

/** WebSocket clients of rooms at a manager: each is passed on to a node, which decides about it. */
export class RoomProxy {
  readonly #options: RoomProxyOptions;
  readonly #sockets: WebSocketServer;
  readonly #keepAlive: KeepAlive;
  /** Connections to nodes, with the id of the node. */
  readonly #links = new Map<WebSocket, string>();
  readonly #onGone: (id: string) => void;
  #closing: Promise<void> | undefined;

  constructor(options: RoomProxyOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      allowSynchronousEvents: false,
      handleProtocols: (protocols) => protocols.has(CHAT) && CHAT,
    });
    this.#keepAlive = new KeepAlive(this.#sockets.clients, { intervalMs: options.pingIntervalMs });
    this.#onGone = (gone) => {
      for (const [link, id] of this.#links) if (id === gone) link.terminate();
    };
    options.registry.on('gone', this.#onGone);
  }

  /** Serves the upgrade requests of a listener. */
  attach(server: Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      // Until the WebSocket takes over.
      socket.on('error', () => socket.destroy());
      this.#serve(request, socket, head).catch((error: unknown) => refuseUpgrade(socket, toGatewayError(error)));
    });
  }

  /** Clients that are passed on. */
  get size(): number {
    return this.#sockets.clients.size;
  }

  /** Ends all connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keepAlive.close();
    this.#options.registry.off('gone', this.#onGone);
    const sockets = [...this.#sockets.clients, ...this.#links.keys()];
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) closeSocket(socket, 1001, 'going away');
    await Promise.all(closed);
  }

  /** @throws {GatewayError} the client is refused */
  async #serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { origin } = request.headers;
    this.#checkOpen();
    if (!this.#options.allowOrigin(origin)) {
      this.#options.logger.warn({ origin }, 'connection of a page refused: add its origin to cors_origins to allow it');
      throw new GatewayError('FORBIDDEN', 'Pages of this origin may not connect (cors_origins).');
    }
    const target = roomTarget(request.url ?? '/');
    const nodes = await this.#nodesFor(target);
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    for (const node of nodes.slice(0, MAX_TRIES)) {
      const answer = await this.#open(node, target.path, request, gone.signal);
      if (answer instanceof WebSocket) return this.#join(node, answer, { request, socket, head });
      if (answer) return answerUpgrade(socket, answer.status, answer.body);
      if (gone.signal.aborted) return;
      this.#options.registry.unreachable(node.id);
    }
    throw nodeLost(nodes.map(({ id }) => id));
  }

  /** @throws {GatewayError} SHUTTING_DOWN */
  #checkOpen(): void {
    if (this.#closing) throw new GatewayError('SHUTTING_DOWN', 'The manager is shutting down.');
  }

  /** @throws {GatewayError} NODE_NOT_FOUND, STREAM_NOT_FOUND or CLUSTER_UNAVAILABLE */
  async #nodesFor(target: RoomTarget): Promise<readonly NodeRecord[]> {
    const { registry, region } = this.#options;
    if (target.to === 'owner') {
      const owner = await registry.owner(target.stream);
      if (!owner)
        throw new GatewayError('STREAM_NOT_FOUND', 'Nobody publishes this stream: publish it first, then connect.');
      return [owner];
    }
    if (target.to === 'node') return [findNode(registry, target.host)];
    const nodes = registry.nodes
      .filter(({ state }) => state === 'in-service')
      .map((node) => ({ node, rank: (region !== '' && node.region !== region ? 1 : 0) + Math.random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ node }) => node);
    if (nodes.length > 0) return nodes;
    throw new GatewayError('CLUSTER_UNAVAILABLE', 'No node is in service. Start one, or try again in some seconds.');
  }

  /**
   * Connects to a node in the client's name.
   *
   * @returns nothing if the node cannot be reached
   */
  #open(
    node: NodeRecord,
    path: string,
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<WebSocket | NodeRefusal | undefined> {
    const { clients, addresses } = this.#options;
    const { host, origin, 'user-agent': userAgent, 'sec-websocket-protocol': protocols = '' } = request.headers;
    const url = urlAtNode(node, path);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return openNodeSocket(url, {
      headers: {
        [FORWARDED_CLIENT_HEADER]: clients.sign(addresses.of(request)),
        ...(host !== undefined && { host }),
        ...(origin !== undefined && { origin }),
        ...(userAgent !== undefined && { 'user-agent': userAgent }),
      },
      protocols: protocols.split(',').some((protocol) => protocol.trim() === CHAT) ? [CHAT] : [],
      maxMessageBytes: MAX_MESSAGE_BYTES,
      signal,
    });
  }

  /** Accepts the client, whose node has accepted it. */
  #join(node: NodeRecord, link: WebSocket, { request, socket, head }: Upgrade): void {
    link.on('error', () => undefined);
    if (this.#closing) link.terminate();
    this.#checkOpen();
    this.#links.set(link, node.id);
    link.once('close', () => this.#links.delete(link));
    let accepted = false;
    const pass = (client: WebSocket): void => {
      const { queuedBytes, logger } = this.#options;
      const maxQueuedBytes = Math.max(queuedBytes, 2 * MAX_MESSAGE_BYTES);
      this.#keepAlive.watch(client);
      client.on('ping', () => {
        // Each one is answered, also if the client does not read.
        if (client.bufferedAmount > maxQueuedBytes) client.terminate();
      });
      client.on('error', (error) => logger.debug({ err: error }, 'WebSocket error'));
      joinSockets(client, link, {
        maxQueuedBytes,
        onSlow: (side, waiting) => logger.info({ side, queuedBytes: waiting }, 'a WebSocket is not read; closing it'),
      });
    };
    this.#sockets.handleUpgrade(request, socket, head, (client) => {
      accepted = true;
      const end = (): void => {
        client.terminate();
        link.terminate();
      };
      guarded(end, pass)(client);
    });
    // The client is gone, or its request was malformed.
    if (!accepted) link.terminate();
  }
}

/**
 * The node of this id, or of the address by which the Stream Manager names it.
 *
 * @throws {GatewayError} NODE_NOT_FOUND
 */
function findNode(registry: NodeRegistry, host: string): NodeRecord {
  const isNamed = ({ url }: NodeRecord): boolean => {
    const { host: address, hostname } = new URL(url);
    return host === address || host === hostname || `[${host}]` === hostname;
  };
  const node = registry.find(host) ?? registry.reachable.find(isNamed);
  if (node) return node;
  throw new GatewayError(
    'NODE_NOT_FOUND',
    'host is not a node of this cluster. Ask /streammanager/api/4.0/event for the address of one.',
  );
}
