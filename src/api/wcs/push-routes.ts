import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Logger } from '../../observe/logger.ts';
import type { TransponderControl } from '../../outputs/push/transponder-view.ts';
import { IgnoredFields } from './ignored-fields.ts';
import { parseBody, type BodySchema } from './parse-body.ts';
import { FilterSchema, NothingSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from './schemas.ts';

const PUSH = { config: { action: 'push' } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control' } } as const;

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  (control: TransponderControl, logger: Logger): FastifyPluginAsync =>
  async (app) => {
    const ignoredFields = new IgnoredFields(logger);

    // Clients name a type for an empty body too: curl -d '', fetch with an empty text.
    app.addHook('onRequest', async ({ headers }) => {
      if (headers['content-length'] === '0') delete headers['content-type'];
    });

    function read<T extends BodySchema>(schema: T, request: FastifyRequest, reply: FastifyReply): z.output<T> {
      const { value, ignored } = parseBody(schema, request.body);
      ignoredFields.report(ignored, request, reply);
      return value;
    }
    /** WCS's "void": 200 and an empty body. */
    const answerVoid =
      <T extends BodySchema>(schema: T, act: (body: z.output<T>) => Promise<void> | void) =>
      async (request: FastifyRequest, reply: FastifyReply) => {
        await act(read(schema, request, reply));
        return reply.code(200).send();
      };

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
