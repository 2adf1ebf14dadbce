import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import cors from '@fastify/cors';
import {
  fastify,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Certificate } from '../net/certificate.ts';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { createAccessCheck } from './access.ts';
import { errorBody, pathOf, replyWithError } from './error-reply.ts';
import { inspectionRoutes, monitoringRoutes, type OperationSources } from './ops/ops-routes.ts';
import { pushRoutes } from './wcs/push-routes.ts';

export interface HttpAppOptions extends Omit<OperationSources, 'isClosing' | 'streamNamePrefix'> {
  readonly settings: Settings;
  readonly logger: Logger;
  /** With one the same routes are on HTTPS, too. */
  readonly certificate?: Certificate;
  /** Further routes, at the root and with their own access rules: the console's page, WHIP. */
  readonly routes?: readonly FastifyPluginAsync[];
}

/** Ports that were bound: those of the settings, or what the system chose for 0. */
export interface HttpPorts {
  readonly http: number;
  readonly https?: number;
}

/** Answered while the gateway closes. */
const MONITORING: ReadonlySet<string> = new Set(['/health', '/metrics']);
/** The largest body of `/push/*` is a URL and a few fields. Routes with larger ones set their own limit. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** Time for a client to send its whole request, so that slow ones cannot hold connections. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Time for a client to read why its request is broken before the socket goes. */
const BROKEN_REQUEST_LINGER_MS = 1000;
/** Characters of one path parameter: a stream name of 256, each percent-encoded as four bytes. */
const MAX_PARAMETER_LENGTH = 256 * 12;

/** REST, monitoring and pages: one set of routes, on HTTP and, where there is a certificate, on HTTPS. */
export class HttpApp {
  /** The plain listener's routes, for tests that need no socket. */
  readonly http: FastifyInstance;
  readonly #https: FastifyInstance | undefined;
  readonly #settings: Settings;
  readonly #stop: () => void;
  #closed: Promise<void> | undefined;

  static async create(options: HttpAppOptions): Promise<HttpApp> {
    const { certificate } = options;
    let isClosing = false;
    const sources = { ...options, isClosing: () => isClosing };
    const http = await createListener(sources);
    const https = certificate && (await createListener(sources, certificate));
    return new HttpApp(options.settings, http, https, () => (isClosing = true));
  }

  private constructor(settings: Settings, http: FastifyInstance, https: FastifyInstance | undefined, stop: () => void) {
    this.#settings = settings;
    this.http = http;
    this.#https = https;
    this.#stop = stop;
  }

  /** @throws {GatewayError} SETTINGS_INVALID if a port cannot be bound. */
  async listen(): Promise<HttpPorts> {
    const http = await this.#bind(this.http, 'http.port');
    return this.#https ? { http, https: await this.#bind(this.#https, 'https.port') } : { http };
  }

  async #bind(app: FastifyInstance, key: 'http.port' | 'https.port'): Promise<number> {
    const { listen_ip: host, [key]: port } = this.#settings;
    try {
      await app.listen({ host, port });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const remedy =
        code === 'EADDRINUSE'
          ? 'Another program listens there: stop it, or change the setting.'
          : 'Change the setting.';
      throw new GatewayError('SETTINGS_INVALID', `Cannot listen on ${host}, ${key} ${port} (${code}). ${remedy}`, {
        cause: error,
      });
    }
    return (app.server.address() as AddressInfo).port;
  }

  /** Says so in `/health` from now on, before the listeners close. */
  announceClose(): void {
    this.#stop();
  }

  /** Stops listening and ends all connections. Idempotent. */
  close(): Promise<void> {
    this.announceClose();
    this.#closed ??= Promise.all([this.http.close(), this.#https?.close()]).then(() => undefined);
    return this.#closed;
  }
}

type ListenerOptions = HttpAppOptions & Pick<OperationSources, 'isClosing'>;

