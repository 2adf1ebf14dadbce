import packageJson from '../package.json' with { type: 'json' };
import { createAccess } from './access/create-authorizer.ts';
import { matchesName } from './access/rights.ts';
import { HttpApp, type HttpPorts } from './api/app.ts';
import { gatewayRoutes, openHls } from './api/gateway-routes.ts';
import { LiveFeed } from './api/live/live-feed.ts';
import { streamName } from './api/wcs/schemas.ts';
import { pushOrders, savedOrder, storedRequest } from './api/wcs/start-request.ts';
import { createCluster } from './cluster/create-cluster.ts';
import { ProcessorShare } from './cluster/processor-share.ts';
import type { Settings } from './config/schema.ts';
import type { SettingSources } from './config/settings-file.ts';
import { EmbeddedRtmpServer } from './embedded/embedded-rtmp-server.ts';
import { GatewayError } from './errors.ts';
import { checkFfmpeg } from './ffmpeg/ffmpeg-abilities.ts';
import { ffmpegMemory } from './ffmpeg/ffmpeg-memory.ts';
import { GatewayHooks } from './hooks/gateway-hooks.ts';
import { createCertificate } from './net/certificate.ts';
import { httpConnectionLimit } from './net/connection-limit.ts';
import { ForwardedClients } from './net/forwarded-client.ts';
import { limitHits, logLimits } from './observe/limits.ts';
import type { Logger } from './observe/logger.ts';
import { Metrics } from './observe/metrics.ts';
import { registerRuntimeMetrics } from './observe/runtime-metrics.ts';
import { Packagers } from './outputs/hls/packagers.ts';
import { createStandbys } from './outputs/push/create-standbys.ts';
import { notesIn } from './outputs/push/codecs/host-memory.ts';
import { createTransponders } from './outputs/push/create-transponders.ts';
import { PlatformCatalogue } from './outputs/push/platforms/catalogue.ts';
import { createSaved } from './outputs/push/saved/create-saved.ts';
import { StoredPushes } from './outputs/push/record/stored-pushes.ts';
import { standbyDefaults } from './outputs/push/standby-defaults.ts';
import { TransponderHistory } from './outputs/push/transponder-history.ts';
import { registerTransponderMetrics } from './outputs/push/transponder-metrics.ts';
import { listTransponders } from './outputs/push/transponder-control.ts';
import { createRecorders } from './outputs/record/create-recorders.ts';
import { createSessions } from './sessions/create-sessions.ts';
import { createEncoders } from './renditions/create-encoders.ts';
import { learnFrameSize } from './renditions/frame-size.ts';
import { createRooms } from './rooms/create-rooms.ts';
import { createRoomDoors } from './rooms/doors/create-doors.ts';
import { Assembly } from './runtime/assembly.ts';
import { Drain } from './runtime/drain.ts';
import type { FastPaths } from './runtime/fast-paths.ts';
import { inBackground } from './runtime/in-background.ts';
import { OverloadMonitor } from './runtime/overload.ts';
import { refuseSecondGateway } from './runtime/running-gateway.ts';
import { openWcs } from './signaling/create-wcs.ts';
import { createOriginCheck } from './signaling/origin.ts';
import { wcsLimits } from './signaling/wcs-limits.ts';
import type { SipService } from './sip/sip-service.ts';
import { openState } from './store/state.ts';
import { LocalDirectory } from './streams/directory.ts';
import { StreamRegistry } from './streams/stream-registry.ts';
import { createWorkers } from './webrtc/create-workers.ts';

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

interface Assembled {
  readonly addresses: GatewayAddresses;
  readonly drain: Drain;
  /** Tells HTTP clients that the gateway is closing. */
  readonly announceClose: () => void;
}

/** The composition root: creates all parts, connects them, and closes them in one order. */
export class Gateway {
  readonly addresses: GatewayAddresses;
  readonly #assembly: Assembly;
  readonly #announceClose: () => void;
  readonly #drain: Drain;

  private constructor({ addresses, announceClose, drain }: Assembled, assembly: Assembly) {
    this.addresses = addresses;
    this.#announceClose = announceClose;
    this.#drain = drain;
    this.#assembly = assembly;
  }

  /** @throws {GatewayError} SETTINGS_INVALID or SETUP_INCOMPLETE; all parts that were started are closed again */
  static create(settings: Settings, logger: Logger, fastPaths: FastPaths, sources?: SettingSources): Promise<Gateway> {
    return Assembly.build(
      logger,
      async (assembly) => new Gateway(await assemble(settings, logger, fastPaths, assembly, sources), assembly),
    );
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
    this.#announceClose();
    return this.#assembly.close();
  }
}

