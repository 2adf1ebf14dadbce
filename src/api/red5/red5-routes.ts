import { availableParallelism, arch, freemem, platform, release, totalmem } from 'node:os';
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Recording } from '../../outputs/record/recordings.ts';
import type { ClientSessions } from '../../sessions/client-sessions.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { principalOf, requireAllStreams } from '../authorize.ts';
import { prepareError } from '../error-reply.ts';
import { stoppedByRest, TERMINATED_BY_REST, type RecorderControl } from '../wcs/stream-routes.ts';
import { Applications, type Client } from './applications.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';

export interface Red5RoutesOptions {
  readonly sessions: ClientSessions;
  readonly registry: StreamRegistry;
  readonly authorizer: Authorizer;
  readonly recorders: RecorderControl;
  readonly logger: Logger;
}

const READ = { config: { action: 'read' } } as const;
/** HEAD must not end anything. */
const CONTROL = { config: { action: 'control' }, exposeHeadRoute: false } as const;

/** Red5's server API: see docs/rest.md. To be registered below `/api/v1`. */
export const red5Routes =
  ({ sessions, registry, authorizer, recorders, logger }: Red5RoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const applications = new Applications(sessions, registry);
    app.setErrorHandler((error, request, reply) => {
      const { httpStatus: code, message } = prepareError(error, request, reply, logger);
      return reply.code(code).send({ status: 'error', code, message, timestamp: wallClockMs() });
    });

    app.get('/server', READ, async () => success(serverInfo()));
    app.get('/server/ping', READ, async () => success(wallClockMs()));
    app.get('/server/statistics', READ, async () =>
      success({
        ...serverInfo(),
        os_name: platform(),
        os_version: release(),
        architecture: arch(),
        processors: availableParallelism(),
        total_memory: totalmem(),
        free_memory: freemem(),
        num_apps: applications.names.length,
        active_connections: applications.names.flatMap((name) => applications.clients(name)).length,
      }),
    );
    app.get('/applications', READ, async () => success(applications.names));
    app.get('/applications/:app/statistics', READ, async (request) => {
      const application = applicationOf(request, applications);
      const streams = applications.streams(application);
      return success({
        name: application,
        active_connections: applications.clients(application).length,
        active_streams: streams.length,
        active_subscribers: streams.reduce((total, { name }) => total + applications.players(name), 0),
      });
    });
    app.get('/applications/:app/clients', { ...READ, preHandler: requireAllStreams }, async (request) =>
      success(applications.clients(applicationOf(request, applications)).map(({ id }) => id)),
    );
    app.get('/applications/:app/clients/:id', { ...READ, preHandler: requireAllStreams }, async (request) =>
      success(clientView(clientOf(request, applications))),
    );
    app.delete('/applications/:app/clients/:id', { ...CONTROL, preHandler: requireAllStreams }, async (request) => {
      const client = clientOf(request, applications);
      for (const stream of client.streams) await authorizer.authorize(principalOf(request), 'control', { stream });
      client.terminate(TERMINATED_BY_REST);
      return success({ id: client.id });
    });

    app.get('/applications/:app/streams', READ, async (request) => {
      const names = applications.streams(applicationOf(request, applications)).map(({ name }) => name);
      return success(names.filter((name) => mayUseStream(principalOf(request), name)));
    });
    for (const url of ['/applications/:app/streams/:stream', '/applications/:app/streams/:stream/statistics'])
      app.get(url, READ, async (request) => {
        const stream = streamOf(request, applications);
        return success(
          await streamStatistics(stream, applications.players(stream.name), recorders.isRecording(stream.name)),
        );
      });
    // GET as in Red5.
    app.route({
      ...CONTROL,
      method: ['GET', 'POST'],
      url: '/applications/:app/streams/:stream/action/unpublish',
      handler: async (request) => {
        refuseCrossSite(request);
        const stream = streamOf(request, applications);
        applications.unpublish(stream, TERMINATED_BY_REST);
        return success({ name: stream.name });
      },
    });

    for (const action of ['startrecord', 'stoprecord'] as const)
      app.route({
        ...CONTROL,
        method: ['GET', 'POST'],
        url: `/applications/:app/streams/:stream/action/${action}`,
        handler: async (request) => {
          refuseCrossSite(request);
          const { name } = streamOf(request, applications);
          if (action === 'startrecord') await recorders.start(name);
          else await recorders.stop(name, stoppedByRest());
          return success({ name });
        },
      });
    // The gateway does not keep the application of a recording.
    app.get('/applications/:app/recordedfiles', READ, async (request) => {
      applicationOf(request, applications);
      const visible = recorders.recordings.list().filter(({ stream }) => mayUseStream(principalOf(request), stream));
      return success(visible.map(recordedFile));
    });
  };