async function createListener(options: ListenerOptions, certificate?: Certificate): Promise<FastifyInstance> {
  const { settings, logger, control } = options;
  const app = fastify({
    ...(certificate && { https: certificate.secureOptions }),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Pages that watch a stream hold their connection for as long as it lives; a close must not wait for them.
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: MAX_PARAMETER_LENGTH },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => void replyWithError(error, request, reply as never, logger),
  }) as unknown as FastifyInstance;
  certificate?.keepCurrent(app.server as unknown as HttpsServer);
  const methods = collectMethods(app);

  app.setErrorHandler((error, request, reply) => replyWithError(error, request, reply, logger));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) =>
    parseJson(body),
  );
  app.addHook('onRequest', async (request) => {
    if (!options.isClosing() || MONITORING.has(pathOf(request))) return;
    throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
  });
  app.addHook('onResponse', async (request, reply) => {
    // The route's pattern: the URL itself may hold credentials.
    logger.debug(
      {
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
  });
  await app.register(cors, {
    origin: [...settings.cors_origins],
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: ['Location', 'ETag', 'Link'],
    strictPreflight: false,
    maxAge: 600,
  });

  const notFound = (request: FastifyRequest, reply: FastifyReply): never => {
    const allowed = methods.get(normalisePath(pathOf(request)));
    if (!allowed)
      throw new GatewayError(
        'ROUTE_NOT_FOUND',
        'There is nothing here. The methods are listed in docs/rest.md, and begin with /rest-api/push/.',
      );
    reply.header('Allow', [...allowed].join(', '));
    throw new GatewayError(
      'METHOD_NOT_ALLOWED',
      `This is called with ${[...allowed].join(' or ')}, not with ${request.method}.`,
    );
  };
  app.setNotFoundHandler(notFound);

  const isAllowed = createAccessCheck(settings);
  const guarded =
    (routes: FastifyPluginAsync): FastifyPluginAsync =>
    async (scope) => {
      scope.addHook('onRequest', async (request) => isAllowed(request));
      scope.setNotFoundHandler(notFound);
      await scope.register(routes);
    };
  const sources: OperationSources = { ...options, streamNamePrefix: settings.rtmp_transponder_stream_name_prefix };
  await app.register(guarded(pushRoutes(control)), { prefix: '/rest-api' });
  await app.register(guarded(inspectionRoutes(sources)), { prefix: '/api/v1' });
  await app.register(monitoringRoutes(sources));
  for (const routes of options.routes ?? []) await app.register(routes);
  await app.ready();
  return app;
}

/** What is not HTTP at all never becomes a request: answered on the socket, which then ends. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(
    errorBody(new GatewayError('INVALID_REQUEST', 'This is not a complete HTTP request.'), '', Date.now()),
  );
  const headers = [
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(['HTTP/1.1 400 Bad Request', ...headers, '', body].join('\r\n'));
  // Who does not close its side keeps the socket open. At once it must not be destroyed: the answer would be lost with what was sent behind the mistake.
  const impatience = setTimeout(() => socket.destroy(), BROKEN_REQUEST_LINGER_MS).unref();
  socket.once('close', () => clearTimeout(impatience));
}

const normalisePath = (path: string): string => path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');

/** Which methods each fixed path has, for an honest 405. */
function collectMethods(app: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const path = normalisePath(url);
    const known = methods.get(path) ?? new Set();
    for (const one of [method].flat()) if (one !== 'HEAD' && one !== 'OPTIONS') known.add(one);
    methods.set(path, known);
  });
  return methods;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws {GatewayError} INVALID_REQUEST with the position of the mistake, but none of the text, which may hold a stream key. */
function parseJson(body: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new GatewayError('INVALID_REQUEST', 'The body is not UTF-8.');
  }
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec((error as Error).message)?.[0] ?? 'at its end';
    throw new GatewayError(
      'INVALID_REQUEST',
      `The body is not JSON: there is a mistake ${position}. Names and texts need double quotes, and the last field no comma.`,
    );
  }
}
