import packageJson from '../package.json' with { type: 'json' };
import { createAuthorizer, createWcsHooks } from './access/create-authorizer.ts';
import { keepFirstIn, keepFirstOrWarn } from './access/first-uses.ts';
import { GatewayHooks } from './hooks/gateway-hooks.ts';
import { HttpApp, type HttpPorts } from './api/app.ts';
import { headerCredentials, requireAction } from './api/authorize.ts';
import { consoleRoutes } from './api/console-routes.ts';
import { hlsRoutes } from './api/hls/hls-routes.ts';
import { HlsServer } from './api/hls/hls-server.ts';
import { whepRoutes } from './api/whep/whep-routes.ts';
import { whipRoutes } from './api/whip/whip-routes.ts';
import { streamName } from './api/wcs/schemas.ts';
import { pushOrders, storedRequest } from './api/wcs/start-request.ts';
import type { GatewayCluster } from './cluster/gateway-cluster.ts';
import { ProcessorShare } from './cluster/processor-share.ts';
import type { Settings } from './config/schema.ts';
import { EmbeddedRtmpServer } from './embedded/embedded-rtmp-server.ts';
import { GatewayError } from './errors.ts';
import { checkFfmpeg } from './ffmpeg/ffmpeg-abilities.ts';
import { ffmpegMemory } from './ffmpeg/ffmpeg-memory.ts';
import { Certificate } from './net/certificate.ts';
import { httpConnectionLimit } from './net/connection-limit.ts';
import { ForwardedClients } from './net/forwarded-client.ts';
import { limitHits, logLimits } from './observe/limits.ts';
import type { Logger } from './observe/logger.ts';
import { Metrics } from './observe/metrics.ts';
import { registerRuntimeMetrics } from './observe/runtime-metrics.ts';
import { Packagers } from './outputs/hls/packagers.ts';
import { createRecorders } from './outputs/record/create-recorders.ts';
import { redirectOrigin } from './outputs/record/upload/create-uploads.ts';
import { PlatformCatalogue } from './outputs/push/platforms/catalogue.ts';
import { createTransponders } from './outputs/push/create-transponders.ts';
import { standbyDefaults } from './outputs/push/standby-defaults.ts';
import { StandbyRenditions } from './outputs/push/standby-renditions.ts';
import { StoredPushes } from './outputs/push/record/stored-pushes.ts';
import { TransponderHistory } from './outputs/push/transponder-history.ts';
import { registerTransponderMetrics } from './outputs/push/transponder-metrics.ts';
import { listTransponders } from './outputs/push/transponder-view.ts';
import { ClientSessions } from './publish/client-sessions.ts';
import { Players } from './publish/players.ts';
import { Publications } from './publish/publications.ts';
import { EncoderPool } from './renditions/encoder-pool.ts';
import { learnFrameSize } from './renditions/frame-size.ts';
import { KeyFrameReader } from './renditions/key-frame-reader.ts';
import { KeyFramePace } from './renditions/key-frame-requests.ts';
import { SharedEncoders } from './renditions/shared-encoders.ts';
import { SnapshotService } from './renditions/snapshot.ts';
import { createLocalRooms, createSharedRooms, type LocalRoomsOptions } from './rooms/create-rooms.ts';
import { roomLimits } from './rooms/room-limits.ts';
import { registerRoomMetrics } from './rooms/room-metrics.ts';
import type { ScopeRooms } from './rooms/scope-rooms.ts';
import { createRoomDoors } from './rooms/doors/create-doors.ts';
import { freezeFrames } from './renditions/standby/freeze-frames.ts';
import { StandbyClips } from './renditions/standby/standby-clips.ts';
import { closeAll, type Closable } from './runtime/close-all.ts';
import { freeBytesOf } from './runtime/disk-space.ts';
import type { FastPaths } from './runtime/fast-paths.ts';
import { Drain } from './runtime/drain.ts';
import { OverloadMonitor } from './runtime/overload.ts';
import { findRunningGateway } from './runtime/running-gateway.ts';
import { createOriginCheck } from './signaling/origin.ts';
import { wcsLimits } from './signaling/wcs-limits.ts';
import { openWcsServer } from './signaling/wcs-server.ts';
import { SecretBox } from './store/secret-box.ts';
import type { SipService } from './sip/sip-service.ts';
import { openState } from './store/state.ts';
import { LocalDirectory } from './streams/directory.ts';
import type { LiveStream } from './streams/live-stream.ts';
import { StreamRegistry } from './streams/stream-registry.ts';
import { mediaAddresses } from './webrtc/media-addresses.ts';
import { WorkerPool } from './webrtc/worker-pool.ts';
import { inBackground } from './runtime/in-background.ts';

