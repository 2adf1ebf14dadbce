import { Readable } from 'node:stream';
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Action, Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Recording, RecordingStorage } from '../../outputs/record/recordings.ts';
import type { Recorders } from '../../outputs/record/recorders.ts';
import type { Uploads } from '../../outputs/record/upload/uploads.ts';
import { guardRoutes, principalOf, queryCredentials } from '../authorize.ts';
import { pageQuery } from './page-query.ts';
import type { RecordingPageView, RecordingView } from '../openapi/answers.ts';

export interface RecordingsRoutesOptions {
  readonly recorders: Pick<Recorders, 'recordings' | 'posters' | 'uploads'>;
  readonly authorizer: Authorizer;
}

const READ = { config: { action: 'read' } } as const;
/** The recording names the stream. */
const READ_ONE = { config: { action: 'read', resourceInBody: true } } as const;
const DELETE_ONE = { config: { action: 'control', resourceInBody: true } } as const;
const PLAY_ONE = { config: { action: 'play', resourceInBody: true, embeddable: true } } as const;
const READ_MEDIA = { config: { action: 'read', resourceInBody: true, embeddable: true } } as const;

const QuerySchema = z.strictObject(
  {
    stream: z.string('stream must be given once').optional(),
    state: z
      .enum(['recording', 'finishing', 'complete', 'failed'], 'state must be recording, finishing, complete or failed')
      .optional(),
    ...pageQuery('the id of a recording'),
  },
  'the query may have stream, state, limit and after',
);

const TYPES = { mp4: 'video/mp4', flv: 'video/x-flv' } as const;

/** A page of a video asks for its recording at once, while it gets its index. Milliseconds. */
const MAX_WAIT_MS = 10_000;

/** Recordings as REST shows them. To be registered below `/api/v1`. */
export const recordingsRoutes =
  ({ recorders, authorizer }: RecordingsRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { recordings, posters } = recorders;
    await app.register(fastifyStatic, { root: recordings.folder, serve: false });
    const find = async (request: FastifyRequest, action: Action): Promise<Recording> => {
      const { id } = request.params as { readonly id: string };
      return authorized(recordings.get(id), request, action, authorizer);
    };

    app.get('/recordings', READ, async (request): Promise<RecordingPageView> => {
      const query = QuerySchema.safeParse(request.query);
      if (!query.success)
        throw new GatewayError('INVALID_REQUEST', `${query.error.issues.map(({ message }) => message).join('; ')}.`);
      const { stream, state, limit, after } = query.data;
      const principal = principalOf(request);
      const visible = recordings.list({ stream, state }).filter((one) => mayUseStream(principal, one.stream));
      const from = after === undefined ? 0 : visible.findIndex(({ id }) => id === after) + 1;
      if (after !== undefined && from === 0)
        throw new GatewayError('INVALID_REQUEST', 'after must be the id of a recording in the list.');
      const page = visible.slice(from, from + limit);
      const isLast = from + limit >= visible.length;
      return { recordings: page.map(recordingView), next: isLast ? null : page.at(-1)!.id };
    });
    app.get('/recordings/:id', READ_ONE, async (request) => recordingView(await find(request, 'read')));
    app.get('/recordings/:id/file', READ_MEDIA, async (request, reply) =>
      sendFile(await find(request, 'read'), recorders, request, reply),
    );
    app.get('/recordings/:id/poster.jpg', READ_MEDIA, async (request, reply) => {
      const image = await posters.get(await find(request, 'read'));
      // A poster never changes.
      reply.header('cache-control', 'private, max-age=86400');
      return reply.type('image/jpeg').send(image);
    });
    app.delete('/recordings/:id', DELETE_ONE, async (request, reply) => {
      await recordings.delete((await find(request, 'control')).id);
      return reply.code(204).send();
    });
  };

/** WCS's path of recordings, which pages play from. To be registered at the root. */
export const clientRecordsRoutes =
  ({ recorders, authorizer }: RecordingsRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { recordings } = recorders;
    await app.register(fastifyStatic, { root: recordings.folder, serve: false });
    // A video element cannot send headers.
    guardRoutes(app, authorizer, 'rest', queryCredentials);
    app.get('/client/records/:name', PLAY_ONE, async (request, reply) => {
      const { name } = request.params as { readonly name: string };
      return sendFile(
        await authorized(recordings.byFile(name), request, 'play', authorizer),
        recorders,
        request,
        reply,
      );
    });
  };

async function authorized(
  recording: Recording,
  request: FastifyRequest,
  action: Action,
  authorizer: Authorizer,
): Promise<Recording> {
  await authorizer.authorize(principalOf(request), action, { stream: recording.stream });
  return recording;
}

async function sendFile(
  recording: Recording,
  { recordings, uploads }: RecordingsRoutesOptions['recorders'],
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { id, file } = recording;
  const patience = Promise.withResolvers<void>();
  const timer = setTimeout(patience.resolve, MAX_WAIT_MS);
  await Promise.race([recordings.finished(id), patience.promise]);
  clearTimeout(timer);
  // A running recording grows, and a finished one was another file before.
  reply.header('cache-control', 'private, no-cache');
  if (recording.storage?.local === false) return sendStored(recording, uploads, request, reply);
  return reply.sendFile(file, recordings.folder, { cacheControl: false });
}

/** The file is in the bucket alone. */
async function sendStored(
  recording: Recording,
  uploads: Uploads,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const stored = await uploads.read(recording, request.headers.range, request.method === 'HEAD' ? 'HEAD' : 'GET');
  if ('redirect' in stored) return reply.redirect(stored.redirect, 302);
  // Without a stream, the answer to HEAD would have the length of nothing.
  const { status, headers, body = Readable.from([]) } = stored.object;
  return reply.code(status).headers(headers).type(TYPES[recording.format]).send(body);
}

function recordingView(recording: Recording): RecordingView {
  const { reasonCode = '', reason = '', endedAt, storage, ...others } = recording;
  return {
    ...others,
    ...(endedAt !== undefined && { endedAt }),
    ...{ reasonCode, reason },
    ...(storage && { storage: storageView(storage) }),
  };
}

function storageView(storage: RecordingStorage): NonNullable<RecordingView['storage']> {
  const { state, bucket, key, uploadedBytes, storedAt, local, reasonCode = '', reason = '' } = storage;
  return { state, bucket, key, uploadedBytes, ...(storedAt !== undefined && { storedAt }), local, reasonCode, reason };
}
