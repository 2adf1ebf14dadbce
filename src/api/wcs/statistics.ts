import { freemem, totalmem } from 'node:os';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../../errors.ts';
import { listTransponders, type TransponderControl } from '../../outputs/push/transponder-control.ts';
import type { ClientSessions } from '../../sessions/client-sessions.ts';
import { requireAllStreams } from '../authorize.ts';
import { pathOf } from '../error-reply.ts';

export interface StatisticsSources {
  readonly control: TransponderControl;
  readonly sessions: ClientSessions;
}

type Values = Readonly<Record<string, number | string>>;

/** Statistics under WCS's keys; docs/rest.md explains each one. */
interface Statistics {
  readonly connections_stats: Values;
  readonly streams_stats: Values;
  readonly core_stats: Values;
}

const HEADINGS: Readonly<Record<keyof Statistics, string>> = {
  connections_stats: 'Connection Stats',
  streams_stats: 'Stream Stats',
  core_stats: 'Core Stats',
};

/** Whether a request for the home page is WCS's poll of its statistics: `/?action=stat`. */
export function isStatisticsPoll(request: FastifyRequest): boolean {
  const { action } = request.query as Record<string, unknown>;
  return request.method === 'GET' && pathOf(request) === '/' && action === 'stat';
}

/** `/rest-api/stat`: the same as `/?action=stat`. To be registered below `/rest-api`. */
export const statisticsRoutes =
  (sources: StatisticsSources): FastifyPluginAsync =>
  async (app) => {
    app.get('/stat', { config: { action: 'read' }, preHandler: requireAllStreams }, async (request, reply) =>
      answerStatistics(sources, request, reply),
    );
  };

/** Sections of `key=value` lines, or JSON with `format=json`. */
export function answerStatistics(
  sources: StatisticsSources,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { format = 'text' } = request.query as Record<string, unknown>;
  if (format !== 'json' && format !== 'text')
    throw new GatewayError('INVALID_REQUEST', 'The query may have format=json or format=text.');
  const statistics = collect(sources);
  reply.header('cache-control', 'no-store');
  if (format === 'json') return reply.send(statistics);
  return reply.type('text/plain; charset=utf-8').send(asText(statistics));
}

function collect({ control, sessions }: StatisticsSources): Statistics {
  const { streams, connections } = sessions;
  const active = streams.filter((session) => session.active);
  const published = active.filter((session) => session.published);
  const players = active.filter((session) => !session.published);
  const viewers = Map.groupBy(players, ({ name }) => name);
  return {
    connections_stats: { connections: connections.length, connections_websocket: connections.length },
    streams_stats: {
      streams_webrtc_in: published.length,
      streams_webrtc_out: players.length,
      streams_rtmp_out: listTransponders(control).length,
      // Encoded: a name may contain the separators.
      streams_viewers: published
        .map(({ name }) => `${encodeURIComponent(name)}/${viewers.get(name)?.length ?? 0}`)
        .join(';'),
    },
    core_stats: {
      core_java_uptime: Math.round(process.uptime() * 1000),
      core_java_totalPhysicalMemorySize: totalmem(),
      core_java_freePhysicalMemorySize: freemem(),
    },
  };
}

const asText = (statistics: Statistics): string =>
  Object.entries(HEADINGS)
    .flatMap(([group, heading]) => [
      `-----${heading}-----`,
      ...Object.entries(statistics[group as keyof Statistics]).map(([key, value]) => `${key}=${value}`),
    ])
    .join('\n');
