/**
 * The process of the embedded RTMP server: node-media-server with only its two listeners. Its store, recorder, relay,
 * admin pages and API are not started, so it writes no files and serves only RTMP and HTTP-FLV on loopback.
 *
 * It ends when the channel to its parent is closed.
 */
import { createRequire } from 'node:module';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as TcpServer, Socket } from 'node:net';
import { isOwnHost } from '../net/loopback.ts';

/** The parts of node-media-server that are used here. The package has no types. */
interface NodeMediaServer {
  readonly rtmpServer: { readonly tcpServer: TcpServer; run(): void };
  readonly httpServer: { readonly httpServer: HttpServer; run(): void };
}
type NodeMediaServerConstructor = new (config: {
  readonly bind: string;
  readonly rtmp: { readonly port: number };
  readonly http: { readonly port: number };
  readonly webadmin: { readonly enable: boolean };
}) => NodeMediaServer;

/** The server's side of an RTMP connection, as far as names are concerned. */
interface RtmpProtocol {
  /** The application of `connect`. */
  streamApp: unknown;
  readonly streamId: number;
  /** Reports that publishing has started. */
  respondPublish(): void;
  sendStatusMessage(streamId: number, level: 'status' | 'error', code: string, description: string): void;
  onConnect(command: unknown): void;
  onPublish(command: NamedCommand): void;
  onPlay(command: NamedCommand): void;
}
/** `publish` and `play`. */
interface NamedCommand {
  readonly streamName: unknown;
}

/** Tag types of audio and video. */
const TRACKS = [8, 9] as const;

interface Broadcast {
  readonly publisher: object | null;
  /** Set while a lost publisher may return. */
  readonly _publishGraceTimer: object | null;
  /** The latest timestamp of each track. */
  _lastDts: Readonly<Record<number, number>>;
}
/** Streams with publishers or viewers, by `/APP/NAME`. */
interface Broadcasts {
  readonly broadcasts: ReadonlyMap<string, Broadcast>;
}

/** Messages of this process to its parent. */
export type EmbeddedRtmpMessage =
  | { readonly type: 'listening' }
  | { readonly type: 'failed'; readonly server: 'rtmp' | 'http-flv'; readonly code: string };

/** Bytes queued for a viewer above which it is disconnected. node-media-server itself has no limit. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
/** Milliseconds between two checks of the queues. */
const QUEUE_CHECK_INTERVAL = 1000;

const [rtmpPort, httpFlvPort] = process.argv.slice(2).map(Number);
if (!rtmpPort || !httpFlvPort) throw new Error('usage: embedded-rtmp-main.ts RTMP_PORT HTTP_FLV_PORT');

const require = createRequire(import.meta.url);
const NodeMediaServer = require('node-media-server') as NodeMediaServerConstructor;
const { broadcasts } = require('node-media-server/src/core/context.js') as Broadcasts;
const protocol = (require('node-media-server/src/protocol/rtmp.js') as { readonly prototype: RtmpProtocol }).prototype;
refuseSecondPublisher(protocol);
keepTracksTogether(protocol);
acceptAnyName(protocol);
const server = new NodeMediaServer({
  bind: '127.0.0.1',
  rtmp: { port: rtmpPort },
  http: { port: httpFlvPort },
  webadmin: { enable: false },
});
const rtmp = server.rtmpServer.tcpServer;
const http = server.httpServer.httpServer;

// The HTTP listener of node-media-server also accepts streams, by POST and by WebSocket, and allows pages of every
// origin to play. Any web page can send requests to a loopback port, so only playing is allowed, and only without the
// headers by which browsers name a page of another origin; players do not send them.
const [play] = http.listeners('request') as [(request: IncomingMessage, response: ServerResponse) => void];
http.removeAllListeners('request');
http.removeAllListeners('upgrade');
http.on('request', (request: IncomingMessage, response: ServerResponse) => {
  const { origin, 'sec-fetch-site': site } = request.headers;
  const isOfPage = origin !== undefined || site === 'cross-site' || site === 'same-site';
  if (isOfPage || !isOwnHost(request.headers.host ?? '')) return void response.writeHead(403).end();
  if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
  request.url = pathOfPlayback(request.url ?? '/');
  try {
    play(request, response);
  } catch (error) {
    report(error);
    response.destroy();
  }
});

