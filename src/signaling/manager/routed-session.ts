import { EventEmitter } from 'node:events';
import type { WebSocket } from 'ws';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { NodeRegistry } from '../../cluster/node-registry.ts';
import { toGatewayError, type ErrorCode } from '../../errors.ts';
import type { ForwardedClients } from '../../net/forwarded-client.ts';
import type { Logger } from '../../observe/logger.ts';
import { isStreamName } from '../../streams/stream-name.ts';
import { ClientLink } from '../client-link.ts';
import type { Connection } from '../messages.ts';
import type { WcsLimits } from '../wcs-limits.ts';
import { openNodeLink, type EndedByNode, type NodeLink, type RoutedClient } from './node-link.ts';
import { endedSession, routeOf } from './route-message.ts';
import { RoutedRooms } from './routed-rooms.ts';
import { SerialWork } from '../../runtime/async.ts';
import { inBackground } from '../../runtime/in-background.ts';

export interface RoutingContext {
  readonly registry: NodeRegistry;
  readonly clients: ForwardedClients;
  /** The manager's own region is preferred. */
  readonly region: string;
  readonly version: string;
  readonly limits: WcsLimits;
  readonly logger: Logger;
}

/** A stream session of the page. */
interface StreamSession {
  readonly name: string;
  readonly published: boolean;
  readonly node: string;
  /** What has begun it, as long as it may go to another node. */
  readonly text: string;
  readonly tries: number;
}

export interface RoutedSessionEvents {
  closed: [];
}

/** Characters from which on a message is sent on its own. */
const LARGE_CHARACTERS = 64 * 1024;
const MAX_SESSIONS = 256;
/** Nodes that are tried for one stream, or for the connection. */
const MAX_TRIES = 3;
/** Milliseconds until a home node is looked for again. */
const HOME_RETRY_MS = 500;

/**
 * One page at a manager: a WebSocket that stays open while nodes come and go. The page is identified by its home node;
 * stream messages go to the node that owns the stream, over a connection of their own where that is another one.
 */
export class RoutedSession extends EventEmitter<RoutedSessionEvents> {
  readonly #link: ClientLink;
  readonly #context: RoutingContext;
  readonly #client: RoutedClient;
  readonly #nodes = new Map<string, NodeLink>();
  readonly #sessions = new Map<string, StreamSession>();
  readonly #rooms: RoutedRooms;
  #homeRetry: NodeJS.Timeout | undefined;
  readonly #onGone = (id: string): void => this.#nodes.get(id)?.abandon();
  /** Messages are routed in order, although the owner of a stream is looked up. */
  readonly #routing = new SerialWork();
  readonly #large = new SerialWork();
  #connection: Connection | undefined;
  /** The page has been told that it is connected. */
  #accepted = false;
  #home: string | undefined;
  /** The home node that was lost last: not to be the next one. */
  #lostHome = '';
  #tries = 0;
  #ended = false;

