import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Authorizer } from '../../access/authorizer.ts';
import { ANONYMOUS } from '../../access/open-access.ts';
import { GatewayError } from '../../errors.ts';
import { clientOf } from '../../net/client-slots.ts';
import type { Packagers } from '../../outputs/hls/packagers.ts';
import { principalOf, queryCredentials, requireRights } from '../authorize.ts';

export interface HlsRoutesOptions {
  readonly authorizer: Authorizer;
  readonly packagers: Packagers;
  /** Whether pages of this origin may read the answers. */
  readonly allowOrigin: (origin: string | undefined) => boolean;
  /** `own`: `/hls/{stream}/index.m3u8`. `wcs`: `/{stream}/{stream}.m3u8`, as WCS has it. */
  readonly shape: 'own' | 'wcs';
}

const PLAYLIST = 'application/vnd.apple.mpegurl';
const MEDIA_PLAYLIST = 'index.m3u8';
/** Seconds for which segments may be kept: their URLs are never used again. */
const SEGMENT_MAX_AGE_S = 3600;

interface Params {
  readonly stream: string;
  readonly file: string;
  readonly session: string;
  /** The name of a lower quality. */
  readonly quality?: string;
}

/** HLS: the first playlist is authorised; its URLs contain the token of a session, which stands for that right. */
export function hlsRoutes({ authorizer, packagers, allowOrigin, shape }: HlsRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    const prefix = shape === 'own' ? '/hls' : '';
    const cors = {
      origin: (origin: string | undefined, answer: (error: null, allowed: boolean) => void) =>
        answer(null, allowOrigin(origin)),
      methods: ['GET', 'HEAD'],
    };
    const onRequest = requireRights(authorizer, 'hls', 'play', queryCredentials);
    app.get(`${prefix}/:stream/:file`, { onRequest, config: { cors, embeddable: true } }, async (request, reply) => {
      const { stream, file } = request.params as Params;
      if (file !== (shape === 'own' ? MEDIA_PLAYLIST : `${stream}.m3u8`)) throw notFound();
      const principal = principalOf(request);
      const { streamName = stream, endsAt } = await authorizer.authorize(principal, 'play', {
        stream,
        request: subject(stream),
      });
      const { token, ladder } = await packagers.open(stream, streamName, endsAt, {
        address: clientOf(request.ip),
        principal: principal.id === ANONYMOUS ? undefined : principal.id,
      });
      const uriOf = (quality?: string) => [token, ...(quality ? [quality] : []), MEDIA_PLAYLIST].join('/');
      return sendPlaylist(reply, await ladder.multivariant(uriOf));
    });
    const sendMedia = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const { stream, session: token, quality, file } = request.params as Params;
      const wanted = file === MEDIA_PLAYLIST ? undefined : parseFile(file);
      const answer = await packagers.sessions.run(token, stream, packagers.now, async ({ ladder }) => {
        const packager = ladder.quality(quality);
        if (!packager) throw notFound();
        if (!wanted) {
          const directives = readDirectives(request);
          return packager.playlist(directives.wanted, directives.skip, () => ladder.reportsFor(quality));
        }
        if ('init' in wanted) return packager.init(wanted.init);
        return packager.media(wanted.msn, wanted.part);
      });
      if (answer === undefined) throw notFound();
      if (typeof answer === 'string') return sendPlaylist(reply, answer);
      const buffers = Buffer.isBuffer(answer) ? [answer] : answer;
      reply
        .type('video/mp4')
        .header('cache-control', `private, max-age=${SEGMENT_MAX_AGE_S}, immutable`)
        .header(
          'content-length',
          buffers.reduce((sum, { length }) => sum + length, 0),
        );
      return reply.send(Readable.from(buffers));
    };
    // Many viewers may have one address; the number of their sessions is limited.
    const countedAs = ({ params }: FastifyRequest): string | undefined => {
      const { session, stream } = params as Params;
      return packagers.sessions.has(session, stream) ? `hls ${session}` : undefined;
    };
    const media = { config: { cors, embeddable: true, countedAs } };
    app.get(`${prefix}/:stream/:session/:file`, media, sendMedia);
    app.get(`${prefix}/:stream/:session/:quality/:file`, media, sendMedia);
  };
}

const sendPlaylist = (reply: FastifyReply, text: string): FastifyReply =>
  reply.type(PLAYLIST).header('cache-control', 'no-store').send(text);

const notFound = (): GatewayError =>
  new GatewayError('ROUTE_NOT_FOUND', 'There is no such playlist or segment, or it is not available any more.');

function parseFile(file: string): { init: number } | { msn: number; part: number | undefined } {
  const [, init, msn, part] = /^(?:init(\d{1,9})\.mp4|(\d{1,12})(?:\.(\d{1,4}))?\.m4s)$/.exec(file) ?? [];
  if (init !== undefined) return { init: Number(init) };
  if (msn !== undefined) return { msn: Number(msn), part: part === undefined ? undefined : Number(part) };
  throw notFound();
}

/** The delivery directives of RFC 8216bis, 6.2.5. */
function readDirectives({ query }: FastifyRequest): {
  wanted: { msn: number; part: number | undefined } | undefined;
  skip: boolean;
} {
  const { _HLS_msn: msn, _HLS_part: part, _HLS_skip: skipped } = query as Record<string, unknown>;
  const skip = skipped === 'YES' || skipped === 'v2';
  if (skipped !== undefined && !skip) throw new GatewayError('INVALID_REQUEST', '_HLS_skip must be YES or v2.');
  if (msn === undefined && part === undefined) return { wanted: undefined, skip };
  const isNumber = (value: unknown): value is string => typeof value === 'string' && /^\d{1,12}$/.test(value);
  if (!isNumber(msn) || (part !== undefined && !isNumber(part)))
    throw new GatewayError('INVALID_REQUEST', '_HLS_msn and _HLS_part must be whole numbers, _HLS_part with _HLS_msn.');
  return { wanted: { msn: Number(msn), part: part === undefined ? undefined : Number(part) }, skip };
}

/** The player as WCS's REST hooks show it. */
function subject(name: string) {
  const id = randomUUID();
  return {
    ...{ sessionId: id, mediaSessionId: id, name, published: false, appKey: 'defaultApp', mediaProvider: 'HLS' },
    ...{ hasAudio: true, hasVideo: true, offerSdp: '', bitrate: 0 },
  };
}
