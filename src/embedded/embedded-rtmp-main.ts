/**
 * The process of the embedded RTMP server: node-media-server, of which only the two listeners run. Its store, recorder,
 * relay, admin pages and API are never started, so it writes no file and offers nothing but RTMP and HTTP-FLV on loopback.
 *
 * Ends when its parent asks for it or is gone.
 */
import { createRequire } from 'node:module';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as TcpServer, Socket } from 'node:net';
import { isOwnHost } from '../net/loopback.ts';

/** What of node-media-server is used here; it comes without types. */
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

/** Its side of an RTMP connection, as far as names go. */
interface RtmpProtocol {
  /** Of what `connect` said. */
  streamApp: unknown;
  readonly streamId: number;
  /** Tells that the publish has begun. */
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

/** Sound and frames, by the type of their tags. */
const TRACKS = [8, 9] as const;

interface Broadcast {
  readonly publisher: object | null;
  /** Runs while a publisher that has gone may still come back. */
  readonly _publishGraceTimer: object | null;
  /** The latest time of each track. */
  _lastDts: Readonly<Record<number, number>>;
}
/** What is published or watched, by `/APP/NAME`. */
interface Broadcasts {
  readonly broadcasts: ReadonlyMap<string, Broadcast>;
}

/** What this process tells its parent. */
export type EmbeddedRtmpMessage =
  | { readonly type: 'listening' }
  | { readonly type: 'failed'; readonly server: 'rtmp' | 'http-flv'; readonly code: string };

/** Bytes that may wait for a viewer before it is cut off: node-media-server itself queues without a bound. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
/** Milliseconds between two looks at the queues. */
const QUEUE_CHECK_INTERVAL = 1000;

const [rtmpPort, httpFlvPort] = process.argv.slice(2).map(Number);
if (!rtmpPort || !httpFlvPort) throw new Error('usage: embedded-rtmp-main.ts RTMP_PORT HTTP_FLV_PORT');

const require = createRequire(import.meta.url);
const NodeMediaServer = require('node-media-server') as NodeMediaServerConstructor;
const { broadcasts } = require('node-media-server/src/core/context.js') as Broadcasts;
const protocol = (require('node-media-server/src/protocol/rtmp.js') as { readonly prototype: RtmpProtocol }).prototype;
refuseInWords(protocol);
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

// Its HTTP listener also takes streams, by POST and by WebSocket, and lets pages of every origin watch. Browsers send any web
// page's requests to a loopback port, so playing is all that is let through, and to players alone: they send no Origin.
const [play] = http.listeners('request') as [(request: IncomingMessage, response: ServerResponse) => void];
http.removeAllListeners('request');
http.removeAllListeners('upgrade');
http.on('request', (request: IncomingMessage, response: ServerResponse) => {
  if (request.headers.origin !== undefined || !isOwnHost(request.headers.host ?? ''))
    return void response.writeHead(403).end();
  if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
  request.url = pathOfPlayback(request.url ?? '/');
  play(request, response);
});

const sockets = new Set<Socket>();
for (const listener of [rtmp, http]) {
  listener.on('connection', (socket: Socket) => {
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
// Its own error listeners end the process with advice about a file that does not exist here.
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

// Ctrl-C reaches the whole process group; the parent decides when this server goes.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));

/**
 * node-media-server says "published" and then hangs up where an application or a stream is called anything else than letters, digits, `_` and `-`: an
 * instance (`live/KEY`), a query (`live?token=…`), a dot or a space. Such names are told to it in letters that it takes.
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

/** It says "published" to a second publisher of a name, too, and hangs up. What it says instead is what nginx-rtmp says; hanging up is left to it. */
function refuseInWords(protocol: RtmpProtocol): void {
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
 * A publisher who comes back within half a minute is put behind what he sent before, each track by itself. Where one of them went on for longer, as sound
 * does when a page is lost, they would be that far apart, and what is watched in a browser would stand still. So they are put behind it together.
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

/** `/live/KEY/my.stream.flv`: what comes before the last slash is the application. */
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