/** Where the gateway can be reached. */
export interface GatewayAddresses {
  readonly http: HttpPorts;
  readonly ws: number;
  readonly wss?: number;
  /** The embedded RTMP server, where it runs. */
  readonly rtmpUrl?: string;
  /** The RTMP listener of the rooms. */
  readonly roomsRtmp?: number;
}

/** Milliseconds in which the media workers must answer for a node to stay in its cluster. */
const WORKER_ANSWER_MS = 900;

/** The composition root: creates all parts, connects them, and closes them in one order. */
export class Gateway {
  readonly addresses: GatewayAddresses;
  /** In closing order: each part closes after the parts that use it. */
  readonly #parts: readonly Closable[];
  readonly #announceClose: () => void;
  readonly #drain: Drain;
  #closing: Promise<void> | undefined;

  private constructor({ addresses, announceClose, drain }: Assembled, parts: readonly Closable[]) {
    this.addresses = addresses;
    this.#announceClose = announceClose;
    this.#drain = drain;
    this.#parts = parts;
  }

  /** @throws {GatewayError} SETTINGS_INVALID or SETUP_INCOMPLETE; all parts that were started are closed again */
  static async create(settings: Settings, logger: Logger, fastPaths: FastPaths): Promise<Gateway> {
    const parts: Closable[] = [];
    try {
      return new Gateway(await assemble(settings, logger, fastPaths, parts), parts);
    } catch (error) {
      await closeAll(parts).catch((failure: unknown) => logger.error({ err: failure }, 'closing failed'));
      throw error;
    }
  }

  /** Refuses new streams and waits for those that run: see {@link drained}. Idempotent. */
  drain(): void {
    this.#drain.begin();
  }

  /** Resolves when the gateway, asked by {@link drain} or by REST, has nothing more to wait for. */
  get drained(): Promise<void> {
    return this.#drain.finished;
  }

  /** Ends everything: streams and pushes with a reason, then all processes and ports. Idempotent. */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#announceClose();
      this.#closing = closeAll(this.#parts);
    }
    return this.#closing;
  }
}

interface Assembled {
  readonly addresses: GatewayAddresses;
  /** Tells HTTP clients that the gateway is closing. */
  readonly announceClose: () => void;
  readonly drain: Drain;
}

