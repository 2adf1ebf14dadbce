import type { FastifyPluginAsync } from 'fastify';
import packageJson from '../../../package.json' with { type: 'json' };
import { GatewayError } from '../../errors.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { listTransponders, type TransponderControl } from '../../outputs/push/transponder-view.ts';
import { publicView } from './public-view.ts';

export interface OperationSources {
  readonly control: TransponderControl;
  readonly registry: StreamRegistry;
  readonly metrics: Metrics;
  readonly streamNamePrefix: string;
  /** mediasoup's workers: how many run and how many there should be. */
  readonly workers: () => { readonly alive: number; readonly wanted: number };
  readonly isClosing: () => boolean;
  /** Whether new publications are refused because of the load. */
  readonly isOverloaded?: () => boolean;
}

/** `/health` and `/metrics`: for monitoring, without a key, and therefore without names of streams or hosts. */
export const monitoringRoutes =
  ({ control, registry, metrics, workers, isClosing, isOverloaded }: OperationSources): FastifyPluginAsync =>
  async (app) => {
    app.get('/health', async (_, reply) => {
      const { alive, wanted } = workers();
      const status = isClosing()
        ? 'closing'
        : alive === 0
          ? 'failed'
          : alive < wanted
            ? 'degraded'
            : isOverloaded?.()
              ? 'overloaded'
              : 'ok';
      // Monitoring must not restart a gateway that serves its streams: degraded and overloaded are 200.
      return reply.code(status === 'closing' || status === 'failed' ? 503 : 200).send({
        status,
        version: packageJson.version,
        uptime: Math.floor(process.uptime()),
        workers: { alive, wanted },
        streams: registry.size,
        transponders: listTransponders(control).length,
      });
    });
    app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  };

/** What WCS has no method for. To be registered below `/api/v1`. */
export const inspectionRoutes =
  ({ control, registry, streamNamePrefix }: OperationSources): FastifyPluginAsync =>
  async (app) => {
    app.get('/transponders', async ({ query }) => {
      const { ended = 'false', ...others } = query as Record<string, unknown>;
      const isKnown = ended === 'true' || ended === 'false';
      if (!isKnown || Object.keys(others).length > 0)
        throw new GatewayError('INVALID_REQUEST', 'The query may only be ended=true or ended=false.');
      const views = ended === 'true' ? control.ended() : listTransponders(control);
      return views.map((view) => publicView(view, streamNamePrefix));
    });
    app.get('/streams', async () => {
      const transponders = listTransponders(control);
      return registry.list().map((stream) => ({
        name: stream.name,
        /** `held`: its publisher was lost and may still come back. */
        status: stream.publisher ? 'live' : 'held',
        startedAt: stream.startedAt.toISOString(),
        audioCodec: stream.publisher?.audio?.codec ?? null,
        videoCodec: stream.publisher?.video?.codec ?? null,
        transponders: transponders.filter((view) => view.sourceStreamName === stream.name).length,
      }));
    });
  };
