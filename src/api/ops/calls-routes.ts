import type { FastifyPluginAsync } from 'fastify';
import { mayUseStream } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { withoutDestination, type CallView } from '../../sip/call/call-view.ts';
import type { CallControl } from '../../sip/call/calls.ts';
import { principalOf } from '../authorize.ts';

/**
 * Calls with the reason of their end, which WCS's methods do not show, and without the URLs of their pushes, which may
 * contain keys. To be registered below `/api/v1`.
 */
export const callsRoutes =
  ({ calls }: { readonly calls?: CallControl | undefined }): FastifyPluginAsync =>
  async (app) => {
    app.get('/calls', { config: { action: 'read' } }, async (request): Promise<CallView[]> => {
      const { ended = 'false', accessToken: _, ...others } = request.query as Record<string, unknown>;
      if ((ended !== 'true' && ended !== 'false') || Object.keys(others).length > 0)
        throw new GatewayError('INVALID_REQUEST', 'The query may only be ended=true or ended=false.');
      const principal = principalOf(request);
      const views = (ended === 'true' ? calls?.ended() : calls?.list()) ?? [];
      return views.filter(({ streamName }) => mayUseStream(principal, streamName)).map(withoutDestination);
    });
  };
