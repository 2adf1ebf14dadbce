import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { TransponderControl } from '../../outputs/push/transponder-view.ts';
import { FilterSchema, NothingSchema, parseBody, SoundOnSchema, StartSchema, TransponderIdSchema } from './schemas.ts';

/** WCS's `/push/*`: see docs/rest.md. To be registered below `/rest-api`. */
export const pushRoutes =
  (control: TransponderControl): FastifyPluginAsync =>
  async (app) => {
    // What is not there has no type, but clients name one: curl -d '', fetch with an empty text.
    app.addHook('onRequest', async ({ headers }) => {
      if (headers['content-length'] === '0') delete headers['content-type'];
    });

    /** WCS's "void": 200 and an empty body. */
    const answerVoid =
      (act: (body: unknown) => Promise<void> | void) =>
      async ({ body }: FastifyRequest, reply: FastifyReply) => {
        await act(body);
        return reply.code(200).send();
      };
    const idOf = (body: unknown): string => parseBody(TransponderIdSchema, body).mediaSessionId;

    app.post('/push/startup', async ({ body }) => control.start(parseBody(StartSchema, body)));
    app.post('/push/find', async ({ body }) => control.find(parseBody(FilterSchema, body)));
    app.route({
      method: ['GET', 'POST'],
      url: '/push/find_all',
      handler: async ({ body }) => control.find(parseBody(NothingSchema, body)),
    });
    app.post(
      '/push/terminate',
      answerVoid((body) => control.terminate(idOf(body))),
    );
    app.post(
      '/push/mute',
      answerVoid((body) => control.mute(idOf(body))),
    );
    app.post(
      '/push/unmute',
      answerVoid((body) => control.unmute(idOf(body))),
    );
    app.post(
      '/push/sound_on',
      answerVoid((body) => {
        const { mediaSessionId, soundFile, loop } = parseBody(SoundOnSchema, body);
        return control.soundOn(mediaSessionId, soundFile, loop ?? false);
      }),
    );
    app.post(
      '/push/sound_off',
      answerVoid((body) => control.soundOff(idOf(body))),
    );
  };
