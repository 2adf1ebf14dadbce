import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { GatewayError } from '../../errors.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { principalOf } from '../authorize.ts';

/** Encodes the current frame of a stream as an image. `width` in pixels; unset: the frame's. */
export type TakeSnapshot = (
  stream: LiveStream,
  form: { readonly format: 'jpeg' | 'png'; readonly width?: number },
) => Promise<{ readonly image: Buffer; readonly takenAt: Date }>;

export interface SnapshotRoutesOptions {
  readonly registry: StreamRegistry;
  readonly authorizer: Authorizer;
  readonly takeSnapshot: TakeSnapshot;
}

/** The name of the stream is in the path, and is checked by the handler. */
const READ = { config: { action: 'read', resourceInBody: true, embeddable: true } } as const;

const [MIN_WIDTH, MAX_WIDTH] = [16, 3840];
const rule = `width must be a whole number from ${MIN_WIDTH} to ${MAX_WIDTH}`;
const QuerySchema = z.strictObject(
  {
    width: z
      .string(rule)
      .regex(/^\d{2,4}$/, rule)
      .transform(Number)
      .refine((width) => width >= MIN_WIDTH && width <= MAX_WIDTH, rule)
      .optional(),
    /** Read by the guard. */
    accessToken: z.unknown().optional(),
    /** Makes the URL another one, for pages that show the image again. */
    t: z.unknown().optional(),
  },
  'the query may have width and t',
);

const FORMATS = { jpg: 'jpeg', png: 'png' } as const;

/** Snapshots of streams as images. To be registered below `/api/v1`. */
export const snapshotRoutes =
  ({ registry, authorizer, takeSnapshot }: SnapshotRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    for (const extension of ['jpg', 'png'] as const)
      app.get(`/streams/:name/snapshot.${extension}`, READ, async (request, reply) => {
        const format = FORMATS[extension];
        const width = readWidth(request);
        const { name } = request.params as { readonly name: string };
        await authorizer.authorize(principalOf(request), 'read', { stream: name });
        const stream = registry.find(name);
        if (!stream?.publisher)
          throw new GatewayError('STREAM_NOT_FOUND', 'The stream has no publisher at the moment.');
        const { image, takenAt } = await takeSnapshot(stream, { format, ...(width !== undefined && { width }) });
        return reply
          .type(`image/${format}`)
          .header('cache-control', 'private, no-cache')
          .header('x-content-type-options', 'nosniff')
          .header('last-modified', takenAt.toUTCString())
          .header('x-frame-time', takenAt.toISOString())
          .send(image);
      });
  };

/** @throws {GatewayError} INVALID_REQUEST */
function readWidth({ query }: FastifyRequest): number | undefined {
  const parsed = QuerySchema.safeParse(query);
  if (parsed.success) return parsed.data.width;
  throw new GatewayError('INVALID_REQUEST', `${parsed.error.issues.map(({ message }) => message).join('; ')}.`);
}
