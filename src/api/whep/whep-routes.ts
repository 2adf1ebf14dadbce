import type { FastifyPluginAsync } from 'fastify';
import type { Authorizer } from '../../access/authorizer.ts';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { requireAction } from '../authorize.ts';
import { parseIceFragment } from '../../publish/ice-fragment.ts';
import { DEFAULT_APPLICATION, type ClientSessions, type StreamSession } from '../../publish/client-sessions.ts';
import type { Player } from '../../publish/player.ts';
import type { Players } from '../../publish/players.ts';
import { acceptText, registerResource } from '../whip/whip-http.ts';
import { iceServerLinks } from '../whip/whip-link-header.ts';
import { readBody, readStreamName, SDP, SDP_FRAGMENT } from '../whip/whip-requests.ts';
import { SessionStore } from '../whip/whip-sessions.ts';

export interface WhepRoutesOptions {
  readonly settings: Pick<Settings, 'ice_servers'>;
  readonly authorizer: Authorizer;
  readonly players: Players;
  readonly sessions: ClientSessions;
  readonly logger: Logger;
}

/** WHEP (draft-ietf-wish-whep): plays a live stream (docs/whip.md). Register it at the root. */
export function whepRoutes({
  settings,
  authorizer,
  players,
  sessions: listing,
  logger,
}: WhepRoutesOptions): FastifyPluginAsync {
  // Shared by the HTTP and the HTTPS listener.
  const sessions = new SessionStore<Player>();

  return async (app) => {
    acceptText(app, logger);
    const isAllowed = requireAction(authorizer, 'whep', 'play');
    const iceLinks = iceServerLinks(settings.ice_servers);
    app.addHook('onClose', async () =>
      sessions.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.')),
    );

    registerResource(app, '/whep/:stream', {
      isAllowed,
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const offerSdp = readBody(request, SDP);
        const streamName = readStreamName(request);
        const player = await players.play({ streamName, offerSdp, clientAddress: request.ip, logger });
        sessions.add(player);
        const unlist = listing.addStream(listed(player, offerSdp, request.ip));
        void player.ended.then(() => {
          sessions.delete(player);
          unlist();
        });
        if (iceLinks.length > 0) reply.header('Link', iceLinks);
        const location = `/whep/${encodeURIComponent(streamName)}/${player.id}`;
        return reply
          .code(201)
          .headers({ Location: location, 'Accept-Patch': SDP_FRAGMENT, 'Cache-Control': 'no-store' })
          .type(SDP)
          .send(player.answerSdp);
      },
    });
    registerResource(app, '/whep/:stream/:id', {
      isAllowed,
      find: ({ params }) => sessions.get(params),
      accepts: { 'Accept-Patch': SDP_FRAGMENT },
      patch: async (request, reply) => {
        sessions.get(request.params);
        parseIceFragment(readBody(request, SDP_FRAGMENT));
        return reply.code(204).send();
      },
      delete: async ({ params }, reply) => {
        sessions.get(params).close();
        return reply.code(200).send();
      },
    });
  };
}

/** A player as REST shows it. */
function listed(player: Player, offerSdp: string, clientAddress: string): StreamSession {
  return {
    mediaSessionId: player.id,
    sessionId: player.id,
    name: player.streamName,
    published: false,
    mediaProvider: 'WHEP',
    appKey: DEFAULT_APPLICATION,
    application: DEFAULT_APPLICATION,
    hasAudio: /^m=audio [1-9]/m.test(player.answerSdp),
    hasVideo: /^m=video [1-9]/m.test(player.answerSdp),
    transport: 'UDP',
    offerSdp,
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 0,
    clientAddress,
    createdAt: new Date(),
    get active() {
      return player.connected;
    },
    terminate: () => player.close(),
  };
}
