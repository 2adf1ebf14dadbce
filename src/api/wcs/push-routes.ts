import type { FastifyPluginAsync } from 'fastify';
import type { Logger } from '../../observe/logger.ts';
import type { TransponderControl } from '../../outputs/push/transponder-view.ts';
import { readBodies } from './body-reader.ts';
import { FilterSchema, NothingSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from './schemas.ts';

const PUSH = { config: { action: 'push' } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control' } } as const;

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  (control: TransponderControl, logger: Logger): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, logger);

    app.post('/push/startup', PUSH, async (request, reply) =>
      control.start(withoutZeros(read(StartSchema, request, reply))),
    );
    app.post('/push/find', READ, async (request, reply) => control.find(read(FilterSchema, request, reply)));
    app.route({
      ...READ,
      method: ['GET', 'POST'],
      url: '/push/find_all',
      handler: async (request, reply) => control.find(read(NothingSchema, request, reply)),
    });
    app.post(
      '/push/terminate',
      CONTROL,
      answerVoid(TransponderIdSchema, ({ mediaSessionId }) => control.terminate(mediaSessionId)),
    );
    app.post(
      '/push/mute',
      CONTROL,
      answerVoid(TransponderIdSchema, ({ mediaSessionId }) => control.mute(mediaSessionId)),
    );
    app.post(
      '/push/unmute',
      CONTROL,
      answerVoid(TransponderIdSchema, ({ mediaSessionId }) => control.unmute(mediaSessionId)),
    );
    app.post(
      '/push/sound_on',
      CONTROL,
      answerVoid(SoundOnSchema, ({ mediaSessionId, soundFile, loop }) =>
        control.soundOn(mediaSessionId, soundFile, loop ?? false),
      ),
    );
    app.post(
      '/push/sound_off',
      CONTROL,
      answerVoid(TransponderIdSchema, ({ mediaSessionId }) => control.soundOff(mediaSessionId)),
    );
  };

/** 0 means "not set" for every number of a start request. */
const withoutZeros = <T extends object>(request: T): T =>
  Object.fromEntries(Object.entries(request).filter(([, value]) => value !== 0)) as T;
