import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { plainRequestId } from '../observe/request-id.ts';

/** The id under which the log shows what a request causes: `X-Request-Id` if the client sends a plain one. */
export const requestIdOf = ({ headers }: Pick<IncomingMessage, 'headers'>): string =>
  plainRequestId(headers['x-request-id']) ?? randomUUID();

/** Names the id in every answer. */
export function answerRequestIds(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id);
  });
}
