import type { FastifyPluginAsync } from 'fastify';
import { createDocument } from './document.ts';

/**
 * `/openapi.json`: open to every client, because it says nothing about this installation. To be registered at the root.
 */
export const documentRoutes: FastifyPluginAsync = async (app) => {
  const body = JSON.stringify(createDocument());
  app.get('/openapi.json', async (_, reply) => reply.type('application/json; charset=utf-8').send(body));
};
