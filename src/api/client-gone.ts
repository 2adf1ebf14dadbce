import type { FastifyReply } from 'fastify';

/**
 * Aborted when the connection closes before the request is answered. Fastify's `request.signal` is not: it is aborted as
 * soon as the body has been read.
 */
export function clientGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort();
  });
  return gone.signal;
}
