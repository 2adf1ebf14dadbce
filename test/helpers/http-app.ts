import type { FastifyInstance } from 'fastify';
import { createAuthorizer } from '../../src/access/create-authorizer.ts';
import { SettingsSchema, type Settings } from '../../src/config/schema.ts';
import { HttpApp, type HttpAppOptions } from '../../src/api/app.ts';
import type { EncoderPool } from '../../src/renditions/encoder-pool.ts';
import { createRecorders } from '../../src/outputs/record/create-recorders.ts';
import type { StandbyRenditions } from '../../src/outputs/push/standby-renditions.ts';
import type { Recorders } from '../../src/outputs/record/recorders.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import type { TransponderControl } from '../../src/outputs/push/transponder-control.ts';
import { PlatformCatalogue } from '../../src/outputs/push/platforms/catalogue.ts';
import { registerTransponderMetrics } from '../../src/outputs/push/transponder-metrics.ts';
import { LiveFeed } from '../../src/api/live/live-feed.ts';
import { ClientSessions } from '../../src/sessions/client-sessions.ts';
import { savedOrder } from '../../src/api/wcs/start-request.ts';
import { standbyDefaults } from '../../src/outputs/push/standby-defaults.ts';
import { SavedDestinations } from '../../src/outputs/push/saved/saved-destinations.ts';
import { SavedPushes } from '../../src/outputs/push/saved/saved-pushes.ts';
import { SecretBox } from '../../src/store/secret-box.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { FakeTransponders } from './fake-transponders.ts';

interface Parts {
  readonly app: HttpApp;
  readonly http: FastifyInstance;
  readonly control: FakeTransponders;
  readonly registry: StreamRegistry;
  readonly metrics: Metrics;
  readonly sessions: ClientSessions;
  readonly recorders: Recorders;
}

/** Recorders for tests without media: they start nothing. */
export function createIdleRecorders(
  settings: Settings,
  registry: StreamRegistry,
  metrics: Metrics,
): Promise<Recorders> {
  return createRecorders(settings, {
    registry,
    encoders: undefined as unknown as EncoderPool,
    standbys: undefined as unknown as StandbyRenditions,
    overload: { overloaded: false },
    store: new MemoryStore({ logger: silentLogger }),
    metrics,
    logger: silentLogger,
  });
}

/** The platforms, and saved destinations in memory. */
export function destinationParts(settings: Settings, control: TransponderControl) {
  const platforms = PlatformCatalogue.create();
  const parseOrder = savedOrder({ platforms, standbyDefaults: standbyDefaults(settings) });
  const store = new MemoryStore({ logger: silentLogger });
  const saved = new SavedDestinations({
    openRecords: (namespace, schema) => store.records(namespace, schema),
    box: SecretBox.withRandomKey(),
    limit: settings.max_saved_destinations,
  });
  return { platforms, parseOrder, saved, savedPushes: new SavedPushes({ saved, parse: parseOrder, control }) };
}

/** The HTTP server alone, with default settings and fake transponders. */
export async function createHttpApp(
  settings: Record<string, string> = {},
  more: Partial<HttpAppOptions> = {},
): Promise<Parts> {
  const control = new FakeTransponders();
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const metrics = new Metrics();
  const sessions = new ClientSessions();
  const parsed = SettingsSchema.parse({ 'http.port': '0', 'https.port': '0', ...settings });
  metrics.gauge('gateway_streams', 'Streams.', () => registry.size);
  metrics.gauge('gateway_encoders', 'Encoders.', () => 2);
  registerTransponderMetrics(metrics, control);
  const recorders = await createIdleRecorders(parsed, registry, metrics);
  const app = await HttpApp.create({
    settings: parsed,
    authorizer: createAuthorizer(parsed, silentLogger),
    control,
    registry,
    metrics,
    sessions,
    recorders,
    ...destinationParts(parsed, more.control ?? control),
    feed: new LiveFeed({ registry, control: more.control ?? control, sessions, recorders, streamNamePrefix: 'rtmp_' }),
    takeSnapshot: async ({ name }, { format, width = 'full' }) => ({
      image: Buffer.from(format === 'png' && width === 'full' ? `PNG of ${name}` : `${format} of ${name}, ${width}`),
      takenAt: new Date('2026-01-02T03:04:05.678Z'),
    }),
    logger: silentLogger,
    workers: () => ({ alive: 1, wanted: 1 }),
    drain: { draining: false, begin: () => undefined },
    ...more,
  });
  return { app, http: app.http, control, registry, metrics, sessions, recorders };
}
