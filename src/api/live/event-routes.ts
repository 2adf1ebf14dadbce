import type { FastifyPluginAsync } from 'fastify';
import { mayUseStream } from '../../access/rights.ts';
import type { Principal } from '../../access/authorizer.ts';
import { GatewayError } from '../../errors.ts';
import { limitReached } from '../../observe/limits.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';
import { principalOf } from '../authorize.ts';
import { EventStream } from './event-stream.ts';
import type { LiveFeed } from './live-feed.ts';

export interface EventRoutesOptions {
  readonly feed: LiveFeed;
  /** `max_event_clients`. */
  readonly maxClients: number;
}

/** `setTimeout` takes no longer time. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What happens, as server-sent events: a snapshot, then changes. To be registered below `/api/v1`. */
export const eventRoutes =
  ({ feed, maxClients }: EventRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const open = new Set<EventStream>();
    app.addHook('preClose', async () => {
      for (const stream of open) stream.end();
    });
    app.get('/events', { exposeHeadRoute: false, config: { action: 'read' } }, (request, reply) => {
      const { only, accessToken: _, ...others } = request.query as Record<string, unknown>;
      if ((only !== undefined && only !== 'events') || Object.keys(others).length > 0)
        throw new GatewayError('INVALID_REQUEST', 'The query may only be only=events.');
      if (open.size >= maxClients)
        throw limitReached(
          'max_event_clients',
          `The gateway already has ${maxClients} clients of /api/v1/events (max_event_clients).`,
        );
      const principal = principalOf(request);
      const lastId = request.headers['last-event-id'];
      const stream = new EventStream(reply, () => {
        open.delete(stream);
        clearTimeout(expiry);
        leave();
      });
      open.add(stream);
      // The client comes back with another credential, or is refused.
      const expiry = setTimeout(() => stream.end(), millisecondsLeft(principal));
      expiry.unref();
      const leave = feed.subscribe(
        {
          sees: (name) => (name === undefined ? !principal.streams : mayUseStream(principal, name)),
          eventsOnly: only === 'events',
          send: ({ event, id, data }) => stream.send(event, JSON.stringify(data), id),
        },
        typeof lastId === 'string' ? lastId : undefined,
      );
    });
  };

const millisecondsLeft = ({ expiresAt }: Principal): number =>
  Math.min(LONGEST_TIMER_MS, expiresAt === undefined ? Infinity : Math.max(0, expiresAt - wallClockMs()));
