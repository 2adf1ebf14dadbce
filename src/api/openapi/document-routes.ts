import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyPluginAsync } from 'fastify';
import { createDocument } from './document.ts';

/** Everything from this server. The viewer shows its icons as `data:` URLs. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The OpenAPI document at `/openapi.json` and `/docs/openapi.json`, and a viewer at `/docs`. They are open to every client,
 * because they say nothing about this installation. The viewer keeps a key in memory only. To be registered at the root.
 */
export const documentRoutes: FastifyPluginAsync = async (app) => {
  const document = createDocument();
  const body = JSON.stringify(document);
  for (const path of ['/openapi.json', '/docs/openapi.json'])
    app.get(path, async ({ pathPrefix }, reply) => {
      reply.type('application/json; charset=utf-8');
      return reply.send(pathPrefix ? JSON.stringify({ ...document, servers: [{ url: pathPrefix }] }) : body);
    });

  // Relative to `/docs/json`, where the viewer reads it: a reverse proxy may serve the gateway below a path prefix.
  const viewed = { ...document, servers: [{ url: '..' }] };
  await app.register(swagger, { mode: 'static', specification: { document: viewed as never } });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    indexPrefix: '.',
    staticCSP: POLICY,
    logo: null as never,
    theme: { title: 'WebRTC Transponder: REST' },
    uiConfig: { persistAuthorization: false, layout: 'BaseLayout', docExpansion: 'list', tryItOutEnabled: false },
  });
};