  constructor(socket: WebSocket, context: RoutingContext, client: RoutedClient) {
    super();
    this.#context = context;
    this.#client = client;
    this.#link = new ClientLink(socket, context, {
      connect: (connection) => this.#connect(connection),
      receive: (message, argument, text) => this.#routing.run(() => this.#route(message, argument, text)),
      closed: () => this.#end(),
    });
    this.#rooms = new RoutedRooms({
      toHome: (message, argument) =>
        this.#nodes.get(this.#home ?? '')?.send(JSON.stringify({ message, data: [argument] })),
      toPage: (message, ...data) => this.#link.send(message, ...data),
      end: (info) => {
        context.logger.info({ info }, 'a page could not return to its room; closing its WebSocket');
        this.#link.end(1000, 'The page could not return to its room.');
      },
    });
    context.registry.on('gone', this.#onGone);
  }

  /** Resolves when the socket is closed. */
  close(): Promise<void> {
    return this.#link.close();
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#homeRetry);
    this.#rooms.close();
    this.#context.registry.off('gone', this.#onGone);
    for (const link of this.#nodes.values()) link.close();
    this.#nodes.clear();
    this.emit('closed');
  }

  /** Passes a message of a node on. Snapshots are larger than what may wait for a client otherwise. */
  #relay(text: string): void {
    if (text.length < LARGE_CHARACTERS) return this.#link.sendText(text);
    inBackground(this.#large.run(() => this.#link.sendLarge(text)));
  }

  async #route(message: string, argument: unknown, text: string): Promise<void> {
    if (this.#ended) return;
    const route = routeOf(message, argument);
    switch (route.to) {
      case 'nowhere':
        return;
      case 'home': {
        const link = this.#homeLink();
        this.#rooms.sent(message, argument);
        return link ? link.send(text) : this.#rooms.homeLost();
      }
      case 'stream':
        return this.#startStream(route, text);
      case 'session': {
        const session = this.#sessions.get(route.mediaSessionId);
        const owner =
          session || route.name === undefined ? undefined : await this.#ownerOf(route.name).catch(() => undefined);
        const node = session ? this.#context.registry.find(session.node) : owner;
        const link = node ? this.#linkTo(node) : this.#homeLink();
        return link?.send(text);
      }
    }
  }

  #connect(connection: Connection): void {
    this.#connection = connection;
    if (!this.#homeLink())
      this.#link.refuse(
        'The cluster has no node that can take the connection. Try again in some seconds.',
        'CLUSTER_UNAVAILABLE',
      );
  }

  async #startStream(
    {
      mediaSessionId,
      name,
      places,
    }: { readonly mediaSessionId: string; readonly name: string; readonly places: boolean },
    text: string,
    tries = 1,
  ): Promise<void> {
    const fail = (code: ErrorCode, info: string): void =>
      this.#link.send('notifyStreamStatusEvent', {
        mediaSessionId,
        name,
        published: places,
        status: 'FAILED',
        info,
        code,
      });
    if (this.#sessions.size >= MAX_SESSIONS) return fail('LIMIT_REACHED', 'Too many streams in one session');
    try {
      const owner = await this.#ownerOf(name);
      // What nobody publishes cannot be played: any node says so.
      const node = owner ?? (places ? this.#place() : undefined);
      const link = node ? this.#linkTo(node) : this.#homeLink();
      const id = node?.id ?? this.#home;
      if (!link || id === undefined)
        return fail('CLUSTER_UNAVAILABLE', 'The cluster has no node that can take the stream.');
      // An id that is in use is refused by its node.
      if (!this.#sessions.has(mediaSessionId))
        this.#sessions.set(mediaSessionId, { name, published: places, node: id, text, tries });
      link.send(text);
    } catch (error) {
      const { code, message } = toGatewayError(error);
      fail(code, message);
    }
  }

  #ownerOf(name: string): Promise<NodeRecord | undefined> {
    return isStreamName(name) ? this.#context.registry.owner(name) : Promise.resolve(undefined);
  }

  /** The home node first, as long as it takes streams, so that most pages need one connection. */
  #place(): NodeRecord {
    const { registry, region } = this.#context;
    return registry.place({ region });
  }

  /** The connection to the home node; a new one if it is gone. */
  #homeLink(): NodeLink | undefined {
    const { registry, region } = this.#context;
    const home = registry.find(this.#home ?? '');
    if (home && this.#nodes.has(home.id)) return this.#linkTo(home);
    const others = registry.rank({ region, except: new Set([this.#lostHome]) });
    const node = others[0] ?? registry.rank({ region })[0] ?? registry.nodes[0];
    if (!node) return undefined;
    this.#home = node.id;
    const link = this.#linkTo(node);
    if (link.established) this.#rooms.homeFound(node.id);
    return link;
  }

  #linkTo(node: NodeRecord): NodeLink {
    const existing = this.#nodes.get(node.id);
    if (existing) return existing;
    const link = openNodeLink(node, this.#client, this.#context.clients, this.#connection);
    this.#nodes.set(node.id, link);
    link.once('established', (user) => {
      this.#established(user);
      if (node.id === this.#home) this.#rooms.homeFound(node.id);
    });
    link.once('refused', (info, code) => {
      if (!this.#accepted || (node.id === this.#home && this.#rooms.needsHome)) this.#link.refuse(info, code);
    });
    link.on('message', (message, data, text) => {
      if (message === 'getVersion' || message === 'getUserData') return;
      if (message === 'roomStream') return this.#rooms.reported(data[0], node.id, this.#home);
      if (node.id === this.#home && !this.#rooms.received(message, data[0])) return;
      const ended = endedSession(message, data[0]);
      if (ended !== undefined) this.#sessions.delete(ended);
      this.#relay(text);
    });
    link.once('closed', (neverOpened, ended) => this.#lost(node.id, link, neverOpened, ended));
    return link;
  }

  #established(user: unknown): void {
    if (this.#accepted) return;
    this.#accepted = true;
    const data = user as Record<string, unknown>;
    // The other nodes get the same identity.
    if (typeof data['authToken'] === 'string')
      this.#connection = { ...this.#connection!, authToken: data['authToken'] };
    this.#link.send('getVersion', this.#context.version);
    this.#link.send('getUserData', data);
  }

  /**
   * A node is gone: what it has not received goes to another one; its streams fail, and the page may publish them again at
   * once over the same connection.
   */
  #lost(node: string, link: NodeLink, neverOpened: boolean, ended: EndedByNode | undefined): void {
    if (this.#nodes.get(node) === link) this.#nodes.delete(node);
    if (neverOpened) this.#context.registry.unreachable(node);
    // The page is gone, or was refused.
    if (!this.#link.isOpen) return;
    const isHome = node === this.#home;
    if (isHome && ended) return this.#link.end(ended.code, ended.reason);
    this.#rooms.nodeLost(node);
    if (!this.#accepted) this.#connectElsewhere(node);
    else if (isHome) this.#moveHome(link.established);
    for (const [mediaSessionId, { name, published, node: its, text, tries }] of [...this.#sessions]) {
      if (its !== node) continue;
      this.#sessions.delete(mediaSessionId);
      if (neverOpened && tries < MAX_TRIES) {
        inBackground(this.#startStream({ mediaSessionId, name, places: published }, text, tries + 1));
        continue;
      }
      const info = 'The node that carried the stream is gone.';
      this.#link.send('notifyStreamStatusEvent', { mediaSessionId, name, published, status: 'FAILED', info });
    }
  }

  /** A page with rooms needs another home node at once; others get one with their next message. */
  #moveHome(wasEstablished: boolean): void {
    this.#lostHome = this.#home!;
    this.#rooms.homeLost();
    if (!this.#rooms.needsHome) return;
    if (wasEstablished) this.#findHome();
    else this.#findHomeLater();
  }

  #findHome(): void {
    if (!this.#homeLink()) this.#findHomeLater();
  }

  #findHomeLater(): void {
    clearTimeout(this.#homeRetry);
    this.#homeRetry = setTimeout(() => this.#findHome(), HOME_RETRY_MS);
  }

  /** Another node may accept the page. */
  #connectElsewhere(lost: string): void {
    const { registry, region } = this.#context;
    const next = registry.rank({ region, except: new Set([lost]) })[0];
    if (!next || ++this.#tries >= MAX_TRIES)
      return this.#link.refuse(
        'The node that was to take the connection does not answer. Try again in some seconds.',
        'NODE_LOST',
      );
    this.#home = next.id;
    this.#linkTo(next);
  }
}
