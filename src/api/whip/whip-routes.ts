import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import { parseIceFragment } from '../../webrtc/sdp-fragment.ts';
import { createAccessCheck } from '../access.ts';
import { acceptText, registerResource } from './whip-http.ts';
import { iceServerLinks } from './whip-link-header.ts';
import { WhipPublication, type WhipContext } from './whip-publication.ts';
import {
  checkIfMatch,
  headerCredentials,
  queryCredentials,
  readBody,
  readQuery,
  readStreamName,
  resumeKey,
  SDP,
  SDP_FRAGMENT,
} from './whip-requests.ts';
import { SessionStore } from './whip-sessions.ts';

export interface WhipRoutesOptions extends WhipContext {
  readonly settings: Pick<Settings, 'rest_api_key' | 'allow_anonymous' | 'ice_servers'>;
}

/**
 * WHIP ingest, see docs/whip.md: `/whip/{stream}` by RFC 9725, and `/{app}/whip/endpoint/{stream}` as Red5 Pro's clients expect it.
 * To be registered at the root.
 */
export function whipRoutes(options: WhipRoutesOptions): FastifyPluginAsync {
  // Outside the plug-in: HTTP and HTTPS are two listeners of the same sessions.
  const strict = new SessionStore<WhipPublication>();
  const red5 = new SessionStore<WhipPublication>();
  return async (app) => {
    acceptText(app, options.logger);
    app.addHook('onClose', async () => {
      for (const sessions of [strict, red5])
        sessions.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.'));
    });
    await app.register(strictRoutes(options, strict));
    await app.register(red5Routes(options, red5));
  };
}

/** RFC 9725 by the letter. */
const strictRoutes =
  (options: WhipRoutesOptions, sessions: SessionStore<WhipPublication>): FastifyPluginAsync =>
  async (app) => {
    const isAllowed = createAccessCheck(options.settings);
    const iceLinks = iceServerLinks(options.settings.ice_servers);

    registerResource(app, '/whip/:stream', {
      isAllowed,
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const publication = await publish(options, sessions, request, resumeKey(headerCredentials(request)));
        reply.header('ETag', publication.etag);
        return created(
          reply,
          publication.answerSdp,
          `/whip/${encodeURIComponent(publication.streamName)}/${publication.id}`,
          iceLinks,
        );
      },
    });
    registerResource(app, '/whip/:stream/:id', {
      isAllowed,
      find: ({ params }) => sessions.get(params),
      accepts: { 'Accept-Patch': SDP_FRAGMENT },
      patch: async (request, reply) => {
        const publication = sessions.get(request.params);
        return patch(publication, request, reply);
      },
      delete: async ({ params }, reply) => {
        sessions.get(params).close(stopped());
        return reply.code(200).send();
      },
    });
  };

/**
 * As Red5 Pro's clients expect it: no entity tags, credentials in the query. They drop the query of `Location`, so that the session's
 * id, which nobody can guess, is all that they show when they come back.
 */
const red5Routes =
  (options: WhipRoutesOptions, sessions: SessionStore<WhipPublication>): FastifyPluginAsync =>
  async (app) => {
    const isAllowed = createAccessCheck(options.settings, (request) => {
      const { key, password } = queryCredentials(request);
      return key ?? password;
    });
    const iceLinks = iceServerLinks(options.settings.ice_servers);

    registerResource(app, '/:app/whip/endpoint/:stream', {
      isAllowed,
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const publication = await publish(options, sessions, request, resumeKey(queryCredentials(request)));
        const { app: application } = request.params as { app: string };
        return created(
          reply,
          publication.answerSdp,
          `/${encodeURIComponent(application)}/whip/resource/${encodeURIComponent(publication.streamName)}/${publication.id}`,
          iceLinks,
        );
      },
    });
    registerResource(app, '/:app/whip/resource/:stream/:id', {
      isAllowed: () => undefined,
      find: ({ params }) => sessions.get(params),
      accepts: { 'Accept-Patch': SDP_FRAGMENT },
      patch: async ({ params }, reply) => {
        sessions.get(params);
        // Candidates are of no use to an ICE-lite server, and these clients restart by publishing anew.
        return reply.code(204).send();
      },
      delete: async ({ params }, reply) => {
        sessions.get(params).close(stopped());
        return reply.code(200).send();
      },
    });
  };

async function publish(
  context: WhipContext,
  sessions: SessionStore<WhipPublication>,
  request: FastifyRequest,
  key: string | undefined,
): Promise<WhipPublication> {
  const offerSdp = readBody(request, SDP);
  const publication = await WhipPublication.create(context, {
    streamName: readStreamName(request),
    offerSdp,
    resumeKey: key,
    clientAddress: request.ip,
    ...readQuery(request),
  });
  sessions.add(publication);
  publication.once('over', () => sessions.delete(publication));
  return publication;
}

/** A relative `Location` is right behind every proxy that leaves paths as they are. */
function created(reply: FastifyReply, answerSdp: string, location: string, iceLinks: readonly string[]): FastifyReply {
  if (iceLinks.length > 0) reply.header('Link', iceLinks);
  return reply
    .code(201)
    .headers({ Location: location, 'Accept-Patch': SDP_FRAGMENT, 'Cache-Control': 'no-store' })
    .type(SDP)
    .send(answerSdp);
}

/**
 * RFC 9725, 4.3: candidates of the present ICE session, or the credentials of a new one. Preconditions come last (RFC 9110, 13.2.1):
 * a request that is wrong in itself is told so.
 *
 * @throws {GatewayError} UNSUPPORTED_MEDIA_TYPE, INVALID_SDP, PRECONDITION_REQUIRED, PRECONDITION_FAILED, SESSION_NOT_FOUND
 */
async function patch(
  publication: WhipPublication,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const fragment = parseIceFragment(readBody(request, SDP_FRAGMENT));
  const precondition = checkIfMatch(request.headers['if-match'], publication.etag);
  if (precondition === 'none')
    throw new GatewayError(
      'PRECONDITION_REQUIRED',
      'Send the ETag of the last answer as If-Match, or "If-Match: *" for an ICE restart.',
    );
  if (precondition === 'fails')
    throw new GatewayError('PRECONDITION_FAILED', 'The ETag in If-Match is not that of the present ICE session.');
  if (!publication.restartable)
    throw new GatewayError(
      'SESSION_NOT_FOUND',
      'The connection of this session is gone. Publish again: within publisher_resume_window_ms the stream goes on.',
    );
  if (publication.isCurrent(fragment)) return reply.code(204).send();
  if (precondition !== 'any')
    throw new GatewayError(
      'INVALID_SDP',
      'The credentials of the SDP fragment are not those of this ICE session. For an ICE restart send "If-Match: *".',
    );
  const answer = await publication.restartIce(fragment);
  return reply.code(200).header('ETag', publication.etag).type(SDP_FRAGMENT).send(answer);
}

const stopped = (): GatewayError => new GatewayError('STREAM_STOPPED', 'The publisher stopped.');
