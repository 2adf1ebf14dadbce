import type { FastifyInstance } from 'fastify';
import { SettingsSchema } from '../../src/config/schema.ts';
import { HttpApp, type HttpAppOptions } from '../../src/api/app.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { FakeTransponders } from './fake-transponders.ts';

interface Parts {
  readonly app: HttpApp;
  readonly http: FastifyInstance;
  readonly control: FakeTransponders;
  readonly registry: StreamRegistry;
  readonly metrics: Metrics;
}

/** The HTTP side on its own, with settings as a file would give them and transponders that push nothing. */
export async function createHttpApp(
  settings: Record<string, string> = {},
  more: Partial<HttpAppOptions> = {},
): Promise<Parts> {
  const control = new FakeTransponders();
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const metrics = new Metrics();
  metrics.observe({ registry, control, encoders: () => 2 });
  const app = await HttpApp.create({
    settings: SettingsSchema.parse({ 'http.port': '0', 'https.port': '0', ...settings }),
    control,
    registry,
    metrics,
    logger: silentLogger,
    workers: () => ({ alive: 1, wanted: 1 }),
    ...more,
  });
  return { app, http: app.http, control, registry, metrics };
}