const success = (data: unknown): object => ({ status: 'success', code: 200, data, timestamp: wallClockMs() });

const serverInfo = (): object => ({
  red5_pro_version: `WebRTC Transponder ${packageJson.version}`,
  uptime: Math.round(process.uptime() * 1000),
});

/** @throws {GatewayError} ROUTE_NOT_FOUND */
function applicationOf({ params }: FastifyRequest, { names }: Applications): string {
  const { app } = params as { readonly app: string };
  if (names.includes(app)) return app;
  throw new GatewayError('ROUTE_NOT_FOUND', 'There is no such application: it exists while it has a client.');
}

/** @throws {GatewayError} ROUTE_NOT_FOUND, SESSION_NOT_FOUND */
function clientOf(request: FastifyRequest, applications: Applications): Client {
  const { id } = request.params as { readonly id: string };
  const client = applications.clients(applicationOf(request, applications)).find((one) => one.id === id);
  if (client) return client;
  throw new GatewayError('SESSION_NOT_FOUND', 'The application has no such client.');
}

/** @throws {GatewayError} ROUTE_NOT_FOUND, STREAM_NOT_FOUND */
function streamOf(request: FastifyRequest, applications: Applications): LiveStream {
  const { stream: name } = request.params as { readonly stream: string };
  const stream = applications.streams(applicationOf(request, applications)).find((one) => one.name === name);
  if (stream) return stream;
  throw new GatewayError('STREAM_NOT_FOUND', 'The application has no such stream.');
}

const recordedFile = ({ file, stream, bytes, durationMs, startedAt, endedAt }: Recording): object => ({
  name: file,
  stream_name: stream,
  size: bytes,
  duration: durationMs / 1000,
  last_modified: Date.parse(endedAt ?? startedAt),
  url: `/client/records/${encodeURIComponent(file)}`,
});

const clientView = ({ id, clientAddress, createdAt, streams }: Client): object => ({
  id,
  creation_time: createdAt.getTime(),
  remote_address: clientAddress,
  streams,
});

async function streamStatistics(stream: LiveStream, players: number, isRecorded: boolean): Promise<object> {
  const { publisher, frameSize } = stream;
  const metrics = await publisher?.metrics?.();
  return {
    name: stream.name,
    state: publisher ? 'PUBLISHING' : 'HELD',
    creation_time: stream.startedAt.getTime(),
    active_subscribers: players,
    bytes_received: (metrics?.audio?.bytes ?? 0) + (metrics?.video?.bytes ?? 0),
    audio_codec: publisher?.audio?.codec ?? null,
    video_codec: publisher?.video?.codec ?? null,
    width: frameSize?.width ?? 0,
    height: frameSize?.height ?? 0,
    is_recording: isRecorded,
  };
}

/** A page of another site can make a browser send a GET without CORS, and browsers on this machine may need no key. */
function refuseCrossSite({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site')
    throw new GatewayError('FORBIDDEN', 'Pages of other origins may not call this method.');
}
