import type { Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { SettingKey, Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Certificate } from '../net/certificate.ts';
import { limitConnections, type ConnectionLimit } from '../net/connection-limit.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../net/forwarded-client.ts';
import { listenerOptions } from '../net/listener-options.ts';
import { PathPrefixes } from '../net/path-prefix.ts';
import type { Logger } from '../observe/logger.ts';
import { answerBrokenRequest } from './broken-request.ts';
import { pathOf, replyWithError } from './error-reply.ts';
import { refuseForeignPages } from './foreign-pages.ts';
import { limitRequests } from './rate-limit.ts';
import { answerRequestIds, requestIdOf } from './request-id.ts';
import { collectRoutes } from './route-table.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Media for pages of other origins, whose elements load it without CORS. */
    embeddable?: boolean;
  }
  interface FastifyRequest {
    /** Precedes each absolute path in an answer: what a reverse proxy has removed from the path of the request. */
    pathPrefix: string;
  }
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => never;

export interface HttpServerOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  /** With one it is HTTPS. */
  readonly certificate?: Certificate | undefined;
  /** Counts the connections. Only tests leave it out. */
  readonly connections?: ConnectionLimit | undefined;
  /** Believes managers of the cluster whose client a request is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  /** Serves the upgrade requests. Without it there are none. */
  readonly webSockets?: { attach(server: Server, trust?: (socket: Socket) => void): void } | undefined;
  /** CORS of all routes. Undefined: routes have their own. */
  readonly cors?: FastifyCorsOptions | undefined;
  /** While it is true, only monitoring is answered. */
  readonly isClosing: () => boolean;
  /** Milliseconds in which a client must have sent its whole request. Default: 30 s. */
  readonly requestTimeoutMs?: number | undefined;
  /** Default: 404, or 405 with `Allow`. */
  readonly notFound?: Handler | undefined;
  /** Adds the routes. `notFound` answers requests that no route takes. */
  readonly addRoutes: (app: FastifyInstance, notFound: Handler) => Promise<void>;
}

/** The largest body of most routes is a URL and a few fields. Routes with larger ones set their own limit. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** Slow clients must not hold connections for long. */
const REQUEST_TIMEOUT_MS = 30_000;
/**
 * Characters of one path parameter, percent-encoded. Names of rooms had no limit in earlier versions: as long as the
 * request line that Node accepts.
 */
const MAX_PARAMETER_LENGTH = 16 * 1024;
/** Paths that are answered while the server closes. */
const MONITORING: ReadonlySet<string> = new Set(['/health', '/health/live', '/health/ready', '/metrics']);

/**
 * The only way to an HTTP server of a gateway or a manager: limits of connections, requests, bodies and times, trust in
 * proxies, the rule for foreign pages, and headers are the same for all. A door adds its routes.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { settings, logger, certificate, connections, isClosing, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const app = fastify({
    [certificate ? 'https' : 'http']: listenerOptions(certificate, requestTimeoutMs),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: requestTimeoutMs,
    genReqId: requestIdOf,
    requestIdHeader: false,
    trustProxy: settings.trust_proxy.length > 0 ? [...settings.trust_proxy] : false,
    // Pages that watch a stream keep their connection open; a close must not wait for them.
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: MAX_PARAMETER_LENGTH },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => void replyWithError(error, request, reply as never, logger),
  }) as unknown as FastifyInstance;
  certificate?.keepCurrent(app.server as unknown as HttpsServer);
  const trust = connections && limitConnections(app.server, connections);
  options.webSockets?.attach(app.server, trust);
  const notFound = collectRoutes(app);
  app.setErrorHandler((error, request, reply) => replyWithError(error, request, reply, logger));
  answerRequestIds(app);
  const prefixes = new PathPrefixes(settings);
  app.decorateRequest('pathPrefix', '');
  app.addHook('onRequest', async (request, reply) => {
    request.pathPrefix = prefixes.of(request.raw);
    const { embeddable } = request.routeOptions.config;
    reply.header('x-content-type-options', 'nosniff');
    reply.header('cross-origin-resource-policy', embeddable ? 'cross-origin' : 'same-origin');
  });
  believeManagers(app, options.forwardedClients, trust);
  logRequests(app, logger);
  if (options.cors) await app.register(cors, options.cors);
  // After CORS, so that pages can read these errors too.
  refuseForeignPages(app, settings);
  await limitRequests(app, settings.max_http_requests_per_second);
  app.addHook('onRequest', async (request) => {
    if (isClosing() && !MONITORING.has(pathOf(request)))
      throw new GatewayError(
        'SHUTTING_DOWN',
        `The ${settings.role === 'manager' ? 'manager' : 'gateway'} is shutting down.`,
      );
  });
  app.setNotFoundHandler(options.notFound ?? notFound);
  await options.addRoutes(app, notFound);
  await app.ready();
  return app;
}

/**
 * @param hint what to do besides changing the setting
 * @throws {GatewayError} SETTINGS_INVALID if the port cannot be bound
 */
export async function listenHttp(
  app: FastifyInstance,
  { host, port, key, hint = 'Change the setting.' }: { host: string; port: number; key: SettingKey; hint?: string },
): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const remedy = code === 'EADDRINUSE' ? 'Another program uses this port: stop it, or change the setting.' : hint;
    throw new GatewayError('SETTINGS_INVALID', `Cannot listen on ${host}, ${key} ${port} (${code}). ${remedy}`, {
      cause: error,
    });
  }
  return (app.server.address() as AddressInfo).port;
}

function believeManagers(
  app: FastifyInstance,
  forwardedClients: ForwardedClients | undefined,
  trust: ((socket: Socket) => void) | undefined,
): void {
  if (!forwardedClients) return;
  app.addHook('onRequest', async (request) => {
    const ip = forwardedClients.verify(request.headers[FORWARDED_CLIENT_HEADER]);
    if (ip === undefined) return;
    Object.defineProperty(request, 'ip', { value: ip });
    // The manager adds its own.
    request.pathPrefix = '';
    trust?.(request.raw.socket);
  });
}

function logRequests(app: FastifyInstance, logger: Logger): void {
  app.addHook('onResponse', async (request, reply) => {
    // The route's pattern, because the URL itself may contain credentials.
    logger.debug(
      {
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        requestId: request.id,
      },
      'request',
    );
  });
}
