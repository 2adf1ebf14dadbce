import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { PlatformCatalogue } from '../../outputs/push/platforms/catalogue.ts';
import type {
  StartRequest,
  TransponderControl,
  TransponderFilter,
  TransponderView,
} from '../../outputs/push/transponder-view.ts';
import { principalOf } from '../authorize.ts';
import { publicView } from '../ops/public-view.ts';
import { readBodies } from './body-reader.ts';
import { FilterSchema, NothingSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from './schemas.ts';

const PUSH = { config: { action: 'push', resourceInBody: true } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

export interface PushRoutesOptions {
  readonly control: TransponderControl;
  readonly platforms: PlatformCatalogue;
  readonly authorizer: Authorizer;
  readonly streamNamePrefix: string;
  readonly logger: Logger;
}

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  ({ control, platforms, authorizer, streamNamePrefix, logger }: PushRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, logger);
    /** Controls one transponder. */
    const controlOne = <T extends typeof TransponderIdSchema | typeof SoundOnSchema>(
      schema: T,
      act: (body: z.output<T>) => Promise<void> | void,
    ) =>
      answerVoid(schema, async (body, request) => {
        const [view] = control.find({ mediaSessionId: body.mediaSessionId });
        await authorizer.authorize(principalOf(request), 'control', { stream: view!.sourceStreamName });
        await act(body);
      });
    /** The pushes of the streams that the client may use. URLs contain stream keys, so only clients that may push see them. */
    function find(request: FastifyRequest, filter: TransponderFilter): TransponderView[] {
      const principal = principalOf(request);
      const views = control.find(filter).filter(({ sourceStreamName }) => mayUseStream(principal, sourceStreamName));
      if (views.length === 0) throw new GatewayError('TRANSPONDER_NOT_FOUND', 'No transponder matches.');
      return principal.actions.has('push') ? views : views.map((view) => publicView(view, streamNamePrefix));
    }

    /** A push that the client may start. */
    async function readStart(request: FastifyRequest, reply: FastifyReply): Promise<StartRequest> {
      const start = withUrls(withoutZeros(read(StartSchema, request, reply)), platforms);
      const { streamName: stream, rtmpUrl, backupUrl } = start;
      for (const url of [rtmpUrl, ...(backupUrl === undefined ? [] : [backupUrl])])
        await authorizer.authorize(principalOf(request), 'push', { stream, destination: hostOfRtmpUrl(url) });
      return start;
    }

    app.post('/push/startup', PUSH, async (request, reply) => control.start(await readStart(request, reply)));
    app.post('/push/check', PUSH, async (request, reply) => {
      const start = await readStart(request, reply);
      const left = new AbortController();
      reply.raw.once('close', () => left.abort());
      try {
        return await control.check(start, left.signal);
      } catch (error) {
        // Nobody reads this answer.
        if (left.signal.aborted) throw new GatewayError('REQUEST_TIMEOUT', 'The client has closed the connection.');
        throw error;
      }
    });
    app.post('/push/find', READ, async (request, reply) => find(request, read(FilterSchema, request, reply)));
    app.route({
      ...READ,
      method: ['GET', 'POST'],
      url: '/push/find_all',
      handler: async (request, reply) => find(request, read(NothingSchema, request, reply)),
    });
    app.post(
      '/push/terminate',
      CONTROL,
      controlOne(TransponderIdSchema, ({ mediaSessionId }) => control.terminate(mediaSessionId)),
    );
    app.post(
      '/push/mute',
      CONTROL,
      controlOne(TransponderIdSchema, ({ mediaSessionId }) => control.mute(mediaSessionId)),
    );
    app.post(
      '/push/unmute',
      CONTROL,
      controlOne(TransponderIdSchema, ({ mediaSessionId }) => control.unmute(mediaSessionId)),
    );
    app.post(
      '/push/sound_on',
      CONTROL,
      controlOne(SoundOnSchema, ({ mediaSessionId, soundFile, loop }) =>
        control.soundOn(mediaSessionId, soundFile, loop ?? false),
      ),
    );
    app.post(
      '/push/sound_off',
      CONTROL,
      controlOne(TransponderIdSchema, ({ mediaSessionId }) => control.soundOff(mediaSessionId)),
    );
  };

/** Puts the URLs of a platform in place of its name and the key. */
function withUrls(
  { streamKey, backup, ...start }: z.output<typeof StartSchema>,
  platforms: PlatformCatalogue,
): StartRequest & { readonly backupUrl?: string } {
  const { platform, rtmpUrl } = start;
  // The schema demands either the URL or both of the others.
  if (platform === undefined || streamKey === undefined) return { ...start, rtmpUrl: rtmpUrl! };
  const urls = platforms.urls({ platform, streamKey, backup });
  return { ...urls, ...start, rtmpUrl: urls.rtmpUrl, rtmpTransponderFullUrl: urls.rtmpTransponderFullUrl };
}

/** 0 means "not set" for every number of a start request. */
const withoutZeros = <T extends object>(request: T): T =>
  Object.fromEntries(Object.entries(request).filter(([, value]) => value !== 0)) as T;
