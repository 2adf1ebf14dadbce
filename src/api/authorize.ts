import type { FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Action, Authorizer, Credentials, Door, Principal, Resource } from '../access/authorizer.ts';
import { checkRights, forbidden } from '../access/rights.ts';
import { Secret } from '../net/secret.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a client must be allowed to do in order to call the route. See {@link guardRoutes}. */
    action?: Action | 'identify';
    /** The handler authorises the action itself, because the body names the stream. */
    resourceInBody?: boolean;
    /** Read by @fastify/cors: options of its own for the route. */
    cors?: FastifyCorsOptions;
  }
}

/** Reads a client's credentials from its request. */
export type CredentialReader = (request: FastifyRequest, door: Door) => Credentials;

/** Lets a request pass, or throws. */
export type AccessHook = (request: FastifyRequest) => Promise<void>;

const principals = new WeakMap<FastifyRequest, Principal>();

/** Reads from a request what its action concerns. */
export type ResourceReader = (request: FastifyRequest) => Resource;

/** Credentials in `Authorization: Bearer` or `X-Api-Key`. */
export const headerCredentials: CredentialReader = ({ headers, ip, query }, door) => {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const token = bearer ?? headers['x-api-key'];
  return {
    door,
    token: typeof token === 'string' ? new Secret(token) : undefined,
    ip,
    // Not Fastify's `host`: behind a trusted proxy that is X-Forwarded-Host, which a page with a rebound name can set.
    host: headers.host,
    userAgent: headers['user-agent'],
    query: query as Record<string, unknown>,
  };
};

/**
 * Credentials in the headers, or in the query as `token`, `username` and `password`: Red5 Pro's clients put them there.
 */
export const queryCredentials: CredentialReader = (request, door) => {
  const credentials = headerCredentials(request, door);
  const { username, password, token } = request.query as Record<string, unknown>;
  const once = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  const secret = (value: unknown): Secret | undefined => {
    const text = once(value);
    return text === undefined ? undefined : new Secret(text);
  };
  return {
    ...credentials,
    token: credentials.token ?? secret(token),
    username: once(username),
    password: secret(password),
  };
};

/** Credentials in the headers, or in the query as `accessToken`: clients of Red5's server API put it there. */
export const accessTokenCredentials: CredentialReader = (request, door) => {
  const credentials = headerCredentials(request, door);
  const { accessToken } = request.query as Record<string, unknown>;
  if (credentials.token || typeof accessToken !== 'string' || accessToken === '') return credentials;
  return { ...credentials, token: new Secret(accessToken) };
};

/** An `onRequest` hook for one route: identifies the client and authorises the action. */
export function requireAction(
  authorizer: Authorizer,
  door: Door,
  action: Action,
  readCredentials: CredentialReader = headerCredentials,
  readResource: ResourceReader = streamInPath,
): AccessHook {
  return async (request) => {
    await identify(authorizer, door, request, readCredentials);
    await authorizer.authorize(principalOf(request), action, readResource(request));
  };
}

/**
 * An `onRequest` hook for a route whose handler authorises the action: identifies the client and checks its own rights.
 */
export function requireRights(
  authorizer: Authorizer,
  door: Door,
  action: Action,
  readCredentials: CredentialReader = headerCredentials,
): AccessHook {
  return async (request) => {
    await identify(authorizer, door, request, readCredentials);
    checkRights(principalOf(request), action, streamInPath(request));
  };
}

/**
 * Guards all routes of a scope: identifies every client, those that call unknown paths included, and authorises the
 * `action` in the route's `config`. The action `identify` is every client's that has valid credentials.
 *
 * @throws {Error} at registration if a route names no action
 */
export function guardRoutes(
  app: FastifyInstance,
  authorizer: Authorizer,
  door: Door,
  readCredentials: CredentialReader = headerCredentials,
): void {
  app.addHook('onRoute', ({ url, config }) => {
    if (!config?.action) throw new Error(`The route ${url} names no action: set config.action.`);
  });
  app.addHook('onRequest', async (request) => {
    await identify(authorizer, door, request, readCredentials);
    const { action, resourceInBody } = request.routeOptions.config;
    if (!action || action === 'identify') return;
    if (resourceInBody) checkRights(principalOf(request), action);
    else await authorizer.authorize(principalOf(request), action, streamInPath(request));
  });
}

/** The client that a guard has identified, if the request has come that far. */
export const identifiedPrincipal = (request: FastifyRequest): Principal | undefined => principals.get(request);

/** The client that a guard has identified. */
export function principalOf(request: FastifyRequest): Principal {
  const principal = principals.get(request);
  if (!principal) throw new Error('The request was not identified: the route has no guard.');
  return principal;
}

/**
 * A hook for routes that concern clients of any stream: refuses principals that are limited to certain streams. Runs
 * after the guard.
 *
 * @throws {GatewayError} FORBIDDEN
 */
export async function requireAllStreams(request: FastifyRequest): Promise<void> {
  const { action = 'read' } = request.routeOptions.config;
  if (principalOf(request).streams && action !== 'identify')
    throw forbidden(action, 'they are limited to certain streams, and this concerns clients of any stream');
}

async function identify(
  authorizer: Authorizer,
  door: Door,
  request: FastifyRequest,
  readCredentials: CredentialReader,
): Promise<void> {
  principals.set(request, await authorizer.identify(readCredentials(request, door)));
}

/** The stream that the path names. */
function streamInPath({ params }: FastifyRequest): Resource {
  const { stream } = (params ?? {}) as { stream?: unknown };
  return typeof stream === 'string' ? { stream } : {};
}
