import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { PlatformCatalogue } from '../../outputs/push/platforms/catalogue.ts';
import type { SavedPushes } from '../../outputs/push/saved/saved-pushes.ts';
import type {
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
} from '../../outputs/push/transponder-control.ts';
import { principalOf } from '../authorize.ts';
import { clientGone } from '../client-gone.ts';
import { publicView } from '../ops/public-view.ts';
import { readBodies } from './body-reader.ts';
import { authorizePush, SavedStarts } from './saved-starts.ts';
import {
  FilterSchema,
  NothingSchema,
  SoundOnSchema,
  StartSchema,
  TerminateSchema,
  TransponderIdSchema,
} from './schemas.ts';
import { StandbySwitchSchema } from './standby-schemas.ts';
import { startRequest } from './start-request.ts';
import type { TransponderView } from '../../views/push-view.ts';

const PUSH = { config: { action: 'push', resourceInBody: true } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

export interface PushRoutesOptions {
  readonly control: TransponderControl;
  readonly platforms: PlatformCatalogue;
  readonly savedPushes: SavedPushes;
  readonly authorizer: Authorizer;
  readonly streamNamePrefix: string;
  /** Of pushes whose request leaves something open. */
  readonly standbyDefaults: StandbyRequest;
  readonly logger: Logger;
}

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  ({
    control,
    platforms,
    savedPushes,
    authorizer,
    streamNamePrefix,
    standbyDefaults,
    logger,
  }: PushRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, logger);
    /** Controls one transponder. */
    const controlOne = <T extends typeof TransponderIdSchema | typeof SoundOnSchema | typeof StandbySwitchSchema>(
      schema: T,
      act: (body: z.output<T>, reply: FastifyReply) => Promise<void> | void,
    ) =>
      answerVoid(schema, async (body, request, reply) => {
        const [view] = control.find({ mediaSessionId: body.mediaSessionId });
        await authorizer.authorize(principalOf(request), 'control', { stream: view!.sourceStreamName });
        await act(body, reply);
      });
    /**
     * The pushes of the streams that the client may use. URLs contain stream keys, so only clients that may push see
     * them.
     */
    function find(request: FastifyRequest, filter: TransponderFilter): TransponderView[] {
      const principal = principalOf(request);
      const views = control.find(filter).filter(({ sourceStreamName }) => mayUseStream(principal, sourceStreamName));
      if (views.length === 0) throw notFound();
      return principal.actions.has('push') ? views.map(show) : views.map((view) => publicView(view, streamNamePrefix));
    }
    /** For clients that may push. What was saved is not shown again. */
    const show = (view: TransponderView): TransponderView =>
      view.destinationId === undefined ? view : publicView(view, streamNamePrefix);
    const saved = new SavedStarts({ pushes: savedPushes, authorizer, show });

    /** A push that the client may start. */
    async function requestOf(body: z.output<typeof StartSchema>, request: FastifyRequest): Promise<StartRequest> {
      if (body.destinationId !== undefined) return saved.one(request, body);
      const { destinationId: _, groupId: __, check: ___, ...others } = body;
      const start = startRequest(others, { platforms, standbyDefaults });
      await authorizePush(authorizer, request, start);
      return start;
    }

    app.post('/push/startup', PUSH, async (request, reply) => {
      const body = read(StartSchema, request, reply);
      if (body.groupId !== undefined) return saved.startGroup(request, reply, body);
      const start = await requestOf(body, request);
      return show(await control.start(start, { requestId: request.id, signal: clientGone(reply) }));
    });
    app.post('/push/check', PUSH, async (request, reply) => {
      const body = read(StartSchema, request, reply);
      const signal = clientGone(reply);
      try {
        if (body.groupId !== undefined) return await saved.checkGroup(request, reply, body);
        return await control.check(await requestOf(body, request), signal);
      } catch (error) {
        // Nobody reads this answer.
        if (signal.aborted) throw new GatewayError('REQUEST_TIMEOUT', 'The client has closed the connection.');
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
      answerVoid(TerminateSchema, async ({ mediaSessionId, streamName, groupId }, request) => {
        const found =
          mediaSessionId === undefined
            ? control.find({ streamName: streamName! }).filter((view) => view.groupId === groupId)
            : control.find({ mediaSessionId });
        if (found.length === 0) throw notFound();
        for (const { sourceStreamName: stream } of found)
          await authorizer.authorize(principalOf(request), 'control', { stream });
        await Promise.all(found.map((view) => control.terminate(view.mediaSessionId)));
      }),
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
      controlOne(SoundOnSchema, ({ mediaSessionId, soundFile, loop }, reply) =>
        control.soundOn(mediaSessionId, soundFile, loop ?? false, clientGone(reply)),
      ),
    );
    app.post(
      '/push/sound_off',
      CONTROL,
      controlOne(TransponderIdSchema, ({ mediaSessionId }) => control.soundOff(mediaSessionId)),
    );
    app.post(
      '/push/standby',
      CONTROL,
      controlOne(StandbySwitchSchema, ({ mediaSessionId, on, ...picture }) =>
        control.standby(mediaSessionId, on, picture),
      ),
    );
  };

const notFound = (): GatewayError => new GatewayError('TRANSPONDER_NOT_FOUND', 'No transponder matches.');
