import type { FastifyPluginAsync, FastifyReply } from 'fastify';
import packageJson from '../../../package.json' with { type: 'json' };
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { listTransponders, type TransponderControl } from '../../outputs/push/transponder-control.ts';
import { principalOf } from '../authorize.ts';
import type { Health, PrincipalView, StreamView } from '../openapi/answers.ts';
import { publicView } from './public-view.ts';

export interface OperationSources {
  readonly control: TransponderControl;
  readonly registry: StreamRegistry;
  readonly metrics: Metrics;
  readonly streamNamePrefix: string;
  /** The number of mediasoup workers that run, and that should run. */
  readonly workers: () => { readonly alive: number; readonly wanted: number };
  readonly isClosing: () => boolean;
  /** Whether new publications are refused for lack of processor time. */
  readonly isOverloaded?: () => boolean;
  /** Ends the gateway without ending its streams. */
  readonly drain: { readonly draining: boolean; begin(move?: boolean): void };
  /** Whether the media workers have not answered for so long that the node has left its cluster. */
  readonly hasFailed?: () => boolean;
  /** Nodes of a cluster only. */
  readonly redis?: () => RedisState;
}

export interface RedisState {
  readonly answers: boolean;
  /** Whether new streams are refused while it does not answer. */
  readonly needed: boolean;
}

const READ = { config: { action: 'read' } } as const;

/** `/health` and `/metrics`: open unless `metrics_key` is set, and therefore without names of streams or hosts. */
export const monitoringRoutes =
  (sources: OperationSources): FastifyPluginAsync =>
  async (app) => {
    const { metrics } = sources;
    app.get('/health', READ, healthUnless(sources, ['closing', 'failed']));
    app.get('/metrics', READ, async (_, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  };

/** For orchestrators, which cannot send a key: whether a restart would help, and whether new streams should come here. */
export const probeRoutes =
  (sources: OperationSources): FastifyPluginAsync =>
  async (app) => {
    app.get('/health/live', READ, healthUnless(sources, ['failed']));
    const refuses = (): boolean => {
      const redis = sources.redis?.();
      return redis !== undefined && redis.needed && !redis.answers;
    };
    app.get('/health/ready', READ, healthUnless(sources, ['closing', 'failed', 'draining'], refuses));
  };

/** A handler that answers 503 in one of these states, and for another reason. */
const healthUnless =
  (sources: OperationSources, unavailable: readonly Health['status'][], isUnavailable = () => false) =>
  async (_: unknown, reply: FastifyReply): Promise<FastifyReply> => {
    const answer = healthOf(sources);
    return reply.code(unavailable.includes(answer.status) || isUnavailable() ? 503 : 200).send(answer);
  };

function healthOf(sources: OperationSources): Health {
  const { control, registry, workers, isOverloaded, redis } = sources;
  const { alive, wanted } = workers();
  return {
    status: statusOf(sources),
    version: packageJson.version,
    uptime: Math.floor(process.uptime()),
    workers: { alive, wanted },
    overloaded: isOverloaded?.() ?? false,
    streams: registry.size,
    transponders: listTransponders(control).length,
    ...(redis && { redis: redis().answers }),
  };
}

/**
 * A gateway that still carries streams must not be restarted by its monitoring: `overloaded`, `degraded` and
 * `draining` are 200 in `/health`.
 */
function statusOf({ workers, isClosing, isOverloaded, hasFailed, redis, drain }: OperationSources): Health['status'] {
  const { alive, wanted } = workers();
  if (isClosing()) return 'closing';
  if (alive === 0 || hasFailed?.()) return 'failed';
  if (drain.draining) return 'draining';
  if (isOverloaded?.()) return 'overloaded';
  return alive < wanted || redis?.().answers === false ? 'degraded' : 'ok';
}

/** What WCS has no method for. To be registered below `/api/v1`. */
export const inspectionRoutes =
  (sources: OperationSources): FastifyPluginAsync =>
  async (app) => {
    const { control, registry, streamNamePrefix, drain } = sources;
    app.post('/server/drain', { config: { action: 'admin' } }, async (request, reply) => {
      const { move, accessToken: _, ...others } = request.query as Record<string, unknown>;
      if (![undefined, 'true', 'false'].includes(move as undefined) || Object.keys(others).length > 0)
        throw new GatewayError('INVALID_REQUEST', 'The query may only be move=true or move=false.');
      drain.begin(move === undefined ? undefined : move === 'true');
      return reply.code(202).send(healthOf(sources));
    });
    app.get('/transponders', READ, async (request) => {
      const { ended = 'false', accessToken: _, ...others } = request.query as Record<string, unknown>;
      const isKnown = ended === 'true' || ended === 'false';
      if (!isKnown || Object.keys(others).length > 0)
        throw new GatewayError('INVALID_REQUEST', 'The query may only be ended=true or ended=false.');
      const views = ended === 'true' ? control.ended() : listTransponders(control);
      return views
        .filter(({ sourceStreamName }) => mayUseStream(principalOf(request), sourceStreamName))
        .map((view) => publicView(view, streamNamePrefix));
    });
    app.get('/me', { config: { action: 'identify' } }, async (request): Promise<PrincipalView> => {
      const { id, actions, streams, rooms, destinations, maxDurationS, expiresAt } = principalOf(request);
      return {
        id,
        actions: [...actions],
        ...(streams && { streams: [...streams] }),
        ...(rooms && { rooms: Object.fromEntries([...rooms].map(([scope, rights]) => [scope, [...rights]])) }),
        ...(destinations && { destinations: [...destinations] }),
        ...(maxDurationS !== undefined && { maxDuration: maxDurationS }),
        ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
      };
    });
    app.get('/streams', READ, async (request) => {
      const pushed = listTransponders(control).map(({ sourceStreamName }) => sourceStreamName);
      const visible = registry.list().filter(({ name }) => mayUseStream(principalOf(request), name));
      return visible.map((stream) => streamView(stream, pushed.filter((name) => name === stream.name).length));
    });
  };

function streamView(
  { name, publisher, absence, startedAt, videoProblem }: LiveStream,
  transponders: number,
): StreamView {
  return {
    name,
    status: publisher ? 'live' : 'held',
    startedAt: startedAt.toISOString(),
    audioCodec: publisher?.audio?.codec ?? null,
    videoCodec: publisher?.video?.codec ?? null,
    transponders,
    ...(videoProblem && { videoProblem: videoProblem.message }),
    ...(absence && { publisherAway: { since: absence.since.toISOString(), until: absence.until.toISOString() } }),
  };
}
