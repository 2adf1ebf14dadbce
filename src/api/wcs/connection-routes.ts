import type { FastifyPluginAsync } from 'fastify';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ClientConnection, ClientSessions } from '../../sessions/client-sessions.ts';
import { requireAllStreams } from '../authorize.ts';
import { readBodies } from './body-reader.ts';
import { NothingSchema } from './schemas.ts';
import { ConnectionFilterSchema, ConnectionIdSchema, DataSchema } from './session-schemas.ts';
import { TERMINATED_BY_REST } from './stream-routes.ts';
import { connectionView } from './stream-view.ts';

const READ = { config: { action: 'read' } } as const;
const CONTROL = { config: { action: 'control' } } as const;

interface ConnectionFilter {
  readonly sessionId?: string | undefined;
  readonly appKey?: string | undefined;
  readonly clientVersion?: string | undefined;
}

/** WCS's `/connection/*` and `/data/send`: see docs/rest.md. To be registered below `/rest-api`. */
export const connectionRoutes =
  (sessions: ClientSessions, logger: Logger): FastifyPluginAsync =>
  async (app) => {
    const { read, answerVoid } = readBodies(app, logger);
    app.addHook('preHandler', requireAllStreams);

    /** @throws {GatewayError} SESSION_NOT_FOUND instead of an empty list */
    function find(filter: ConnectionFilter): [ClientConnection, ...ClientConnection[]] {
      const [first, ...others] = sessions.connections.filter((connection) => matches(connection, filter));
      if (!first) throw new GatewayError('SESSION_NOT_FOUND', 'No WebSocket connection matches.');
      return [first, ...others];
    }

    app.post('/connection/find', READ, async (request, reply) =>
      find(read(ConnectionFilterSchema, request, reply)).map(connectionView),
    );
    app.route({
      ...READ,
      method: ['GET', 'POST'],
      url: '/connection/find_all',
      handler: async (request, reply) => find(read(NothingSchema, request, reply)).map(connectionView),
    });
    app.post(
      '/connection/terminate',
      CONTROL,
      answerVoid(ConnectionIdSchema, ({ sessionId }) => find({ sessionId })[0].terminate(TERMINATED_BY_REST)),
    );
    app.post(
      '/data/send',
      CONTROL,
      answerVoid(DataSchema, ({ sessionId, operationId }, request) => {
        // As it was sent: the checked body has no null fields.
        const { payload } = request.body as { payload: unknown };
        find({ sessionId })[0].sendData({ operationId, payload });
      }),
    );
  };

const matches = (connection: ClientConnection, filter: ConnectionFilter): boolean =>
  (filter.sessionId ?? connection.sessionId) === connection.sessionId &&
  (filter.appKey ?? connection.appKey) === connection.appKey &&
  (filter.clientVersion ?? connection.clientVersion) === connection.clientVersion;
