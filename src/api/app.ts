import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Authorizer } from '../access/authorizer.ts';
import type { Certificate } from '../net/certificate.ts';
import type { ConnectionLimit } from '../net/connection-limit.ts';
import type { ForwardedClients } from '../net/forwarded-client.ts';
import type { Settings } from '../config/schema.ts';
import type { SettingSources } from '../config/settings-file.ts';
import type { Logger } from '../observe/logger.ts';
import { standbyDefaults } from '../outputs/push/standby-defaults.ts';
import type { PlatformCatalogue } from '../outputs/push/platforms/catalogue.ts';
import type { ParseOrder, SavedDestinations } from '../outputs/push/saved/saved-destinations.ts';
import type { SavedPushes } from '../outputs/push/saved/saved-pushes.ts';
import type { ClientSessions } from '../sessions/client-sessions.ts';
import type { RoomsControl } from '../rooms/room-client.ts';
import type { CallControl } from '../sip/call/calls.ts';
import {
  accessTokenCredentials,
  guardRoutes,
  requireAllStreams,
  headerCredentials,
  requireAction,
  type CredentialReader,
} from './authorize.ts';
import { createHttpServer, listenHttp } from './http-server.ts';
import { parseJson } from './json-body.ts';
import { eventRoutes } from './live/event-routes.ts';
import type { LiveFeed } from './live/live-feed.ts';
import { documentRoutes } from './openapi/document-routes.ts';
import { renewalRoutes } from './ops/renewal-routes.ts';
import { inspectionRoutes, monitoringRoutes, probeRoutes, type OperationSources } from './ops/ops-routes.ts';
import { roomsRoutes } from './ops/rooms-routes.ts';
import { settingsRoutes } from './ops/settings-routes.ts';
import { snapshotRoutes, type TakeSnapshot } from './ops/snapshot-routes.ts';
import { callsRoutes } from './ops/calls-routes.ts';
import { registrationRoutes, type RegistrationList } from './ops/registration-routes.ts';
import { clientRecordsRoutes, recordingsRoutes } from './ops/recordings-routes.ts';
import { red5Routes } from './red5/red5-routes.ts';
import { destinationRoutes } from './ops/destination-routes.ts';
import { platformRoutes } from './ops/platform-routes.ts';
import { callRoutes, restCallRoutes } from './wcs/call-routes.ts';
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
  readonly saved: SavedDestinations;
  readonly savedPushes: SavedPushes;
  /** Reads a saved destination as a push. */
  readonly parseOrder: ParseOrder;
  readonly feed: LiveFeed;
  readonly settingSources?: SettingSources;
  readonly takeSnapshot: TakeSnapshot;
  /** Undefined: rooms are off. */
  readonly rooms?: RoomsControl | undefined;
  /** Undefined: calls are off. */
  readonly calls?: CallControl | undefined;
  readonly registrations?: RegistrationList | undefined;
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

  #bind(app: FastifyInstance, key: 'http.port' | 'https.port'): Promise<number> {
    const { listen_ip: host, [key]: port } = this.#settings;
    return listenHttp(app, { host, port, key });
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

function createListener(options: ListenerOptions, certificate?: Certificate): Promise<FastifyInstance> {
  const { settings } = options;
  return createHttpServer({
    ...options,
    certificate,
    cors: {
      origin: [...settings.cors_origins],
      methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
      exposedHeaders: ['Location', 'ETag', 'Link', 'Retry-After', 'X-Ignored-Fields', 'X-Request-Id'],
      strictPreflight: false,
      maxAge: 600,
    },
    addRoutes: (app, notFound) => addRoutes(app, notFound, options),
  });
}

async function addRoutes(
  app: FastifyInstance,
  notFound: (request: FastifyRequest, reply: FastifyReply) => never,
  options: ListenerOptions,
): Promise<void> {
  const { settings, authorizer, logger, control, platforms, sessions } = options;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) =>
    parseJson(body),
  );
  const readStatistics = requireAction(authorizer, 'rest', 'read');
  app.addHook('onRequest', async (request, reply) => {
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
      savedPushes: options.savedPushes,
      authorizer,
      streamNamePrefix: sources.streamNamePrefix,
      standbyDefaults: standbyDefaults(settings),
      logger,
    }),
    callRoutes(options),
    streamRoutes(options),
    connectionRoutes(sessions, logger),
    statisticsRoutes(options),
    unsupportedRoutes,
  );
  await app.register(wcs, { prefix: '/rest-api' });
  await app.register(guarded(headerCredentials, restCallRoutes(options)), { prefix: '/RESTCall' });
  await app.register(
    guarded(
      accessTokenCredentials,
      inspectionRoutes(sources),
      platformRoutes(platforms),
      destinationRoutes(options),
      settingsRoutes(settings, options.settingSources),
      eventRoutes({ feed: options.feed, maxClients: settings.max_event_clients }),
      recordingsRoutes(options),
      snapshotRoutes(options),
      renewalRoutes(options),
      roomsRoutes(options),
      callsRoutes(options),
      registrationRoutes(options),
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
}