const sockets = new Set<Socket>();
for (const listener of [rtmp, http]) {
  listener.on('connection', (socket: Socket) => {
    endOnException(socket);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
}
setInterval(() => {
  for (const socket of sockets) if (socket.writableLength > MAX_QUEUED_BYTES) socket.destroy();
}, QUEUE_CHECK_INTERVAL).unref();

const tell = (message: EmbeddedRtmpMessage, then?: () => void): void => {
  process.send?.(message, undefined, undefined, then);
};

server.rtmpServer.run();
server.httpServer.run();
// The library's own error listeners end the process with advice about a file that does not exist here.
for (const [name, listener] of [
  ['rtmp', rtmp],
  ['http-flv', http],
] as const) {
  listener.removeAllListeners('error');
  listener.on('error', (error: NodeJS.ErrnoException) => {
    tell({ type: 'failed', server: name, code: error.code ?? error.message }, () => process.exit(1));
  });
}
let listening = 0;
for (const listener of [rtmp, http]) {
  listener.once('listening', () => {
    if (++listening === 2) tell({ type: 'listening' });
  });
}

// Ctrl-C reaches the whole process group, but the parent decides when this server ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));

/** An exception in a listener of one client's socket ends this client and nothing else. */
function endOnException(socket: Socket): void {
  const emit = socket.emit.bind(socket) as (...event: unknown[]) => boolean;
  socket.emit = (...event: unknown[]): boolean => {
    try {
      return emit(...event);
    } catch (error) {
      report(error);
      socket.destroy();
      return true;
    }
  };
}

/** The parent logs it with the end of this process. */
function report(error: unknown): void {
  process.stderr.write(`a client has been ended after an exception: ${(error as Error).stack ?? String(error)}\n`);
}

/**
 * node-media-server accepts a publisher and then disconnects it if the name of its application or stream has other
 * characters than letters, digits, `_` and `-`: an instance (`live/KEY`), a query (`live?token=…`), a dot or a space.
 * Such names are encoded with characters that it allows.
 */
function acceptAnyName(protocol: RtmpProtocol): void {
  const { onConnect, onPublish, onPlay } = protocol;
  protocol.onConnect = function (command) {
    onConnect.call(this, command);
    this.streamApp = plainName(withoutQuery(this.streamApp).replace(/\/+$/, ''));
  };
  protocol.onPublish = function (command) {
    onPublish.call(this, withPlainName(command));
  };
  protocol.onPlay = function (command) {
    onPlay.call(this, withPlainName(command));
  };
}

/**
 * node-media-server accepts a second publisher of a name, too, and then disconnects it. It gets the error of nginx-rtmp
 * instead.
 */
function refuseSecondPublisher(protocol: RtmpProtocol): void {
  const { onPublish, respondPublish } = protocol;
  protocol.onPublish = function (command) {
    const broadcast = broadcastOf(this, command);
    const taken = broadcast?.publisher && !broadcast._publishGraceTimer;
    this.respondPublish = taken
      ? () => this.sendStatusMessage(this.streamId, 'error', 'NetStream.Publish.BadName', 'Already publishing')
      : respondPublish;
    onPublish.call(this, command);
  };
}

/**
 * After a reconnect within half a minute node-media-server continues the timestamps of each track separately. If one
 * track had lasted longer before, as audio does when a page is lost, audio and video would be shifted against each
 * other, and playback in a browser would stall. So both tracks continue from the later timestamp.
 */
function keepTracksTogether(protocol: RtmpProtocol): void {
  const { onPublish } = protocol;
  protocol.onPublish = function (command) {
    const broadcast = broadcastOf(this, command);
    if (broadcast?._publishGraceTimer) {
      const latest = Math.max(0, ...Object.values(broadcast._lastDts));
      broadcast._lastDts = Object.fromEntries(TRACKS.map((type) => [type, latest]));
    }
    onPublish.call(this, command);
  };
}

function broadcastOf({ streamApp }: RtmpProtocol, { streamName }: NamedCommand): Broadcast | undefined {
  return broadcasts.get(`/${String(streamApp)}/${String(streamName)}`);
}

/** `/live/KEY/my.stream.flv`: the application is the part before the last slash. */
function pathOfPlayback(url: string): string {
  const [, app, name, query = ''] = /^\/+([^?]+)\/([^/?]+)\.flv(\?.*)?$/.exec(url) ?? [];
  return app && name ? `/${plainName(decoded(app))}/${plainName(decoded(name))}.flv${query}` : url;
}

function decoded(component: string): string {
  try {
    return decodeURIComponent(component);
  } catch {
    return component;
  }
}

function withPlainName({ streamName, ...command }: NamedCommand): NamedCommand {
  return { ...command, streamName: plainName(withoutQuery(streamName)) };
}

function withoutQuery(text: unknown): string {
  return String(text ?? '').split('?', 1)[0]!;
}

function plainName(name: string): string {
  return /^[\w-]+$/.test(name) ? name : `x-${Buffer.from(name).toString('base64url')}`;
}