async function assemble(
  settings: Settings,
  logger: Logger,
  fastPaths: FastPaths,
  parts: Closable[],
): Promise<Assembled> {
  const opened = (part: Closable): void => void parts.unshift(part);
  const running = await findRunningGateway(settings.listen_ip, settings['http.port']);
  if (running)
    throw new GatewayError(
      'SETTINGS_INVALID',
      `Another WebRTC Transponder is running on ${running}. Stop it, or give this one its own ports (http.port, ws.port, rtc_port, embedded_rtmp_port, embedded_http_flv_port).`,
    );
  const certificate = settings.tls_cert
    ? new Certificate({ certFile: settings.tls_cert, keyFile: settings.tls_key, logger })
    : undefined;
  if (certificate) opened(certificate);
  await checkFfmpeg({ pushes: settings.push_engine === 'ffmpeg' });
  ffmpegMemory.setLimit(settings.max_encoder_memory_mb);
  const metrics = new Metrics();

  const embedded = settings.embedded_rtmp_server
    ? await EmbeddedRtmpServer.create({
        rtmpPort: settings.embedded_rtmp_port,
        httpFlvPort: settings.embedded_http_flv_port,
        logger,
      })
    : undefined;
  if (embedded) opened(embedded);

  const pool = await WorkerPool.create({
    workers: settings.rtc_workers,
    rtcPort: settings.rtc_port,
    addresses: () => mediaAddresses(settings),
    batchMs: settings.media_batch_ms,
    fastPaths,
    pendingSessions: { perClient: settings.max_pending_sessions_per_ip, total: settings.max_pending_sessions },
    logger,
  });
  opened(pool);
  const overload = new OverloadMonitor({ workers: () => pool.loads, logger });
  opened(overload);
  const websocketLimits = wcsLimits(settings);
  const httpConnections = httpConnectionLimit(settings);
  const stopLogging = logLimits(limitHits, logger);
  opened({ close: stopLogging });
  registerRuntimeMetrics(metrics, {
    fastPaths: () => fastPaths.states,
    overloaded: () => overload.overloaded,
    latePackets: () => pool.latePackets,
    missedFrames: () => pool.missedFrames,
    pausedTracks: () => pool.pausedTracks,
    pendingSessions: () => pool.pendingSessions,
    connections: () => [
      ['http', httpConnections.slots.size],
      ['ws', websocketLimits.connections.slots.size],
    ],
    limits: limitHits,
  });

  const registry = new StreamRegistry({
    resumeWindowMs: settings.publisher_resume_window_ms,
    maxStreams: settings.max_streams,
  });
  const sharedEncoders = await shareEncoders(settings, logger);
  const maxFrameSize = settings.max_frame_size;
  const encoders = new EncoderPool({
    audioBitrate: settings.audio_bitrate,
    audioBatchMs: settings.audio_batch_ms,
    ...(sharedEncoders && { sharedEncoders }),
    videoBitrate: settings.transcoder_video_bitrate,
    keyFrameIntervalMs: settings.key_frame_interval_ms,
    transcodingDisabled: settings.transcoding_disabled,
    maxEncoders: settings.max_encoders,
    maxFrameSize,
    logger,
  });
  const keyFrames = new KeyFrameReader({ maxFrameSize });
  const snapshots = new SnapshotService({
    running: encoders,
    keyFrames,
    maxFrameSize,
    maxDecodes: settings.max_snapshot_processes,
    logger,
  });
  const state = await openState({ directory: settings.state_dir, key: settings.state_key, logger });
  opened({ close: () => state.store.close() });
  const history = await TransponderHistory.create({ ...state, kept: settings.ended_transponders_kept, logger });
  opened(history);
  const platforms = PlatformCatalogue.create();
  const startContext = { platforms, standbyDefaults: standbyDefaults(settings) };
  const stored = new StoredPushes({
    ...state,
    parse: storedRequest(startContext),
    logger,
  });
  opened(stored);
  const { version } = packageJson;
  const hooks = await GatewayHooks.create({ settings, store: state.store, metrics, version, logger });
  // Closes after the streams and the pushes, whose ends are events.
  opened(hooks);
  const cluster = await joinableCluster(settings, { metrics, version, logger });
  // Closes after the streams and the pushes, whose names it gives back.
  if (cluster) opened(cluster);
  const wcsHooks = createWcsHooks(settings, logger);
  const keepFirst = cluster?.keepFirst.bind(cluster) ?? (settings.state_dir ? keepFirstIn(state.store) : undefined);
  const authorizer = createAuthorizer(settings, logger, {
    schemas: { streamName, push: pushOrders(startContext) },
    wcsHooks,
    keepFirst: keepFirst && keepFirstOrWarn(keepFirst, logger),
  });
  // The same for the application servers that decide about them.
  opened({ close: () => authorizer.close() });
  const standbyClips = new StandbyClips({ directory: settings.media_dir, logger });
  opened(standbyClips);
  const standbys = new StandbyRenditions({
    registry,
    encoders,
    clips: standbyClips,
    freezeFrames,
    keyFrameIntervalMs: settings.key_frame_interval_ms,
    logger,
  });
  const transponders = await createTransponders(settings, {
    registry,
    encoders,
    standbys,
    history,
    stored: cluster ? undefined : stored,
    platforms,
    overload,
    metrics,
    ownServer: embedded && { address: '127.0.0.1', port: embedded.rtmpPort },
    logger,
  });
  opened({ close: () => transponders.close(shuttingDown()) });
  opened(snapshots);
  metrics.gauge('gateway_streams', 'Streams that are live, or held for a lost publisher.', () => registry.size);
  metrics.gauge(
    'gateway_encoders',
    'Encoders that run: one audio encoder for each stream that is pushed, and the video encoders.',
    () => encoders.counts.sources + encoders.counts.videoEncoders,
  );
  metrics.total(
    'gateway_key_frame_requests_total',
    'Key frames requested from publishers for outputs.',
    () => KeyFramePace.total,
  );
  opened({ close: registerTransponderMetrics(metrics, transponders) });
  const recorders = await createRecorders(settings, {
    registry,
    encoders,
    standbys,
    overload,
    store: state.store,
    metrics,
    logger,
  });
  opened({ close: () => recorders.close(shuttingDown()) });

  const packagers = Packagers.create(settings, { registry, encoders, overload, metrics, logger });
  opened({ close: () => packagers.close(shuttingDown()) });

  hooks.observe(registry, transponders, recorders.recordings);
  const pushes = cluster ? cluster.storing(transponders, registry, storedRequest(startContext)) : transponders;

  if (settings.allow_anonymous)
    logger.warn(
      'allow_anonymous=true: everybody who reaches the gateway may publish, play, push to every allowed destination, and control all pushes',
    );
  const drain = new Drain({
    // Pushes with standby that move need no publisher.
    streams: () => Math.max(registry.size, cluster?.moving ?? 0),
    timeoutMs: settings.drain_timeout_s * 1000,
    onBegin: () => {
      hooks.draining(registry.size);
      cluster?.announceDrain();
    },
    logger,
  });
  opened(drain);
  const publicationContext = {
    registry,
    directory: cluster?.directory ?? new LocalDirectory(),
    pushes,
    recorders,
    admission: {
      check: () => {
        drain.check();
        overload.check();
      },
    },
  };
  const publications = new Publications({
    ...publicationContext,
    pool,
    audioPacketMs: settings.audio_packet_ms,
    logger,
  });
  const players = new Players({
    registry,
    maxPlayers: settings.max_players,
    learnFrameSize: (stream) => learnFrameSize(stream, encoders, keyFrames),
  });
  const sessions = new ClientSessions();
  const forwardedClients = cluster && new ForwardedClients(settings.state_key);
  if (wcsHooks) {
    wcsHooks.observe(sessions);
    metrics.gauge('gateway_wcs_hooks_queue', 'Notifications that wait for wcs_hooks_url.', () => wcsHooks.queued);
    metrics.total(
      'gateway_wcs_hooks_dropped_total',
      'Notifications that were dropped because too many waited for wcs_hooks_url.',
      () => wcsHooks.dropped,
    );
  }
  const rooms = settings.rooms
    ? await createRooms(cluster, {
        limits: roomLimits(settings),
        store: state.store,
        freeBytes: settings.state_dir ? () => freeBytesOf(settings.state_dir) : undefined,
        logger,
      })
    : undefined;
  if (rooms) {
    opened({ close: () => rooms.close(shuttingDown()) });
    hooks.observeRooms(rooms);
    registerRoomMetrics(metrics, rooms);
  }
  const signalling = {
    publications,
    sessions,
    players,
    registry,
    authorizer,
    logger,
    version,
    limits: websocketLimits,
    allowOrigin: createOriginCheck(settings),
    takeSnapshot: (stream: LiveStream) => snapshots.take(stream),
    dataReceiver: wcsHooks,
    forwardedClients,
    rooms,
  };
  const ws = await openWcsServer({ ...signalling, host: settings.listen_ip, port: settings['ws.port'] });
  opened(ws);
  const wss = certificate
    ? await openWcsServer({ ...signalling, host: settings.listen_ip, port: settings['wss.port'], certificate })
    : undefined;
  if (wss) opened(wss);
  const hls = { authorizer, packagers, allowOrigin: createOriginCheck(settings) };
  if (settings.hls) {
    const server = { ...hls, settings, connections: httpConnectionLimit(settings), logger };
    opened(await HlsServer.create({ ...server, key: 'hls.port' }));
    if (certificate) opened(await HlsServer.create({ ...server, key: 'hls.https.port', certificate }));
  }
  const sip = settings.sip
    ? await openSip({ settings, pool, publication: publicationContext, metrics, logger })
    : undefined;
  if (sip) {
    hooks.observeCalls(sip.calls);
    opened(sip);
  }
  // Before the connections of the clients, who learn the reason; a connection that closes would hold its streams.
  opened({ close: () => registry.close(shuttingDown()) });

  const roomDoors = rooms
    ? await createRoomDoors({
        settings,
        rooms,
        authorizer,
        registry,
        connections: websocketLimits.connections,
        forwardedClients,
        allowOrigin: createOriginCheck(settings),
        metrics,
        logger,
      })
    : undefined;
  if (roomDoors) opened(roomDoors);

  const app = await HttpApp.create({
    settings,
    authorizer,
    logger,
    control: pushes,
    platforms,
    registry,
    sessions,
    recorders,
    takeSnapshot: (stream, form) => snapshots.capture(stream, form),
    rooms,
    calls: sip?.calls,
    metrics,
    isOverloaded: () => overload.overloaded,
    drain,
    ...(forwardedClients && { forwardedClients }),
    connections: httpConnections,
    ...(certificate && { certificate }),
    ...(roomDoors && { webSockets: roomDoors.webSocket }),
    workers: () => ({ alive: pool.pids.length, wanted: settings.rtc_workers }),
    hasFailed: () => cluster?.failed ?? false,
    ...(cluster && { redis: () => cluster.redis }),
    routes: [
      consoleRoutes({
        wsPort: ws.port,
        ...(wss && { wssPort: wss.port }),
        restBase: '/rest-api',
        version,
        resumeWindowMs: settings.publisher_resume_window_ms,
        hasRooms: settings.rooms,
        recordingsOrigin: redirectOrigin(settings),
        isAllowed: requireAction(authorizer, 'console', 'play', headerCredentials, ({ params }) => ({
          stream: sourceName((params as { name: string }).name, settings.rtmp_transponder_stream_name_prefix),
        })),
        ...(embedded && { embedded: { rtmpUrl: embedded.rtmpUrl, httpFlvPort: embedded.httpFlvPort } }),
      }),
      whipRoutes({ settings, authorizer, publications, sessions, dataDoor: roomDoors?.data, logger }),
      whepRoutes({ settings, authorizer, players, sessions, dataDoor: roomDoors?.data, logger }),
      ...(settings.hls ? [hlsRoutes({ ...hls, shape: 'own' })] : []),
    ],
  });
  // Closes last, because `/health` answers `closing` while the other parts close.
  parts.push(app);
  const http = await app.listen();
  let isClosing = false;
  if (cluster) {
    const processor = new ProcessorShare(() => pool.loads.reduce((sum, { cpuShare }) => sum + cpuShare, 0));
    await cluster.join({
      httpPort: http.http,
      wsPort: ws.port,
      wssPort: wss?.port,
      workersAnswer: () => pool.answers(WORKER_ANSWER_MS),
      load: () => ({
        pushes: listTransponders(transponders).length,
        encoders: encoders.counts.sources + encoders.counts.videoEncoders,
        cpu: processor.read(),
        overloaded: overload.overloaded,
      }),
      isDraining: () => isClosing || drain.draining,
      isMoving: () => !isClosing && drain.moving,
    });
  }
  hooks.started();
  // Not earlier: publishers return as soon as they can. A cluster stores the pushes of its nodes itself.
  inBackground(cluster ? stored.forget() : stored.restore(transponders));
  return {
    addresses: {
      http,
      ws: ws.port,
      ...(wss && { wss: wss.port }),
      ...(embedded && { rtmpUrl: embedded.rtmpUrl }),
      ...(roomDoors?.rtmp && { roomsRtmp: roomDoors.rtmp.port }),
    },
    drain,
    announceClose: () => {
      isClosing = true;
      app.announceClose();
      hooks.stopping();
    },
  };
}

