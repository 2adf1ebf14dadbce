import type { FastifyRequest } from 'fastify';
import type { Principal } from '../../access/authorizer.ts';
import { DEFAULT_APPLICATION } from '../../sessions/client-sessions.ts';
import type { DataClient } from '../../rooms/doors/data-door.ts';
import type { DataChannel } from '../../streams/data-channel.ts';

/** What the request of a publisher or player says about the client of its data channel. */
export const dataClientOf = (
  { ip, headers, query }: FastifyRequest,
  channel: DataChannel,
  principal: Principal,
  application = DEFAULT_APPLICATION,
): Omit<DataClient, 'protocol' | 'streamName'> => ({
  channel,
  application,
  query: query as Record<string, unknown>,
  principal,
  ip,
  userAgent: headers['user-agent'],
});
