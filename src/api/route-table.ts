import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.ts';
import { pathOf } from './error-reply.ts';

const normalisePath = (path: string): string => path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');

/** The routes of each server. */
const tables = new WeakMap<FastifyInstance, Map<string, Set<string>>>();

/** All routes of a server, without those for HEAD and OPTIONS that belong to others. */
export const routesOf = (app: FastifyInstance): { readonly method: string; readonly url: string }[] =>
  [...(tables.get(app) ?? [])].flatMap(([url, methods]) => [...methods].map((method) => ({ method, url })));

/**
 * Collects the methods of each path that is registered after this call, and returns a handler for requests that no
 * route takes: 405 with `Allow` if the path has other methods, otherwise 404.
 */
export function collectRoutes(app: FastifyInstance): (request: FastifyRequest, reply: FastifyReply) => never {
  const methods = new Map<string, Set<string>>();
  tables.set(app, methods);
  app.addHook('onRoute', ({ url, method }) => {
    const path = normalisePath(url);
    const known = methods.get(path) ?? new Set();
    for (const one of [method].flat()) if (one !== 'HEAD' && one !== 'OPTIONS') known.add(one);
    methods.set(path, known);
  });

  return (request, reply) => {
    const allowed = methods.get(normalisePath(pathOf(request)));
    if (!allowed)
      throw new GatewayError(
        'ROUTE_NOT_FOUND',
        'There is no such route. All routes are listed in docs/rest.md and in /openapi.json.',
      );
    reply.header('Allow', [...allowed].join(', '));
    throw new GatewayError(
      'METHOD_NOT_ALLOWED',
      `This route takes ${[...allowed].join(' or ')}, not ${request.method}.`,
    );
  };
}
