import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Action, Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Recorders } from '../../outputs/record/recorders.ts';
import type { ClientSessions, StreamSession } from '../../sessions/client-sessions.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { principalOf } from '../authorize.ts';
import type { TakeSnapshot } from '../ops/snapshot-routes.ts';
import type { StreamSessionView } from '../openapi/answers.ts';
import { readBodies } from './body-reader.ts';
import { NothingSchema } from './schemas.ts';
import {
  RecordSchema,
  SnapshotSchema,
  StreamEventSchema,
  StreamFilterSchema,
  StreamTerminateSchema,
} from './session-schemas.ts';
import { metricsView, streamView } from './stream-view.ts';

export interface StreamRoutesOptions {
  readonly sessions: ClientSessions;
  readonly registry: StreamRegistry;
  readonly authorizer: Authorizer;
  readonly recorders: RecorderControl;
  readonly takeSnapshot: TakeSnapshot;
  readonly logger: Logger;
}

/** What REST may do with recordings. */
export type RecorderControl = Pick<Recorders, 'start' | 'stop' | 'isRecording' | 'recordings' | 'posters' | 'uploads'>;

const READ = { config: { action: 'read', resourceInBody: true } } as const;
const LIST = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

/** The `info` of streams and connections that REST ends, as in WCS. */
export const TERMINATED_BY_REST = 'Stopped by rest /terminate';

interface StreamFilter {
  readonly mediaSessionId?: string | undefined;
  readonly name?: string | undefined;
  readonly published?: boolean | undefined;
}

/** WCS's `/stream/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const streamRoutes =
  ({ sessions, registry, authorizer, recorders, takeSnapshot, logger }: StreamRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, logger);
    const authorize = async (request: FastifyRequest, action: Action, stream: string): Promise<void> => {
      await authorizer.authorize(principalOf(request), action, { stream });
    };

    /** @throws {GatewayError} STREAM_NOT_FOUND instead of an empty list */
    function find(request: FastifyRequest, filter: StreamFilter): StreamSession[] {
      const principal = principalOf(request);
      const found = sessions.streams.filter(
        (session) => matches(session, filter) && mayUseStream(principal, session.name),
      );
      if (found.length === 0) throw notFound('No stream matches.');
      return found;
    }
    const view = (session: StreamSession): StreamSessionView =>
      streamView(session, registry.find(session.name), recorders.isRecording(session.name));

    async function viewWithMetrics(session: StreamSession): Promise<StreamSessionView> {
      const stream = registry.find(session.name);
      const metrics = session.published && session.active ? await stream?.publisher?.metrics?.() : undefined;
      return { ...view(session), ...(stream && metrics && { metrics: metricsView(metrics, stream) }) };
    }
    /** @throws {GatewayError} STREAM_NOT_FOUND */
    function publishedStream(name: string): LiveStream {
      const stream = registry.find(name);
      if (!stream?.publisher) throw notFound('The stream has no publisher at the moment.');
      return stream;
    }

    app.post('/stream/find', LIST, async (request, reply) => {
      const { display = [], ...filter } = read(StreamFilterSchema, request, reply);
      const found = find(request, filter);
      return display.includes('metrics') ? Promise.all(found.map(viewWithMetrics)) : found.map(view);
    });
    app.route({
      ...LIST,
      method: ['GET', 'POST'],
      url: '/stream/find_all',
      handler: async (request, reply) => {
        read(NothingSchema, request, reply);
        return find(request, {}).map(view);
      },
    });
    app.post(
      '/stream/terminate',
      CONTROL,
      answerVoid(StreamTerminateSchema, async ({ mediaSessionId, name }, request) => {
        if (mediaSessionId === undefined && name === undefined)
          throw new GatewayError('INVALID_REQUEST', 'Name the stream: by mediaSessionId, or by name.');
        const ids = mediaSessionId === undefined ? undefined : new Set([mediaSessionId].flat());
        const found = sessions.streams.filter(
          (session) =>
            (ids?.has(session.mediaSessionId) ?? session.published) && (name === undefined || session.name === name),
        );
        // A stream that is held for its publisher may have no session.
        const held = ids || found.length > 0 ? undefined : registry.find(name!);
        if (found.length === 0 && !held) throw notFound('No stream matches.');
        for (const stream of new Set(held ? [held.name] : found.map((session) => session.name)))
          await authorize(request, 'control', stream);
        for (const session of found) session.terminate(TERMINATED_BY_REST);
        if (held) registry.end(held, new GatewayError('TERMINATED', TERMINATED_BY_REST));
      }),
    );
    app.post('/stream/snapshot', READ, async (request, reply) => {
      const { streamName } = read(SnapshotSchema, request, reply);
      await authorize(request, 'read', streamName);
      const { image } = await takeSnapshot(publishedStream(streamName), { format: 'png' });
      return { data: image.toString('base64') };
    });
    const recordedStream = async (
      { mediaSessionId, streamName }: z.output<typeof RecordSchema>,
      request: FastifyRequest,
    ): Promise<string> => {
      if ((mediaSessionId === undefined) === (streamName === undefined))
        throw new GatewayError('INVALID_REQUEST', 'Name the stream: by mediaSessionId, or by streamName.');
      const session = sessions.streams.find((one) => one.published && one.mediaSessionId === mediaSessionId);
      const name = streamName ?? session?.name;
      if (name === undefined) throw notFound('No publisher has this mediaSessionId.');
      await authorize(request, 'control', name);
      return name;
    };
    app.post(
      '/stream/startRecording',
      CONTROL,
      answerVoid(RecordSchema, async (body, request) => {
        await recorders.start(await recordedStream(body, request));
      }),
    );
    app.post(
      '/stream/stopRecording',
      CONTROL,
      answerVoid(RecordSchema, async (body, request) => {
        await recorders.stop(await recordedStream(body, request), stoppedByRest());
      }),
    );
    app.post(
      '/stream/event/send',
      CONTROL,
      answerVoid(StreamEventSchema, async ({ streamName }, request) => {
        await authorize(request, 'control', streamName);
        // As it was sent: the checked body has no null fields.
        const { payload } = request.body as { payload: unknown };
        publishedStream(streamName).emit('message', { type: 'data', payload });
      }),
    );
  };

const matches = (session: StreamSession, { mediaSessionId, name, published }: StreamFilter): boolean =>
  (mediaSessionId ?? session.mediaSessionId) === session.mediaSessionId &&
  (name ?? session.name) === session.name &&
  (published ?? session.published) === session.published;

export const stoppedByRest = (): GatewayError => new GatewayError('TERMINATED', 'The recording was stopped by REST.');

const notFound = (message: string): GatewayError => new GatewayError('STREAM_NOT_FOUND', message);