async function assemble(
  settings: Settings,
  logger: Logger,
  fastPaths: FastPaths,
  assembly: Assembly,
  sources?: SettingSources,
): Promise<Assembled> {
  await refuseSecondGateway(settings.listen_ip, settings['http.port']);
  await checkFfmpeg({ pushes: settings.push_engine === 'ffmpeg' });
  ffmpegMemory.setLimit(settings.max_encoder_memory_mb);
  const { version } = packageJson;
  const metrics = new Metrics();
  const certificate = assembly.add(createCertificate(settings, logger));
  const embedded = settings.embedded_rtmp_server
    ? assembly.add(
        await EmbeddedRtmpServer.create({
          rtmpPort: settings.embedded_rtmp_port,
          httpFlvPort: settings.embedded_http_flv_port,
          logger,
        }),
      )
    : undefined;

  const workers = assembly.add(await createWorkers(settings, { fastPaths, logger }));
  const overload = assembly.add(new OverloadMonitor({ workers: () => workers.loads, logger }));
  const limits = wcsLimits(settings);
  const connections = httpConnectionLimit(settings);
  assembly.onClose(logLimits(limitHits, logger));
  registerRuntimeMetrics(metrics, {
    ...{ fastPaths, overload, workers, limits: limitHits },
    connections: { http: connections.slots, ws: limits.connections.slots },
  });

  const registry = new StreamRegistry({
    resumeWindowMs: settings.publisher_resume_window_ms,
    maxStreams: settings.max_streams,
  });
  metrics.gauge('gateway_streams', 'Streams that are live, or held for a lost publisher.', () => registry.size);
  const { encoders, keyFrames, snapshots } = await createEncoders(settings, { metrics, logger });

  const state = await openState({ directory: settings.state_dir, key: settings.state_key, logger });
  assembly.add(state.store);
  const { store } = state;
  const history = assembly.add(
    await TransponderHistory.create({ ...state, kept: settings.ended_transponders_kept, logger }),
  );
  const platforms = PlatformCatalogue.create();
  const startContext = { platforms, standbyDefaults: standbyDefaults(settings) };
  const parse = storedRequest(startContext);
  const stored = assembly.add(new StoredPushes({ ...state, parse, logger }));
  // Set below, before anything happens.
  const live: { feed?: LiveFeed } = {};
  // These three close after the streams and the pushes: their ends are events, give names back, and end permissions.
  const hooks = assembly.add(
    await GatewayHooks.create({ settings, store, metrics, version, onEvent: (event) => live.feed?.add(event), logger }),
  );
  const cluster = assembly.add(await createCluster(settings, { metrics, version, logger }));
  const { authorizer, wcsHooks } = createAccess(settings, {
    schemas: { streamName, push: pushOrders(startContext) },
    keepFirst: cluster?.keepFirst.bind(cluster),
    ...{ store, metrics, logger },
  });
  assembly.add(authorizer);

  const media = { registry, encoders, overload, metrics, logger };
  const standbys = createStandbys(settings, media, assembly);
  const transponders = await createTransponders(settings, {
    ...{ ...media, standbys, history, platforms },
    stored: cluster ? undefined : stored,
    hostNotes: cluster?.notes ?? notesIn(store),
    ownServer: embedded && { address: '127.0.0.1', port: embedded.rtmpPort },
  });
  assembly.onClose(() => transponders.close(shuttingDown()));
  assembly.add(snapshots);
  assembly.onClose(registerTransponderMetrics(metrics, transponders));
  const recorders = await createRecorders(settings, { ...media, standbys, store });
  assembly.onClose(() => recorders.close(shuttingDown()));
  const packagers = Packagers.create(settings, media);
  assembly.onClose(() => packagers.close(shuttingDown()));
  hooks.observe(registry, transponders, recorders.recordings);
  const pushes = cluster ? cluster.storing(transponders, registry, parse) : transponders;

  const parseOrder = savedOrder(startContext);
  const { saved, savedPushes } = createSaved(
    {
      openRecords: cluster?.openRecords.bind(cluster) ?? store.records.bind(store),
      box: (cluster ?? state).box,
      limit: settings.max_saved_destinations,
      parse: parseOrder,
      control: pushes,
      matches: matchesName,
      ...{ registry, logger },
    },
    assembly,
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
  assembly.add(drain);
  const { publication, publications, players, sessions } = createSessions(settings, {
    ...{ pool: workers, registry, pushes, recorders, logger },
    directory: cluster?.directory ?? new LocalDirectory(),
    refusals: [drain, overload],
    learnFrameSize: (stream) => learnFrameSize(stream, encoders, keyFrames),
  });
  wcsHooks?.observe(sessions);

  const allowOrigin = createOriginCheck(settings);
  const forwardedClients = cluster && new ForwardedClients(settings.state_key);
  const doors = { registry, authorizer, sessions, publications, players, allowOrigin, forwardedClients, logger };
  const shared = cluster?.shareRooms();
  const rooms = settings.rooms ? await createRooms(settings, { shared, store, metrics, logger }) : undefined;
  if (rooms) {
    assembly.onClose(() => rooms.close(shuttingDown()));
    hooks.observeRooms(rooms);
  }
  const { rtmp_transponder_stream_name_prefix: streamNamePrefix } = settings;
  const feed = assembly.add(new LiveFeed({ registry, sessions, recorders, rooms, streamNamePrefix, control: pushes }));
  metrics.gauge('gateway_event_clients', 'Clients that follow /api/v1/events.', () => feed.size);
  live.feed = feed;
  const takeSnapshot = snapshots.take.bind(snapshots);
  const wcs = { ...doors, version, limits, takeSnapshot, dataReceiver: wcsHooks, rooms };
  const { ws, wss } = await openWcs(settings, wcs, certificate, assembly);
  await openHls(settings, { ...doors, packagers }, certificate, assembly);
  const sip = assembly.add(
    await openSip({ settings, pool: workers, publication, streams: media, authorizer, certificate, metrics, logger }),
  );
  if (sip) {
    hooks.observeCalls(sip.calls);
    hooks.observeRegistrations(sip.registrations);
  }
  // Before the connections of the clients, who learn the reason; a connection that closes would hold its streams.
  assembly.onClose(() => registry.close(shuttingDown()));
  const roomDoors =
    rooms && (await createRoomDoors({ ...doors, settings, rooms, connections: limits.connections, metrics }));
  assembly.add(roomDoors);

  // Closes last, because `/health` answers `closing` while the other parts close.
  const app = assembly.addLast(
    await HttpApp.create({
      ...{ ...doors, settings, platforms, recorders, rooms, metrics, drain, connections, certificate },
      ...{
        calls: sip?.calls,
        registrations: sip?.registrations,
        control: pushes,
        saved,
        savedPushes,
        parseOrder,
        feed,
      },
      ...(sources && { settingSources: sources }),
      takeSnapshot: (stream, form) => snapshots.capture(stream, form),
      isOverloaded: () => overload.overloaded,
      webSockets: roomDoors?.webSocket,
      workers: () => ({ alive: workers.pids.length, wanted: settings.rtc_workers }),
      hasFailed: () => cluster?.failed ?? false,
      ...(cluster && { redis: () => cluster.redis }),
      routes: gatewayRoutes(settings, {
        ...{ ...doors, packagers, dataDoor: roomDoors?.data },
        console: { wsPort: ws.port, wssPort: wss?.port, version, embedded },
      }),
    }),
  );
  const http = await app.listen();
  overload.start();
  let isClosing = false;
  const processor = new ProcessorShare(() => workers.loads.reduce((sum, { cpuShare }) => sum + cpuShare, 0));
  await cluster?.join({
    httpPort: http.http,
    wsPort: ws.port,
    wssPort: wss?.port,
    workersAnswer: () => workers.answers(WORKER_ANSWER_MS),
    load: () => ({
      pushes: listTransponders(transponders).length,
      encoders: encoders.running,
      cpu: processor.read(),
      overloaded: overload.overloaded,
    }),
    isDraining: () => isClosing || drain.draining,
    isMoving: () => !isClosing && drain.moving,
  });
  hooks.started();
  sip?.registrations.start();
  // Not earlier: publishers return as soon as they can. A cluster stores the pushes of its nodes itself.
  inBackground(cluster ? stored.forget() : stored.restore(transponders));
  return {
    addresses: {
      ...{ http, ws: ws.port },
      ...(wss && { wss: wss.port }),
      ...(embedded && { rtmpUrl: embedded.rtmpUrl }),
      ...(roomDoors?.rtmp && { roomsRtmp: roomDoors.rtmp.port }),
    },
    drain,
    announceClose: () => {
      if (isClosing) return;
      isClosing = true;
      app.announceClose();
      hooks.stopping();
    },
  };
}

/** A gateway without calls does not load SIP. */
async function openSip(options: Parameters<typeof SipService.create>[0]): Promise<SipService | undefined> {
  return options.settings.sip ? (await import('./sip/sip-service.ts')).SipService.create(options) : undefined;
}

const shuttingDown = (): GatewayError => new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
