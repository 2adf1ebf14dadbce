import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { AccessHook } from '../authorize.ts';
import { replyWithError } from '../error-reply.ts';

/** The HTTP side that WHIP and WHEP have in common. */

/**
 * Bytes. An offer with simulcast and every codec has 30 kB. More than 64 kB is refused as SDP; more than this is not
 * read.
 */
const OFFER_LIMIT = 128 * 1024;
/** Bytes. Two hundred candidates have 30 kB. */
const FRAGMENT_LIMIT = 64 * 1024;

export interface ResourceHandlers {
  /** Runs before everything but a preflight. */
  readonly isAllowed: AccessHook;
  /** The same for POST, whose handler authorises the client with what its body says. */
  readonly mayPost?: AccessHook;
  /** Throws when the resource does not exist. */
  readonly find?: (request: FastifyRequest) => unknown;
  readonly post?: RouteHandlerMethod;
  readonly patch?: RouteHandlerMethod;
  readonly delete?: RouteHandlerMethod;
  /** Headers of the answer to OPTIONS that name the accepted media types. */
  readonly accepts: Record<string, string>;
  /** `Link` headers with the ICE servers, for authorised clients. */
  readonly iceLinks?: readonly string[];
}

/** Reads bodies of every type as text; the handlers check the media type and answer with errors of their own. */
export function acceptText(app: FastifyInstance, logger: Logger): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, async (_: unknown, body: string) => body);
  app.setErrorHandler((error, request, reply) => {
    return replyWithError(asGatewayError(error as FastifyError), request, reply, logger);
  });
}

/** Translates Fastify's error for a Content-Type header that is not a media type. */
function asGatewayError(error: FastifyError): unknown {
  const isMediaType =
    error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || error.code === 'FST_ERR_CTP_INVALID_CONTENT_TYPE';
  return isMediaType
    ? new GatewayError('UNSUPPORTED_MEDIA_TYPE', 'The Content-Type header is not a media type.')
    : error;
}

/**
 * Registers every method of one URL: those with a handler, GET as an empty success (RFC 9725, 4.1), OPTIONS with and
 * without CORS, and 405 for all others.
 */
export function registerResource(
  app: FastifyInstance,
  url: string,
  { isAllowed, mayPost = isAllowed, find, accepts, iceLinks = [], ...handlers }: ResourceHandlers,
): void {
  const { post, patch, delete: remove } = handlers;
  const methods = [
    'GET',
    'HEAD',
    'OPTIONS',
    ...(post ? ['POST'] : []),
    ...(patch ? ['PATCH'] : []),
    ...(remove ? ['DELETE'] : []),
  ];
  const allow = methods.join(', ');
  const onRequest = async (request: FastifyRequest): Promise<void> => {
    if (!isPreflight(request)) await isAllowed(request);
  };

  app.get(url, { onRequest }, async (request, reply) => {
    find?.(request);
    return reply.code(204).send();
  });
  // The CORS plug-in adds its headers and leaves the answer to this handler. Some clients send OPTIONS themselves and
  // read from Access-Control-Allow-Methods whether the server supports trickle ICE.
  const cors = {
    preflightContinue: true,
    methods,
    exposedHeaders: ['Link', 'Access-Control-Allow-Methods', ...Object.keys(accepts)],
  };
  app.options(url, { onRequest, config: { cors } }, async (request, reply) => {
    if (!isPreflight(request) && iceLinks.length > 0) reply.header('Link', iceLinks);
    return reply
      .code(200)
      .headers({ ...accepts, Allow: allow, 'Content-Length': '0' })
      .send();
  });
  if (post) app.post(url, { onRequest: mayPost, bodyLimit: OFFER_LIMIT }, post);
  if (patch) app.patch(url, { onRequest, bodyLimit: FRAGMENT_LIMIT }, patch);
  if (remove) app.delete(url, { onRequest, bodyLimit: FRAGMENT_LIMIT }, remove);

  const refused = ['PUT', ...(post ? [] : ['POST']), ...(patch ? [] : ['PATCH']), ...(remove ? [] : ['DELETE'])];
  app.route({ method: refused, url, onRequest, handler: (request, reply) => refuseMethod(request, reply, allow) });
}

function refuseMethod({ method }: FastifyRequest, reply: FastifyReply, allow: string): never {
  reply.header('Allow', allow);
  throw new GatewayError('METHOD_NOT_ALLOWED', `This is called with ${allow}, not with ${method}.`);
}

const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
