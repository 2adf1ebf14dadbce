import type { Server } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import cors from '@fastify/cors';
import { fastify, type FastifyInstance, type FastifyPluginAsync } from 'fastify';
import type { Authorizer } from '../access/authorizer.ts';
import type { Certificate } from '../net/certificate.ts';
import { limitConnections, type ConnectionLimit } from '../net/connection-limit.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../net/forwarded-client.ts';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { standbyDefaults } from '../outputs/push/standby-defaults.ts';
import type { PlatformCatalogue } from '../outputs/push/platforms/catalogue.ts';
import type { ClientSessions } from '../publish/client-sessions.ts';
import type { RoomsControl } from '../rooms/room-client.ts';
import {
  accessTokenCredentials,
  guardRoutes,
  requireAllStreams,
  headerCredentials,
  requireAction,
  type CredentialReader,
} from './authorize.ts';
import { answerBrokenRequest } from './broken-request.ts';
import { pathOf, replyWithError } from './error-reply.ts';
import { parseJson } from './json-body.ts';
import { documentRoutes } from './openapi/document-routes.ts';
import { renewalRoutes } from './ops/renewal-routes.ts';
import { limitRequests } from './rate-limit.ts';
import { answerRequestIds, requestIdOf } from './request-id.ts';
import { inspectionRoutes, monitoringRoutes, probeRoutes, type OperationSources } from './ops/ops-routes.ts';
import { roomsRoutes } from './ops/rooms-routes.ts';
import { snapshotRoutes, type TakeSnapshot } from './ops/snapshot-routes.ts';
import { clientRecordsRoutes, recordingsRoutes } from './ops/recordings-routes.ts';
import { red5Routes } from './red5/red5-routes.ts';
import { collectRoutes } from './route-table.ts';
import { platformRoutes } from './ops/platform-routes.ts';
import { pushRoutes } from './wcs/push-routes.ts';
import { connectionRoutes } from './wcs/connection-routes.ts';
import { answerStatistics, isStatisticsPoll, statisticsRoutes } from './wcs/statistics.ts';
import { streamRoutes, type RecorderControl } from './wcs/stream-routes.ts';
import { unsupportedRoutes } from './wcs/unsupported-routes.ts';

export interface HttpAppOptions extends Omit<OperationSources, 'isClosing' | 'streamNamePrefix'> {
  readonly settings: Settings;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
  readonly sessions: ClientSessions;
  readonly recorders: RecorderControl;
  readonly platforms: PlatformCatalogue;
  readonly takeSnapshot: TakeSnapshot;
  /** Undefined: rooms are off. */
  readonly rooms?: RoomsControl | undefined;
  /** Believes managers of the cluster whose client a request is from. */
  readonly forwardedClients?: ForwardedClients;
  /** Counts the connections of both listeners. Without it there is no limit. */
  readonly connections?: ConnectionLimit;
  /** Serves the same routes over HTTPS too. */
  readonly certificate?: Certificate;
  /** Further routes, registered at the root with access rules of their own: the console's page, WHIP. */
  readonly routes?: readonly FastifyPluginAsync[];
  /** Serves the WebSockets of both listeners. Without it there are none. */
  readonly webSockets?: { attach(server: Server, trust?: (socket: Socket) => void): void };
  /** Milliseconds in which a client must have sent its whole request. Default: 30 s. */
  readonly requestTimeoutMs?: number;
}

/** The bound ports: those of the settings, or the ones that the system chose for 0. */
export interface HttpPorts {
  readonly http: number;
  readonly https?: number;
}

/** The largest body of `/push/*` is a URL and a few fields. Routes with larger ones set their own limit. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** Slow clients must not hold connections for long. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Milliseconds between two checks for requests that take too long. Node checks every 30 s by default. */
const TIMEOUT_CHECK_MS = 1000;
/** Milliseconds for a TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Characters of one path parameter: a stream name of 256, each percent-encoded as four bytes. */
const MAX_PARAMETER_LENGTH = 256 * 12;

