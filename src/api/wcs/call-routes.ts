import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import { DEFAULT_APPLICATION } from '../../sessions/client-sessions.ts';
import type { CallRequest } from '../../sip/call/call-request.ts';
import { withoutDestination, type CallView } from '../../sip/call/call-view.ts';
import type { CallControl } from '../../sip/call/calls.ts';
import { principalOf } from '../authorize.ts';
import { readBodies } from './body-reader.ts';
import {
  CallFilterSchema,
  CallIdSchema,
  CallStartSchema,
  DtmfSchema,
  EndInjectionSchema,
  InjectSoundSchema,
  InjectStreamSchema,
  RestCallSchema,
} from './call-schemas.ts';
import { NothingSchema } from './schemas.ts';

const CALL = { config: { action: 'call', resourceInBody: true } } as const;
const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control', resourceInBody: true } } as const;

export interface CallRoutesOptions {
  /** Undefined: calls are off. */
  readonly calls?: CallControl | undefined;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** What the routes of both generations do. */
function callHandlers({ calls, authorizer }: CallRoutesOptions) {
  const control = (): CallControl => {
    if (calls) return calls;
    throw new GatewayError(
      'SIP_DISABLED',
      'Calls are off. The operator of the gateway switches them on with sip=true.',
    );
  };

  const mayControl = async (request: FastifyRequest, callId: string): Promise<CallControl> => {
    const view = control()
      .list()
      .find((one) => one.callId === callId);
    if (!view) throw new GatewayError('CALL_NOT_FOUND', 'There is no such call, or it is over.');
    await authorizer.authorize(principalOf(request), 'control', { stream: view.streamName });
    return control();
  };

  return {
    /** Checks the rights: who may publish may not telephone by that. */
    async start(request: FastifyRequest, body: z.output<typeof CallStartSchema>): Promise<void> {
      const principal = principalOf(request);
      const { toStream, rtmpUrl, rtmpStream, hasAudio = true, hasVideo = false } = body;
      const streamName = toStream ?? rtmpStream;
      if (!hasAudio && !hasVideo)
        throw new GatewayError('INVALID_REQUEST', 'hasAudio and hasVideo are both false: tick one of them.');
      if (streamName === undefined)
        throw new GatewayError(
          'INVALID_REQUEST',
          'toStream is missing: name the stream, or send rtmpUrl and rtmpStream.',
        );
      if (rtmpStream !== undefined && rtmpUrl === undefined && toStream === undefined)
        throw new GatewayError(
          'INVALID_REQUEST',
          'rtmpUrl is missing: rtmpStream names a push. Send toStream without a push.',
        );
      const destination = rtmpUrl === undefined ? undefined : hostOfRtmpUrl(rtmpUrl);
      await authorizer.authorize(principal, 'call', { stream: streamName });
      // Asked again when the call is queued: the grants say how long they last.
      if (destination) await authorizer.authorize(principal, 'push', { stream: streamName, destination });
      const { sipRegisterRequired = false, appKey = DEFAULT_APPLICATION } = body;
      const call: CallRequest = {
        ...body,
        streamName,
        hasAudio,
        hasVideo,
        sipRegisterRequired,
        appKey,
        principalId: principal.id,
        requestId: request.id,
        clientAddress: request.ip,
        rights: {
          publish: () => authorizer.authorize(principal, 'publish', { stream: streamName }),
          push: (url, stream) => authorizer.authorize(principal, 'push', { stream, destination: hostOfRtmpUrl(url) }),
        },
      };
      await control().start(call);
    },
    /** Calls of streams that the client may use. */
    find(request: FastifyRequest, filter: z.output<typeof CallFilterSchema>): CallView[] {
      const principal = principalOf(request);
      const views = control()
        .list()
        .filter(({ streamName }) => mayUseStream(principal, streamName))
        .filter((view) =>
          (['callId', 'callee', 'rtmpUrl', 'status'] as const).every(
            (field) => filter[field] === undefined || filter[field] === view[field],
          ),
        );
      if (views.length === 0) throw new GatewayError('CALL_NOT_FOUND', 'No call matches.');
      return principal.actions.has('push') ? views : views.map(withoutDestination);
    },
    mayControl,
    async terminate({ callId }: z.output<typeof CallIdSchema>, request: FastifyRequest): Promise<void> {
      (await mayControl(request, callId)).terminate(callId);
    },
    async sendDtmf(
      { callId, dtmf, type = 'RFC2833' }: z.output<typeof DtmfSchema>,
      request: FastifyRequest,
    ): Promise<void> {
      (await mayControl(request, callId)).sendDtmf(callId, dtmf, type);
    },
  };
}

/** WCS's `/call/*`: see docs/sip.md. To be registered below `/rest-api`. */
export const callRoutes =
  (options: CallRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, options.logger);
    const { start, find, mayControl, terminate, sendDtmf } = callHandlers(options);
    const { authorizer } = options;

    app.post(
      '/call/startup',
      CALL,
      answerVoid(CallStartSchema, async (body, request) => start(request, body)),
    );
    app.post('/call/find', READ, async (request, reply) => find(request, read(CallFilterSchema, request, reply)));
    app.route({
      ...READ,
      method: ['GET', 'POST'],
      url: '/call/find_all',
      handler: async (request, reply) => find(request, read(NothingSchema, request, reply)),
    });
    app.post('/call/terminate', CONTROL, answerVoid(CallIdSchema, terminate));
    app.post('/call/send_dtmf', CONTROL, answerVoid(DtmfSchema, sendDtmf));
    app.post(
      '/call/inject_sound',
      CONTROL,
      answerVoid(InjectSoundSchema, async ({ callId, fileName }, request) =>
        (await mayControl(request, callId)).injectSound(callId, fileName),
      ),
    );
    const injectStream: Handler = answerVoid(InjectStreamSchema, async ({ callId, streamName }, request) => {
      const calls = await mayControl(request, callId);
      await authorizer.authorize(principalOf(request), 'play', { stream: streamName });
      await calls.injectStream(callId, streamName);
    });
    for (const url of ['/call/inject_stream', '/call/inject_stream/startup']) app.post(url, CONTROL, injectStream);
    app.post(
      '/call/inject_stream/terminate',
      CONTROL,
      answerVoid(EndInjectionSchema, async ({ callId }, request) =>
        (await mayControl(request, callId)).endInjection(callId),
      ),
    );
  };

/** The calls of WCS's oldest pages. To be registered at the root. */
export const restCallRoutes =
  (options: CallRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, options.logger);
    const { start, find, terminate, sendDtmf } = callHandlers(options);

    app.post(
      '/call',
      CALL,
      answerVoid(RestCallSchema, async ({ connection, ...body }, request) =>
        start(request, { ...body, ...connection }),
      ),
    );
    // The pages show any text that is not JSON.
    app.post('/getStatus', READ, async (request, reply) => {
      const [view] = find(request, read(CallIdSchema, request, reply));
      return reply.type('text/plain; charset=utf-8').send(view!.status);
    });
    app.post('/getCalls', READ, async (request, reply) => find(request, read(NothingSchema, request, reply)));
    app.post('/sendDTMF', CONTROL, answerVoid(DtmfSchema, sendDtmf));
    app.post('/hangup', CONTROL, answerVoid(CallIdSchema, terminate));
  };
