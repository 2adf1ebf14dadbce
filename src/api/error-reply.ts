import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError, type ErrorCode } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** The body of every error answer, in the shape that clients of WCS know. */
export interface ErrorBody {
  readonly status: number;
  /** The status in words. */
  readonly error: string;
  /** A stable code of `errors.ts`. */
  readonly exception: ErrorCode;
  readonly reason: string;
  /** What is wrong and what to do. */
  readonly message: string;
  /** Without the query, which may contain credentials. */
  readonly path: string;
  /** Milliseconds since 1970, as in WCS. */
  readonly timestamp: number;
}

/** Seconds after which a client may repeat a request that was refused with 503, unless the error knows better. */
const RETRY_AFTER_S = 5;
/** Statuses whose answers say when to try again. */
export const RETRY_AFTER: ReadonlySet<number> = new Set([429, 503]);

export function errorBody(error: GatewayError, path: string, now: number): ErrorBody {
  const status = error.httpStatus;
  const phrase = STATUS_CODES[status] ?? 'Error';
  return {
    status,
    error: phrase,
    exception: error.code,
    reason: `${error.code}, ${phrase}`,
    message: error.message,
    path,
    timestamp: now,
  };
}

export const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0]!;

/** Answers with an error. */
export function replyWithError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): FastifyReply {
  const shown = prepareError(error, request, reply, logger);
  return reply
    .code(shown.httpStatus)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(shown, pathOf(request), wallClockMs())));
}

/** The error that the client may see, with its headers set. An unexpected one is logged in full and becomes INTERNAL, without its text. */
export function prepareError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): GatewayError {
  const known = asRequestError(error);
  let shown = known;
  if (known.code === 'INTERNAL') {
    logger.error({ err: error, route: request.routeOptions.url, requestId: request.id }, 'request failed unexpectedly');
    shown = new GatewayError(
      'INTERNAL',
      `The request failed unexpectedly. The gateway's log says why, under requestId=${request.id}.`,
    );
  }
  if (shown.httpStatus === 401) reply.header('WWW-Authenticate', 'Bearer');
  if (RETRY_AFTER.has(shown.httpStatus) && shown.retryable)
    reply.header('Retry-After', shown.retryAfterS ?? RETRY_AFTER_S);
  return shown;
}

/** Translates Fastify's errors. Anything else that is not a {@link GatewayError} is INTERNAL. */
function asRequestError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const { code = '', statusCode = 500 } = error as Partial<FastifyError>;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new GatewayError('BODY_TOO_LARGE', 'The body is larger than any valid request.');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_INVALID_CONTENT_TYPE')
    return new GatewayError(
      'UNSUPPORTED_MEDIA_TYPE',
      'The body must be JSON: send it with the header "Content-Type: application/json".',
    );
  if (statusCode === 416)
    return new GatewayError(
      'RANGE_NOT_SATISFIABLE',
      'The file has no bytes in this range. Ask for its size with HEAD.',
    );
  if (statusCode >= 400 && statusCode < 500)
    return new GatewayError(
      'INVALID_REQUEST',
      'The request is malformed: check its URL, its headers and the length of its body.',
    );
  return new GatewayError('INTERNAL', 'unexpected', { cause: error });
}
