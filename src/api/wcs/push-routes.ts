import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { TransponderControl, TransponderFilter, TransponderView } from '../../outputs/push/transponder-view.ts';
import { principalOf } from '../authorize.ts';
import { publicView } from '../ops/public-view.ts';
import { readBodies } from './body-reader.ts';
import {
  FilterSchema,
  NothingSchema,
  SoundOnSchema,
  StartSchema,
  TransponderIdSchema,
  withoutZeros,
} from './schemas.ts';

const PUSH = { config: { action: 'push', resourceInBody: true } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

export interface PushRoutesOptions {
  readonly control: TransponderControl;
  readonly authorizer: Authorizer;
  readonly streamNamePrefix: string;
  readonly logger: Logger;
}

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  ({ control, authorizer, streamNamePrefix, logger }: PushRoutesOptions): FastifyPluginAsync =>
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

    app.post('/push/startup', PUSH, async (request, reply) => {
      const start = withoutZeros(read(StartSchema, request, reply));
      const { streamName: stream, rtmpUrl } = start;
      await authorizer.authorize(principalOf(request), 'push', { stream, destination: hostOfRtmpUrl(rtmpUrl) });
      return control.start(start);
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
