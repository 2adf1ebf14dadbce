import { randomUUID } from 'node:crypto';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Authorizer } from '../../access/authorizer.ts';
import type { Settings } from '../../config/schema.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import { headerCredentials, principalOf, queryCredentials, requireAction, requireRights } from '../authorize.ts';
import type { Logger } from '../../observe/logger.ts';
import { parseIceFragment } from '../../sessions/ice-fragment.ts';
import type { ClientSessions } from '../../sessions/client-sessions.ts';
import type { Publications } from '../../sessions/publications.ts';
import { acceptText, registerResource } from './whip-http.ts';
import { iceServerLinks } from './whip-link-header.ts';
import { WhipPublication, type WhipPublicationRequest } from './whip-publication.ts';
import {
  checkIfMatch,
  readBody,
  readQuery,
  readStreamName,
  resumeKey,
  SDP,
  SDP_FRAGMENT,
  whipSubject,
} from './whip-requests.ts';
import type { DataDoor } from '../../rooms/doors/data-door.ts';
import { dataClientOf } from './data-client.ts';
import { SessionStore } from './whip-sessions.ts';

export interface WhipRoutesOptions {
  readonly publications: Publications;
  readonly sessions: ClientSessions;
  readonly logger: Logger;
  readonly settings: Pick<Settings, 'ice_servers'>;
  readonly authorizer: Authorizer;
  /** Serves data channels. Without it their messages are dropped. */
  readonly dataDoor?: Pick<DataDoor, 'serve'> | undefined;
}

/**
 * WHIP ingest (docs/whip.md): `/whip/{stream}` by RFC 9725, and `/{app}/whip/endpoint/{stream}` as Red5 Pro's clients
 * expect it. Register it at the root.
 */
