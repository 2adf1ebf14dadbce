import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { isLoopback } from '../net/loopback.ts';
import type { AccessHook } from './authorize.ts';
import { importMapHash, PACKAGE_FILES, readPages } from './console-pages.ts';

export interface ConsoleRoutesOptions {
  readonly wsPort: number;
  /** Undefined without a certificate. */
  readonly wssPort?: number;
  /** Path of the REST interface on the same server. */
  readonly restBase: string;
  /** The embedded RTMP server, if it is enabled. */
  readonly embedded?: { readonly rtmpUrl: string; readonly httpFlvPort: number };
  readonly version: string;
  /**
   * How long the stream of a lost publisher is held, in milliseconds: a page that was reloaded resumes its stream
   * within this time.
   */
  readonly resumeWindowMs: number;
  /** Whether this is a manager of a cluster, which has a page with the nodes. */
  readonly isManager?: boolean;
  /** Whether rooms are on, which have a page. */
  readonly hasRooms?: boolean;
  /** Whether calls are on, which have a page. */
  readonly hasCalls?: boolean;
  /** Besides the gateway, where recordings are loaded from. */
  readonly recordingsOrigin?: string | undefined;
  /** Decides who may play from the embedded server, as for REST. */
  readonly isAllowed: AccessHook;
}

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  mjs: 'text/javascript; charset=utf-8',
} as const;
type Extension = keyof typeof TYPES;

const WEB = fileURLToPath(new URL('../web/', import.meta.url));

/** The files of the console and of the library. The table is made once, so a request cannot name any other file. */
const FILES: readonly (readonly [path: string, file: string])[] = [
  ...['console', 'console/app', 'client', 'examples'].flatMap((folder) =>
    readdirSync(`${WEB}${folder}`)
      .filter((name) => /\.(?:js|css|svg)$/.test(name))
      .map((name) => [`/${folder}/${name}`, `${WEB}${folder}/${name}`] as const),
  ),
  ...readdirSync(`${WEB}examples`)
    .filter((name) => name.endsWith('.html'))
    .map((name) => [`/examples/${name === 'index.html' ? '' : name}`, `${WEB}examples/${name}`] as const),
  ['/docs/client', `${WEB}client-reference.html`],
  ...PACKAGE_FILES,
];

const PlaybackParams = z.object({ name: z.string().min(1) });

/**
 * Serves the web page, the browser library that it and other pages use with its examples, and the streams of the embedded
 * RTMP server, for the page to play. Files are read once, at registration.
 */
export const consoleRoutes =
  ({
    wsPort,
    wssPort,
    restBase,
    embedded,
    version,
    resumeWindowMs,
    isManager = false,
    hasRooms = false,
    hasCalls = false,
    recordingsOrigin,
    isAllowed,
  }: ConsoleRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const connections = { wsPort, wssPort, recordingsOrigin };
    const policy = contentSecurityPolicy(connections);

    const serve = (path: string, body: Buffer, type: string): void => {
      const ownPolicy =
        type === TYPES.html ? contentSecurityPolicy(connections, importMapHash(body.toString())) : policy;
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      app.get(path, (request, reply) => {
        // Browsers revalidate each file (304), so that a page never mixes files of two versions.
        secure(reply, ownPolicy).header('cache-control', 'no-cache').header('etag', etag).type(type);
        // Pages of other origins may import the library. Modules need CORS.
        if (path.startsWith('/client/'))
          reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin');
        if (request.headers['if-none-match'] === etag) return reply.code(304).send();
        return reply.send(body);
      });
    };
    for (const [path, file] of FILES)
      serve(path, await readFile(file), TYPES[file.slice(file.lastIndexOf('.') + 1) as Extension]);
    for (const { path, html } of await readPages({ isManager, hasRooms, hasCalls }))
      serve(path, Buffer.from(html), TYPES.html);

    app.get('/console/config.json', (_request, reply) =>
      secure(reply, policy)
        .header('cache-control', 'no-store')
        .send({
          version,
          wsPort,
          wssPort: wssPort ?? null,
          restBase,
          resumeWindowMs,
          embedded: embedded ? { rtmpUrl: embedded.rtmpUrl, playbackBase: '/console/live' } : null,
          ...(isManager && { cluster: true }),
          ...(hasRooms && { rooms: true }),
          ...(hasCalls && { calls: true }),
        }),
    );

    if (!embedded) return;
    const onRequest = async (request: FastifyRequest): Promise<void> => isAllowed(request);
    app.get('/console/live/:name.flv', { exposeHeadRoute: false, onRequest }, (request, reply) =>
      playback(request, reply, embedded.httpFlvPort),
    );
  };

function secure(reply: FastifyReply, policy: string): FastifyReply {
  return reply
    .header('content-security-policy', policy)
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'no-referrer')
    .header('permissions-policy', 'camera=(self), microphone=(self)');
}

/**
 * Allows files of this server, the import map of the page, connections to it and to the WebSocket ports, and `blob:` URLs, which
 * mpegts.js gives to the video element.
 */
function contentSecurityPolicy(
  { wsPort, wssPort, recordingsOrigin = '' }: Pick<ConsoleRoutesOptions, 'wsPort' | 'wssPort' | 'recordingsOrigin'>,
  importMap?: string,
): string {
  const sockets = [`ws://*:${wsPort}`, ...(wssPort === undefined ? [] : [`wss://*:${wssPort}`])].join(' ');
  return [
    "default-src 'none'",
    `script-src 'self'${importMap === undefined ? '' : ` ${importMap}`}`,
    "style-src 'self'",
    "img-src 'self'",
    `media-src 'self' blob:${recordingsOrigin && ` ${recordingsOrigin}`}`,
    `connect-src 'self' ${sockets}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/**
 * Passes on a stream of the embedded server. Like that server, it answers loopback only.
 *
 * @throws {GatewayError} ROUTE_NOT_FOUND, DESTINATION_UNREACHABLE
 */
async function playback(request: FastifyRequest, reply: FastifyReply, port: number): Promise<FastifyReply> {
  const params = PlaybackParams.safeParse(request.params);
  if (!params.success || !isLoopback(request.socket.remoteAddress ?? ''))
    throw new GatewayError('ROUTE_NOT_FOUND', 'There is no stream at this address.');
  const upstream = get({
    host: '127.0.0.1',
    port,
    path: `/live/${encodeURIComponent(params.data.name)}.flv`,
    agent: false,
  });
  // The upstream request must not outlive the viewer's connection.
  reply.raw.once('close', () => upstream.destroy());
  const [response] = (await once(upstream, 'response').catch((error: unknown) => {
    throw new GatewayError(
      'DESTINATION_UNREACHABLE',
      'The embedded RTMP server does not answer. It is restarted within seconds.',
      { cause: error },
    );
  })) as [IncomingMessage];
  // When the upstream connection breaks, the viewer's ends too, and the page starts playing again.
  upstream.on('error', () => response.destroy());
  return reply.header('cache-control', 'no-store').type('video/x-flv').send(response);
}
