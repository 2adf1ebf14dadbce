import { randomUUID } from 'node:crypto';
import type { FastifyPluginAsync } from 'fastify';
import type { Authorizer } from '../../access/authorizer.ts';
import type { Settings } from '../../config/schema.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { principalOf, requireAction, requireRights } from '../authorize.ts';
import { parseIceFragment } from '../../sessions/ice-fragment.ts';
import { DEFAULT_APPLICATION, type ClientSessions, type StreamSession } from '../../sessions/client-sessions.ts';
import type { Player } from '../../sessions/player.ts';
import type { Players } from '../../sessions/players.ts';
import { tellPlayer, type DataDoor } from '../../rooms/doors/data-door.ts';
import { dataClientOf } from '../whip/data-client.ts';
import { acceptText, registerResource } from '../whip/whip-http.ts';
import { iceServerLinks } from '../whip/whip-link-header.ts';
import { readBody, readStreamName, SDP, SDP_FRAGMENT, whipSubject } from '../whip/whip-requests.ts';
import { SessionStore } from '../whip/whip-sessions.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';

export interface WhepRoutesOptions {
  readonly settings: Pick<Settings, 'ice_servers'>;
  readonly authorizer: Authorizer;
  readonly players: Players;
  readonly sessions: ClientSessions;
  /** Serves data channels. Without it they are rejected. */
  readonly dataDoor?: Pick<DataDoor, 'serve'> | undefined;
  readonly logger: Logger;
}

/** WHEP (draft-ietf-wish-whep): plays a live stream (docs/whip.md). Register it at the root. */
export function whepRoutes({
  settings,
  authorizer,
  players,
  sessions: listing,
  dataDoor,
  logger,
}: WhepRoutesOptions): FastifyPluginAsync {
  // Shared by the HTTP and the HTTPS listener.
  const sessions = new SessionStore<Player>();
  /** Their clients have ended them. */
  const deleted = new WeakSet<Player>();

  return async (app) => {
    acceptText(app, logger);
    const isAllowed = requireAction(authorizer, 'whep', 'play');
    const iceLinks = iceServerLinks(settings.ice_servers);
    app.addHook('onClose', async () =>
      sessions.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.')),
    );

    registerResource(app, '/whep/:stream', {
      isAllowed,
      mayPost: requireRights(authorizer, 'whep', 'play'),
      iceLinks,
      accepts: { 'Accept-Post': SDP },
      post: async (request, reply) => {
        const offerSdp = readBody(request, SDP);
        const asked = readStreamName(request);
        const id = randomUUID();
        const principal = principalOf(request);
        const subject = whipSubject('WHEP', id, asked, offerSdp);
        const play = async (): Promise<Player> => {
          const resource = { stream: asked, request: subject };
          const { streamName = asked, endsAt } = await authorizer.authorize(principal, 'play', resource);
          return players.play({
            streamName,
            offerSdp,
            clientAddress: request.ip,
            exchangeData: dataDoor !== undefined,
            endsAt,
            logger,
          });
        };
        const player = await play().catch((error: unknown) => {
          listing.emit('stream', subject, { status: 'FAILED', info: toGatewayError(error).message });
          throw error;
        });
        sessions.add(id, asked, player);
        const session = listed(id, player, { offerSdp, clientAddress: request.ip, principalId: principal.id });
        const unlist = listing.addStream(session);
        player.once('connected', () => listing.emit('stream', session, { status: 'PLAYING' }));
        inBackground(
          player.ended.then((reason) => {
            sessions.delete(id);
            unlist();
            const status = reason?.code === 'TOKEN_EXPIRED' ? 'FAILED' : 'STOPPED';
            const info = reason && { info: reason.message };
            listing.emit('stream', session, { status, ...info, requested: deleted.has(player) });
          }),
        );
        const channel = player.dataChannel;
        if (channel) {
          const { streamName } = player;
          player.on('message', (message) => tellPlayer(channel, message));
          dataDoor?.serve({ ...dataClientOf(request, channel, principal), protocol: 'whep', streamName });
        }
        if (iceLinks.length > 0) reply.header('Link', iceLinks);
        const location = `${request.pathPrefix}/whep/${encodeURIComponent(asked)}/${id}`;
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
        const player = sessions.get(params);
        deleted.add(player);
        player.close();
        return reply.code(200).send();
      },
    });
  };
}

/** A player as REST shows it. */
function listed(
  id: string,
  player: Player,
  client: Pick<StreamSession, 'offerSdp' | 'clientAddress' | 'principalId'>,
): StreamSession {
  return {
    mediaSessionId: id,
    sessionId: id,
    name: player.streamName,
    published: false,
    mediaProvider: 'WHEP',
    appKey: DEFAULT_APPLICATION,
    application: DEFAULT_APPLICATION,
    hasAudio: /^m=audio [1-9]/m.test(player.answerSdp),
    hasVideo: /^m=video [1-9]/m.test(player.answerSdp),
    transport: 'UDP',
    ...client,
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 0,
    createdAt: wallClockDate(),
    renew: (endsAt) => player.renew(endsAt),
    get active() {
      return player.connected;
    },
    terminate: () => player.close(),
  };
}
