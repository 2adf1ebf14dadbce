import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError, type ErrorCode } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';

/** The body of every answer that is not a success, in the shape that clients of WCS know. */
export interface ErrorBody {
  readonly status: number;
  /** The status in words. */
  readonly error: string;
  /** A stable code of `errors.ts`. */
  readonly exception: ErrorCode;
  readonly reason: string;
  /** What is wrong and what to do. */
  readonly message: string;
  /** Without the query, which may hold credentials. */
  readonly path: string;
  /** Milliseconds since 1970, as WCS. */
  readonly timestamp: number;
}

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

/** Answers with an error. What was not foreseen goes to the log in full and to the client as INTERNAL, without its text. */
export function replyWithError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): FastifyReply {
  const known = asRequestError(error);
  let shown = known;
  if (known.code === 'INTERNAL') {
    logger.error(
      { err: error, route: request.routeOptions.url, requestId: request.id },
      'a request failed for an unforeseen reason',
    );
    shown = new GatewayError(
      'INTERNAL',
      `The gateway could not do this. Its log says why, under requestId=${request.id}.`,
    );
  }
  if (shown.code === 'UNAUTHORIZED') reply.header('WWW-Authenticate', 'Bearer');
  return reply
    .code(shown.httpStatus)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(shown, pathOf(request), Date.now())));
}

/** Fastify's own errors, in our terms; anything else that is not a {@link GatewayError} is INTERNAL. */
function asRequestError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const { code = '', statusCode = 500 } = error as Partial<FastifyError>;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new GatewayError('BODY_TOO_LARGE', 'The body is too large for any request that this gateway knows.');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_INVALID_CONTENT_TYPE')
    return new GatewayError(
      'UNSUPPORTED_MEDIA_TYPE',
      'The body must be JSON: send it with the header "Content-Type: application/json".',
    );
  if (statusCode >= 400 && statusCode < 500)
    return new GatewayError(
      'INVALID_REQUEST',
      'The request is malformed: check its URL, its headers and the length of its body.',
    );
  return new GatewayError('INTERNAL', 'unforeseen', { cause: error });
}
