import type { FastifyPluginAsync } from 'fastify';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import { PlaySession } from '../../webrtc/play-session.ts';
import { parseIceFragment } from '../../webrtc/sdp-fragment.ts';
import type { Logger } from '../../observe/logger.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { createAccessCheck } from '../access.ts';
import { acceptText, registerResource } from '../whip/whip-http.ts';
import { iceServerLinks } from '../whip/whip-link-header.ts';
import { readBody, readStreamName, SDP, SDP_FRAGMENT } from '../whip/whip-requests.ts';
import { SessionStore } from '../whip/whip-sessions.ts';

export interface WhepRoutesOptions {
  readonly settings: Pick<Settings, 'rest_api_key' | 'allow_anonymous' | 'ice_servers' | 'max_players'>;
  readonly registry: StreamRegistry;
  readonly logger: Logger;
}

interface Player {
  readonly id: string;
  readonly streamName: string;
  close(): void;
}

/** WHEP (draft-ietf-wish-whep): a page watches a live stream, see docs/whip.md. To be registered at the root. */
export function whepRoutes({ settings, registry, logger }: WhepRoutesOptions): FastifyPluginAsync {
  // Outside the plug-in: HTTP and HTTPS are two listeners of the same sessions.
  const players = new SessionStore<Player>();
  let starting = 0;

  /** @throws {GatewayError} STREAM_NOT_FOUND, LIMIT_REACHED, or as {@link PlaySession.create} */
  const play = async (streamName: string, offerSdp: string, clientAddress: string): Promise<PlaySession> => {
    const publisher = registry.find(streamName)?.publisher;
    if (!publisher) throw new GatewayError('STREAM_NOT_FOUND', 'Stream not found: nobody publishes it at the moment.');
    if (players.size + starting >= settings.max_players)
      throw new GatewayError(
        'LIMIT_REACHED',
        `The gateway already has ${settings.max_players} players (max_players). Try again when one has left.`,
      );
    starting++;
    try {
      const session = await PlaySession.create({ publisher, offerSdp, clientAddress, logger });
      const player: Player = { id: session.id, streamName, close: () => (session.close(), players.delete(player)) };
      players.add(player);
      session.once('lost', () => players.delete(player));
      return session;
    } finally {
      starting--;
    }
  };

  return async (app) => {
    acceptText(app, logger);
    const isAllowed = createAccessCheck(settings);
    const iceLinks = iceServerLinks(settings.ice_servers);
    app.addHook('onClose', async () =>
      players.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.')),
    );

    registerResource(app, '/whep/:stream', {
      isAllowed,
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const offerSdp = readBody(request, SDP);
        const streamName = readStreamName(request);
        const session = await play(streamName, offerSdp, request.ip);
        if (iceLinks.length > 0) reply.header('Link', iceLinks);
        const location = `/whep/${encodeURIComponent(streamName)}/${session.id}`;
        return reply
          .code(201)
          .headers({ Location: location, 'Accept-Patch': SDP_FRAGMENT, 'Cache-Control': 'no-store' })
          .type(SDP)
          .send(session.answerSdp);
      },
    });
    registerResource(app, '/whep/:stream/:id', {
      isAllowed,
      find: ({ params }) => players.get(params),
      accepts: { 'Accept-Patch': SDP_FRAGMENT },
      patch: async (request, reply) => {
        players.get(request.params);
        parseIceFragment(readBody(request, SDP_FRAGMENT));
        return reply.code(204).send();
      },
      delete: async ({ params }, reply) => {
        players.get(params).close();
        return reply.code(200).send();
      },
    });
  };
}
