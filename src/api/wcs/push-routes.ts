import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl, namingField } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { PlatformCatalogue } from '../../outputs/push/platforms/catalogue.ts';
import type {
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
  TransponderView,
} from '../../outputs/push/transponder-view.ts';
import { principalOf } from '../authorize.ts';
import { clientGone } from '../client-gone.ts';
import { publicView } from '../ops/public-view.ts';
import { readBodies } from './body-reader.ts';
import { FilterSchema, NothingSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from './schemas.ts';
import { StandbySwitchSchema } from './standby-schemas.ts';
import { startRequest } from './start-request.ts';

const PUSH = { config: { action: 'push', resourceInBody: true } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

export interface PushRoutesOptions {
  readonly control: TransponderControl;
  readonly platforms: PlatformCatalogue;
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
      if (views.length === 0) throw new GatewayError('TRANSPONDER_NOT_FOUND', 'No transponder matches.');
      return principal.actions.has('push') ? views : views.map((view) => publicView(view, streamNamePrefix));
    }

    /** A push that the client may start. */
    async function readStart(request: FastifyRequest, reply: FastifyReply): Promise<StartRequest> {
      const start = startRequest(read(StartSchema, request, reply), { platforms, standbyDefaults });
      const { streamName: stream, rtmpUrl, backupUrl } = start;
      const destinations = [hostOfRtmpUrl(rtmpUrl)];
      if (backupUrl !== undefined) destinations.push(namingField('backupUrl', () => hostOfRtmpUrl(backupUrl)));
      for (const destination of destinations)
        await authorizer.authorize(principalOf(request), 'push', { stream, destination });
      return start;
    }

    app.post('/push/startup', PUSH, async (request, reply) =>
      control.start(await readStart(request, reply), { requestId: request.id, signal: clientGone(reply) }),
    );
    app.post('/push/check', PUSH, async (request, reply) => {
      const start = await readStart(request, reply);
      const signal = clientGone(reply);
      try {
        return await control.check(start, signal);
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