/** A gateway that runs alone does not load the client of Redis. */
async function joinableCluster(
  settings: Settings,
  parts: { readonly metrics: Metrics; readonly version: string; readonly logger: Logger },
): Promise<GatewayCluster | undefined> {
  if (!settings.cluster_redis_url) return undefined;
  const { GatewayCluster: Cluster } = await import('./cluster/gateway-cluster.ts');
  return Cluster.create({ settings, box: new SecretBox(Buffer.from(settings.state_key, 'base64')), ...parts });
}

/** A gateway without calls does not load SIP. */
async function openSip(options: Parameters<typeof SipService.create>[0]): Promise<SipService> {
  const { SipService: Service } = await import('./sip/sip-service.ts');
  return Service.create(options);
}

/** In a cluster the rooms are the same on all nodes. */
function createRooms(
  cluster: GatewayCluster | undefined,
  options: LocalRoomsOptions,
): Promise<ScopeRooms> | ScopeRooms {
  if (!cluster) return createLocalRooms(options);
  const { limits, logger } = options;
  const processes = (): Promise<ReadonlySet<string>> => cluster.instances();
  return createSharedRooms({
    ...(limits && { limits }),
    logs: cluster.openLogs(),
    host: cluster.host,
    processes,
    logger,
  });
}

/** The set-up sets OPUS_TO_AAC_BIN if it could build the program. */
async function shareEncoders(
  { audio_encoder_streams: streamsEach, audio_batch_ms: audioBatchMs }: Settings,
  logger: Logger,
): Promise<SharedEncoders | undefined> {
  const program = process.env['OPUS_TO_AAC_BIN'];
  return program && streamsEach > 1 ? SharedEncoders.create({ program, streamsEach, audioBatchMs, logger }) : undefined;
}

/** The stream that is pushed to the embedded server under this name. */
const sourceName = (published: string, prefix: string): string =>
  published.startsWith(prefix) ? published.slice(prefix.length) : published;

const shuttingDown = (): GatewayError => new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
