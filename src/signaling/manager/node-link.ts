import { EventEmitter } from 'node:events';
import { WebSocket, type RawData } from 'ws';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { parseNodeMessage } from './node-messages.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../../net/forwarded-client.ts';
import { guarded } from '../../runtime/in-background.ts';

/** The client's upgrade request. */
export interface RoutedClient {
  readonly ip: string;
  /** Path and query. */
  readonly path: string;
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface NodeLinkEvents {
  /** The node has accepted the client; the messages that waited are sent. */
  established: [user: unknown];
  /** The node has refused the client. */
  refused: [info: string, code: string | undefined];
  message: [message: string, data: readonly unknown[], text: string];
  /**
   * The connection has ended. Emitted once; nothing follows.
   *
   * @param neverOpened nothing listens at the node, or it cannot be reached
   * @param ended why the node has ended the connection of this client, if it has
   */
  closed: [neverOpened: boolean, ended: EndedByNode | undefined];
}

/** A close that concerns the client, not the node. */
export interface EndedByNode {
  readonly code: number;
  readonly reason: string;
}

export interface NodeLinkOptions {
  /** With the path and the query of the client. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The client's `connection`. */
  readonly connection: unknown;
}

/** Messages that may wait until the node has accepted the client. */
const MAX_WAITING = 64;
/** Codes of {@link EndedByNode}: the client was terminated, has broken a rule, or has sent too much. */
const CLIENT_CODES: readonly number[] = [1000, 1008, 1009];
const HANDSHAKE_TIMEOUT_MS = 3000;
/** Milliseconds until the node must have accepted the client; it may have to ask an application server. */
const ESTABLISH_TIMEOUT_MS = 20_000;
/** As the nodes have it for their clients, and larger: snapshots. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** A client's connection to one node, opened by a manager in the client's name. */
export class NodeLink extends EventEmitter<NodeLinkEvents> {
  readonly #socket: WebSocket;
  readonly #timeout: NodeJS.Timeout;
  #waiting: string[] | undefined = [];
  #closed = false;
  #opened = false;

  constructor({ url, headers, connection }: NodeLinkOptions) {
    super();
    this.#socket = new WebSocket(url, {
      headers,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    this.#timeout = setTimeout(() => this.#socket.terminate(), ESTABLISH_TIMEOUT_MS);
    this.#socket.once('open', () => {
      this.#opened = true;
      this.#socket.send(JSON.stringify({ message: 'connection', data: [connection] }));
    });
    const terminate = (): void => this.#socket.terminate();
    this.#socket.on(
      'message',
      guarded(terminate, (data: RawData, isBinary: boolean) => {
        if (!isBinary) this.#receive(String(data));
      }),
    );
    // `close` follows.
    this.#socket.on('error', () => undefined);
    this.#socket.once(
      'close',
      guarded(terminate, (code: number, reason: Buffer) => {
        clearTimeout(this.#timeout);
        if (this.#closed) return;
        this.#closed = true;
        const isOfClient = this.established && CLIENT_CODES.includes(code);
        this.emit('closed', !this.#opened, isOfClient ? { code, reason: String(reason) } : undefined);
      }),
    );
  }

  /** Whether the node has accepted the client. */
  get established(): boolean {
    return this.#waiting === undefined;
  }

  send(text: string): void {
    if (this.#waiting) {
      if (this.#waiting.push(text) > MAX_WAITING) this.#socket.terminate();
    } else if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** Ends the connection; emits nothing. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timeout);
    this.#socket.close();
  }

  /** The node is gone: does not wait for it. */
  abandon(): void {
    this.#socket.terminate();
  }

  #receive(text: string): void {
    const parsed = parseNodeMessage(text);
    // No node sends this: the connection is of no use any more.
    if (!parsed) return this.#socket.terminate();
    const { message, data } = parsed;
    if (message === 'ping') return void this.#socket.send('{"message":"pong","data":[]}');
    if (message === 'pong') return;
    if (this.#waiting) return this.#establish(message, data);
    this.emit('message', message, data, text);
  }

  #establish(message: string, data: readonly unknown[]): void {
    if (message === 'fail') {
      const { info, code } = (data[0] ?? {}) as { readonly info?: unknown; readonly code?: unknown };
      return void this.emit(
        'refused',
        typeof info === 'string' ? info : 'connection refused',
        typeof code === 'string' ? code : undefined,
      );
    }
    if (message !== 'getUserData') return;
    clearTimeout(this.#timeout);
    const waiting = this.#waiting!;
    this.#waiting = undefined;
    this.emit('established', data[0]);
    for (const text of waiting) this.send(text);
  }
}

/** Connects to a node in the name of a client. */
export function openNodeLink(
  node: NodeRecord,
  { ip, path, host, origin, userAgent }: RoutedClient,
  clients: ForwardedClients,
  connection: unknown,
): NodeLink {
  return new NodeLink({
    url: node.wsUrl.replace(/\/$/, '') + path,
    headers: {
      [FORWARDED_CLIENT_HEADER]: clients.sign(ip),
      ...(host !== undefined && { host }),
      ...(origin !== undefined && { origin }),
      ...(userAgent !== undefined && { 'user-agent': userAgent }),
    },
    connection,
  });
}
