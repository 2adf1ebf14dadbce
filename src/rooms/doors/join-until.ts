import { GatewayError } from '../../errors.ts';
import { Deadline } from '../../publish/deadline.ts';
import type { JoinRequest, RoomMember, Rooms } from '../room-client.ts';

/** Joins a room and leaves it at a point in time, in milliseconds since 1970. The client is told TOKEN_EXPIRED. */
export async function joinUntil(endsAt: number, rooms: Rooms, request: JoinRequest): Promise<RoomMember> {
  const { receive } = request;
  let deadline: Deadline | undefined = undefined;
  let removed = false;
  const member = await rooms.join({
    ...request,
    receive: (event) => {
      if (event.type === 'closed') {
        removed = true;
        deadline?.cancel();
      }
      receive(event);
    },
  });
  if (removed) return member;
  deadline = new Deadline(endsAt, () => {
    member.leave();
    const reason = new GatewayError(
      'TOKEN_EXPIRED',
      'The right to be in this room has expired. Get a new token and join again.',
    );
    receive({ type: 'closed', reason });
  });
  return {
    id: member.id,
    scope: member.scope,
    publish: (stream) => member.publish(stream),
    unpublish: (stream, failed) => member.unpublish(stream, failed),
    sendTo: (login, text) => member.sendTo(login, text),
    sendText: (text) => member.sendText(text),
    connectObject: (object, persistent) => member.connectObject(object, persistent),
    disconnectObject: (object) => member.disconnectObject(object),
    change: (object, operation) => member.change(object, operation),
    leave: () => {
      deadline?.cancel();
      member.leave();
    },
  };
}