/** REST, monitoring and pages: one set of routes, on HTTP and, with a certificate, on HTTPS. */
export class HttpApp {
  /** The HTTP listener; tests inject requests into it without a socket. */
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
          ? 'Another program uses this port: stop it, or change the setting.'
          : 'Change the setting.';
      throw new GatewayError('SETTINGS_INVALID', `Cannot listen on ${host}, ${key} ${port} (${code}). ${remedy}`, {
        cause: error,
      });
    }
    return (app.server.address() as AddressInfo).port;
  }

  /** From now on `/health` says `closing`, and all routes but those of monitoring answer 503. */
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
  const { settings, authorizer, logger, control, platforms, sessions, isClosing } = options;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const timeouts = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, requestTimeoutMs),
  };
  const app = fastify({
    ...(certificate
      ? { https: { ...certificate.secureOptions, ...timeouts, handshakeTimeout: HANDSHAKE_TIMEOUT_MS } }
      : { http: timeouts }),
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
  const trust = options.connections && limitConnections(app.server, options.connections);
  options.webSockets?.attach(app.server, trust);
  const notFound = collectRoutes(app);

  const { forwardedClients } = options;
  if (forwardedClients)
    app.addHook('onRequest', async (request) => {
      const ip = forwardedClients.verify(request.headers[FORWARDED_CLIENT_HEADER]);
      if (ip === undefined) return;
      Object.defineProperty(request, 'ip', { value: ip });
      trust?.(request.raw.socket);
    });

  app.setErrorHandler((error, request, reply) => replyWithError(error, request, reply, logger));
  app.setNotFoundHandler(notFound);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) =>
    parseJson(body),
  );
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
  answerRequestIds(app);
  await app.register(cors, {
    origin: [...settings.cors_origins],
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: ['Location', 'ETag', 'Link', 'Retry-After', 'X-Ignored-Fields', 'X-Request-Id'],
    strictPreflight: false,
    maxAge: 600,
  });

  // After CORS, so that pages can read these errors too.
  await limitRequests(app, settings.max_http_requests_per_second);
  const readStatistics = requireAction(authorizer, 'rest', 'read');
  app.addHook('onRequest', async (request, reply) => {
    if (isClosing() && !MONITORING.has(pathOf(request)))
      throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    if (!isStatisticsPoll(request)) return;
    await readStatistics(request);
    await requireAllStreams(request);
    return answerStatistics(options, request, reply);
  });

  const guarded =
    (readCredentials: CredentialReader, ...plugins: readonly FastifyPluginAsync[]): FastifyPluginAsync =>
    async (scope) => {
      guardRoutes(scope, authorizer, 'rest', readCredentials);
      // A not-found handler of the scope runs its hooks: unknown paths need the key too.
      scope.setNotFoundHandler(notFound);
      for (const plugin of plugins) await scope.register(plugin);
    };
  const sources: OperationSources = { ...options, streamNamePrefix: settings.rtmp_transponder_stream_name_prefix };
  const wcs = guarded(
    headerCredentials,
    pushRoutes({
      control,
      platforms,
      authorizer,
      streamNamePrefix: sources.streamNamePrefix,
      standbyDefaults: standbyDefaults(settings),
      logger,
    }),
    streamRoutes(options),
    connectionRoutes(sessions, logger),
    statisticsRoutes(options),
    unsupportedRoutes,
  );
  await app.register(wcs, { prefix: '/rest-api' });
  await app.register(
    guarded(
      accessTokenCredentials,
      inspectionRoutes(sources),
      platformRoutes(platforms),
      recordingsRoutes(options),
      snapshotRoutes(options),
      renewalRoutes(options),
      roomsRoutes(options),
      red5Routes(options),
    ),
    { prefix: '/api/v1' },
  );
  await app.register(clientRecordsRoutes(options));
  for (const [door, routes] of [
    ['metrics', monitoringRoutes],
    ['probe', probeRoutes],
  ] as const)
    await app.register(async (scope) => {
      guardRoutes(scope, authorizer, door);
      await scope.register(routes(sources));
    });
  await app.register(documentRoutes);
  for (const routes of options.routes ?? []) await app.register(routes);
  await app.ready();
  return app;
}

/** Paths that are answered while the gateway closes. */
const MONITORING: ReadonlySet<string> = new Set(['/health', '/health/live', '/health/ready', '/metrics']);
