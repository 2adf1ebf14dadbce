import type { FastifyPluginAsync } from 'fastify';
import type { Authorizer } from '../../access/authorizer.ts';
import { GatewayError } from '../../errors.ts';
import type { ClientSessions } from '../../sessions/client-sessions.ts';
import { principalOf } from '../authorize.ts';
import type { RenewalView } from '../openapi/answers.ts';

export interface RenewalRoutesOptions {
  readonly sessions: ClientSessions;
  readonly authorizer: Authorizer;
}

/**
 * A client that publishes or plays with a token that expires presents a new one of the same identity: its sessions then
 * last as long as that one. To be registered below `/api/v1`.
 */
export const renewalRoutes =
  ({ sessions, authorizer }: RenewalRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    app.post('/streams/:stream/token', { config: { action: 'identify' } }, async (request): Promise<RenewalView> => {
      const { stream } = request.params as { readonly stream: string };
      const principal = principalOf(request);
      const own = sessions.streams.filter(({ name, principalId }) => name === stream && principalId === principal.id);
      if (own.length === 0)
        throw new GatewayError(
          'STREAM_NOT_FOUND',
          'The client of this credential neither publishes nor plays this stream. A new token must have the "sub" of the old one.',
        );
      const renew = async (published: boolean) => {
        const found = own.filter((session) => session.published === published);
        if (found.length === 0) return undefined;
        const { endsAt } = await authorizer.authorize(principal, published ? 'publish' : 'play', { stream });
        return { found, endsAt };
      };
      // Both questions before the first effect: the request succeeds as a whole or not at all.
      const renewals = [await renew(true), await renew(false)].filter((one) => one !== undefined);
      for (const { found, endsAt } of renewals) for (const session of found) session.renew?.(endsAt);
      const ends = renewals.map(({ endsAt }) => endsAt).filter((endsAt) => endsAt !== undefined);
      return {
        stream,
        sessions: own.length,
        expiresAt: ends.length > 0 ? new Date(Math.min(...ends)).toISOString() : null,
      };
    });
  };
