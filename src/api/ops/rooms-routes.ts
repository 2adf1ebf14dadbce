import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Action, Authorizer, Principal } from '../../access/authorizer.ts';
import { mayOperateRoom } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { scopeOf } from '../../rooms/doors/scope-url.ts';
import type { JsonValue, RoomsControl } from '../../rooms/room-client.ts';
import { principalOf } from '../authorize.ts';
import type { RoomPageView, RoomView } from '../openapi/room-answers.ts';
import { readBodies } from '../wcs/body-reader.ts';
import { MemberRemovalSchema, RoomChangeSchema, RoomMessageSchema, RoomQuerySchema } from './rooms-schemas.ts';

export interface RoomsRoutesOptions {
  /** Undefined: rooms are off, and every request is refused. */
  readonly rooms?: RoomsControl | undefined;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

const READ = { config: { action: 'read' } } as const;
/** The room is in the path, and is checked by the handler. */
const READ_ONE = { config: { action: 'read', resourceInBody: true } } as const;
const CONTROL_ONE = { config: { action: 'control', resourceInBody: true } } as const;

interface RoomParams {
  readonly room: string;
  readonly id: string;
  readonly name: string;
}

/** Rooms, as operators see and change them. To be registered below `/api/v1`. */
export const roomsRoutes =
  ({ rooms, authorizer, logger }: RoomsRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read } = readBodies(app, logger);

    /**
     * The room that the path names, and the rooms.
     *
     * @throws {GatewayError} FORBIDDEN, INVALID_REQUEST, NOT_IMPLEMENTED
     */
    async function roomOf(request: FastifyRequest, action: Action) {
      const { room, ...params } = request.params as RoomParams;
      const scope = scopeOf('', room);
      await authorizer.authorize(principalOf(request), action, { scope });
      return { rooms: enabled(rooms), scope, ...params };
    }

    app.get('/rooms', READ, async (request): Promise<RoomPageView> => {
      const query = RoomQuerySchema.safeParse(request.query);
      if (!query.success)
        throw new GatewayError('INVALID_REQUEST', `${query.error.issues.map(({ message }) => message).join('; ')}.`);
      return visiblePage(enabled(rooms), principalOf(request), query.data);
    });
    app.get('/rooms/:room', READ_ONE, async (request): Promise<RoomView> => {
      const { rooms, scope } = await roomOf(request, 'read');
      return view(rooms, scope);
    });
    app.patch('/rooms/:room', CONTROL_ONE, async (request, reply): Promise<RoomView> => {
      const { rooms, scope } = await roomOf(request, 'control');
      const { attributes, maxMembers } = read(RoomChangeSchema, request, reply);
      await rooms.configure(scope, {
        // As it was sent: the checked body has no null fields, which remove attributes.
        ...(attributes && { attributes: (request.body as { attributes: Record<string, JsonValue> }).attributes }),
        ...(maxMembers !== undefined && { maxMembers }),
      });
      return view(rooms, scope);
    });
    app.post('/rooms/:room/messages', CONTROL_ONE, async (request, reply) => {
      const { rooms, scope } = await roomOf(request, 'control');
      const { text, from } = read(RoomMessageSchema, request, reply);
      await rooms.sendText(scope, text, from);
      return reply.code(204).send();
    });
    app.delete('/rooms/:room/members/:id', CONTROL_ONE, async (request, reply) => {
      const { rooms, scope, id } = await roomOf(request, 'control');
      const { reason = 'You were removed from the room.' } = read(MemberRemovalSchema, request, reply);
      await rooms.removeMember(scope, id, new GatewayError('TERMINATED', reason));
      return reply.code(204).send();
    });
    for (const [action, method] of [
      ['acquire', 'acquireObject'],
      ['release', 'releaseObject'],
    ] as const)
      app.post(`/rooms/:room/objects/:name/${action}`, CONTROL_ONE, async (request, reply) => {
        const { rooms, scope, name } = await roomOf(request, 'control');
        await rooms[method](scope, name);
        return reply.code(204).send();
      });
    app.delete('/rooms/:room/objects/:name', CONTROL_ONE, async (request, reply) => {
      const { rooms, scope, name } = await roomOf(request, 'control');
      await rooms.deleteObject(scope, name);
      return reply.code(204).send();
    });
  };

function enabled(rooms: RoomsControl | undefined): RoomsControl {
  if (!rooms) throw new GatewayError('NOT_IMPLEMENTED', 'Rooms are off. Set rooms=true.');
  return rooms;
}

/** @throws {GatewayError} ROOM_NOT_FOUND */
async function view(rooms: RoomsControl, scope: string): Promise<RoomView> {
  const found = await rooms.find(scope);
  if (!found)
    throw new GatewayError(
      'ROOM_NOT_FOUND',
      'Nobody is in a room of this name, and it keeps no objects. GET /api/v1/rooms lists the rooms.',
    );
  return found;
}

/** A page of the rooms that the principal may see. */
async function visiblePage(
  rooms: RoomsControl,
  principal: Principal,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string | undefined; readonly limit: number },
): Promise<RoomPageView> {
  const found: RoomPageView['rooms'] = [];
  let last = after;
  do {
    const page = await rooms.list({ prefix, ...(last !== undefined && { after: last }), limit: limit + 1 });
    found.push(...page.filter(({ scope }) => mayOperateRoom(principal, scope)));
    last = page.length > limit ? page.at(-1)!.scope : undefined;
  } while (last !== undefined && found.length <= limit);
  const shown = found.slice(0, limit);
  return { rooms: shown, next: found.length > limit ? shown.at(-1)!.scope : null };
}