export function whipRoutes(options: WhipRoutesOptions): FastifyPluginAsync {
  // Shared by the HTTP and the HTTPS listener.
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

/** Strictly by RFC 9725. */
const strictRoutes =
  (options: WhipRoutesOptions, sessions: SessionStore<WhipPublication>): FastifyPluginAsync =>
  async (app) => {
    const isAllowed = requireAction(options.authorizer, 'whip', 'publish');
    const iceLinks = iceServerLinks(options.settings.ice_servers);

    registerResource(app, '/whip/:stream', {
      isAllowed,
      mayPost: requireRights(options.authorizer, 'whip', 'publish'),
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const publication = await publish(options, sessions, request, resumeKey(headerCredentials(request, 'whip')));
        reply.header('ETag', publication.etag);
        return created(
          reply,
          publication.answerSdp,
          `${request.pathPrefix}/whip/${encodeURIComponent(readStreamName(request))}/${publication.id}`,
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
 * As Red5 Pro's clients expect it: no entity tags, credentials in the query. They drop the query of `Location`, so
 * requests to a resource are authorised by its random id alone.
 */
const red5Routes =
  (options: WhipRoutesOptions, sessions: SessionStore<WhipPublication>): FastifyPluginAsync =>
  async (app) => {
    const isAllowed = requireAction(options.authorizer, 'red5', 'publish', queryCredentials);
    const iceLinks = iceServerLinks(options.settings.ice_servers);

    registerResource(app, '/:app/whip/endpoint/:stream', {
      isAllowed,
      mayPost: requireRights(options.authorizer, 'red5', 'publish', queryCredentials),
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const { app: application } = request.params as { app: string };
        const key = resumeKey(queryCredentials(request, 'whip'));
        const publication = await publish(options, sessions, request, key, application);
        const [name, stream] = [application, readStreamName(request)].map(encodeURIComponent);
        const resource = `${request.pathPrefix}/${name}/whip/resource/${stream}/${publication.id}`;
        return created(reply, publication.answerSdp, resource, iceLinks);
      },
    });
    registerResource(app, '/:app/whip/resource/:stream/:id', {
      isAllowed: async () => undefined,
      find: ({ params }) => sessions.get(params),
      accepts: { 'Accept-Patch': SDP_FRAGMENT },
      patch: async ({ params }, reply) => {
        sessions.get(params);
        // An ICE-lite server does not use candidates, and these clients restart by publishing again.
        return reply.code(204).send();
      },
      delete: async ({ params }, reply) => {
        sessions.get(params).close(stopped());
        return reply.code(200).send();
      },
    });
  };

async function publish(
  { publications, sessions: listing, authorizer, dataDoor, logger }: WhipRoutesOptions,
  sessions: SessionStore<WhipPublication>,
  request: FastifyRequest,
  key: string | undefined,
  application?: string,
): Promise<WhipPublication> {
  const offerSdp = readBody(request, SDP);
  const streamName = readStreamName(request);
  const principal = principalOf(request);
  const id = randomUUID();
  const query = readQuery(request);
  const subject = { ...whipSubject('WHIP', id, streamName, offerSdp, application), record: query.record };
  const publicationRequest: WhipPublicationRequest = {
    id,
    streamName,
    offerSdp,
    principalId: principal.id,
    resumeKey: key,
    clientAddress: request.ip,
    requestId: request.id,
    exchangeData: dataDoor !== undefined,
    ...(application !== undefined && { application }),
    rights: {
      publish: () => authorizer.authorize(principal, 'publish', { stream: streamName, request: subject }),
      push: (rtmpUrl, stream) =>
        authorizer.authorize(principal, 'push', { stream, destination: hostOfRtmpUrl(rtmpUrl) }),
    },
    ...query,
  };
  const publication = await WhipPublication.create(publications, publicationRequest, logger).catch((error: unknown) => {
    listing.emit('stream', subject, { status: 'FAILED', info: toGatewayError(error).message });
    throw error;
  });
  if (publication.isOver) return publication;
  sessions.add(id, streamName, publication);
  const listed = publication.listed(publicationRequest);
  const unlist = listing.addStream(listed);
  publication.once('live', () => listing.emit('stream', listed, { status: 'PUBLISHING' }));
  publication.once('over', ({ cause, reason }) => {
    sessions.delete(id);
    unlist();
    const requested = cause === 'stopped' && reason.code === 'STREAM_STOPPED';
    const status = cause === 'failed' ? 'FAILED' : 'UNPUBLISHED';
    listing.emit('stream', listed, { status, info: reason.message, requested });
  });
  const channel = publication.dataChannel;
  if (channel)
    dataDoor?.serve({
      ...dataClientOf(request, channel, principal, application),
      protocol: 'whip',
      streamName: publication.streamName,
      announce: async (message) => publication.announce(message),
    });
  return publication;
}

/** @param location without the host, of which a proxy may have another one */
function created(reply: FastifyReply, answerSdp: string, location: string, iceLinks: readonly string[]): FastifyReply {
  if (iceLinks.length > 0) reply.header('Link', iceLinks);
  return reply
    .code(201)
    .headers({ Location: location, 'Accept-Patch': SDP_FRAGMENT, 'Cache-Control': 'no-store' })
    .type(SDP)
    .send(answerSdp);
}

/**
 * RFC 9725, 4.3: candidates of the current ICE session, or the credentials of a new one. Preconditions are checked last
 * (RFC 9110, 13.2.1): errors of the request itself come first.
 *
 * @throws {GatewayError} UNSUPPORTED_MEDIA_TYPE, INVALID_SDP, PRECONDITION_REQUIRED, PRECONDITION_FAILED,
 * SESSION_NOT_FOUND
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
    throw new GatewayError('PRECONDITION_FAILED', 'The ETag in If-Match is not that of the current ICE session.');
  if (!publication.restartable)
    throw new GatewayError(
      'SESSION_NOT_FOUND',
      'The connection of this session is closed. Publish again: within publisher_resume_window_ms the stream continues.',
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
