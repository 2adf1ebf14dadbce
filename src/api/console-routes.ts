import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { isLoopback } from '../net/loopback.ts';
import type { AccessCheck } from './access.ts';

export interface ConsoleRoutesOptions {
  readonly wsPort: number;
  /** Absent without a certificate. */
  readonly wssPort?: number;
  /** Path of the REST interface on the same server. */
  readonly restBase: string;
  /** The embedded RTMP server, where one runs. */
  readonly embedded?: { readonly rtmpUrl: string; readonly httpFlvPort: number };
  readonly version: string;
  /** Who may watch what the embedded server receives: the rule of REST. */
  readonly isAllowed: AccessCheck;
}

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const;
type Extension = keyof typeof TYPES;

/** Everything that is served, by path. A fixed table: no request can name another file. */
const FILES: readonly (readonly [path: string, file: string])[] = [
  ['/', source('console/index.html')],
  ['/console/whip.html', source('console/whip.html')],
  ...[
    'console.css',
    'icon.svg',
    'main.js',
    'publish-panel.js',
    'push-panel.js',
    'push-list.js',
    'watch-panel.js',
    'access.js',
    'dom.js',
    'whip.js',
    'whip-session.js',
  ].map((name) => [`/console/${name}`, source(`console/${name}`)] as const),
  ['/console/mpegts.js', createRequire(import.meta.url).resolve('mpegts.js/dist/mpegts.js')],
  ...[
    'index.js',
    'session.js',
    'negotiation.js',
    'publication.js',
    'playback.js',
    'push-api.js',
    'camera.js',
    'emitter.js',
    'errors.js',
    'random.js',
  ].map((name) => [`/client/${name}`, source(`client/${name}`)] as const),
];

function source(path: string): string {
  return fileURLToPath(new URL(`../web/${path}`, import.meta.url));
}

const PlaybackParams = z.object({ name: z.string().min(1) });

/**
 * The web page, the browser library that it and other pages use, and what the embedded RTMP server receives, for the page
 * to play. Files are read once, at registration.
 */
export const consoleRoutes =
  ({ wsPort, wssPort, restBase, embedded, version, isAllowed }: ConsoleRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const policy = contentSecurityPolicy(wsPort, wssPort);

    for (const [path, file] of FILES) {
      const body = await readFile(file);
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      const type = TYPES[file.slice(file.lastIndexOf('.') + 1) as Extension];
      app.get(path, (request, reply) => {
        // The browser asks each time and gets 304: a page never runs with parts of two versions.
        secure(reply, policy).header('cache-control', 'no-cache').header('etag', etag).type(type);
        // Pages of other origins import the library as modules, which needs CORS.
        if (path.startsWith('/client/'))
          reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin');
        if (request.headers['if-none-match'] === etag) return reply.code(304).send();
        return reply.send(body);
      });
    }

    app.get('/console/config.json', (_request, reply) =>
      secure(reply, policy)
        .header('cache-control', 'no-store')
        .send({
          version,
          wsPort,
          wssPort: wssPort ?? null,
          restBase,
          embedded: embedded ? { rtmpUrl: embedded.rtmpUrl, playbackBase: '/console/live' } : null,
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

/** Own files only; connections to this server and to the WebSocket ports; `blob:` is how mpegts.js feeds the video element. */
function contentSecurityPolicy(wsPort: number, wssPort: number | undefined): string {
  const sockets = [`ws://*:${wsPort}`, ...(wssPort === undefined ? [] : [`wss://*:${wssPort}`])].join(' ');
  return `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src 'self' ${sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

/**
 * Passes on what the embedded server sends. Like that server, it is for this computer only.
 *
 * @throws {GatewayError} ROUTE_NOT_FOUND, DESTINATION_UNREACHABLE
 */
async function playback(request: FastifyRequest, reply: FastifyReply, port: number): Promise<FastifyReply> {
  const params = PlaybackParams.safeParse(request.params);
  if (!params.success || !isLoopback(request.socket.remoteAddress ?? ''))
    throw new GatewayError('ROUTE_NOT_FOUND', 'There is nothing to play at this address.');
  const upstream = get({
    host: '127.0.0.1',
    port,
    path: `/live/${encodeURIComponent(params.data.name)}.flv`,
    agent: false,
  });
  // Nothing may stay open behind a viewer who has gone.
  reply.raw.once('close', () => upstream.destroy());
  const [response] = (await once(upstream, 'response').catch((error: unknown) => {
    throw new GatewayError(
      'DESTINATION_UNREACHABLE',
      'The embedded RTMP server does not answer. It is started again within seconds.',
      { cause: error },
    );
  })) as [IncomingMessage];
  // Its connection may break at any time; the viewer's then ends, and the page plays anew.
  upstream.on('error', () => response.destroy());
  return reply.header('cache-control', 'no-store').type('video/x-flv').send(response);
}
