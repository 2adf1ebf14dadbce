import type { ErrorCode } from '../../errors.ts';
import { BODY, operations, optional, required, type Operation } from '../openapi/operation.ts';

const op = operations('Rooms');
const ONE_ROOM = '/api/v1/rooms/{room}';
const ONE_OBJECT = `${ONE_ROOM}/objects/{name}`;
const ROOMS_AWAY: readonly ErrorCode[] = ['NOT_IMPLEMENTED', 'CLUSTER_UNAVAILABLE'];
const NO_ROOM: readonly ErrorCode[] = ['INVALID_REQUEST', 'ROOM_NOT_FOUND', ...ROOMS_AWAY];

export const ROOM_OPERATIONS: readonly Operation[] = [
  op('get', '/api/v1/rooms', 'listRooms', 'Rooms that have members or keep objects', {
    query: {
      prefix: { schema: { type: 'string' }, description: 'Only rooms whose path begins with this.' },
      limit: { schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, description: 'Of one page.' },
      after: { schema: { type: 'string' }, description: '`next` of the page before.' },
    },
    answer: 'RoomPage',
    errors: ['INVALID_REQUEST', ...ROOMS_AWAY],
    cluster: 'any',
  }),
  op('get', ONE_ROOM, 'getRoom', 'A room with its members and objects; its path is percent-encoded: live%2Froom1', {
    answer: 'Room',
    errors: NO_ROOM,
    cluster: 'any',
  }),
  op('patch', ONE_ROOM, 'changeRoom', 'Change the attributes of a room and the number of members that it takes', {
    body: required('RoomChange'),
    answer: 'Room',
    errors: [...BODY, 'ROOM_NOT_FOUND', 'LIMIT_REACHED', ...ROOMS_AWAY],
    cluster: 'any',
  }),
  op('post', `${ONE_ROOM}/messages`, 'sendRoomMessage', 'Send a text to all members of a room', {
    body: required('RoomMessage'),
    status: 204,
    errors: [...BODY, 'ROOM_NOT_FOUND', ...ROOMS_AWAY],
    cluster: 'any',
  }),
  op('delete', `${ONE_ROOM}/members/{id}`, 'removeRoomMember', 'Remove a member from a room; it is told why', {
    body: optional('MemberRemoval'),
    status: 204,
    errors: [...BODY, 'ROOM_NOT_FOUND', 'MEMBER_NOT_FOUND', ...ROOMS_AWAY],
    cluster: 'any',
  }),
  op(
    'post',
    `${ONE_OBJECT}/acquire`,
    'acquireObject',
    'Keep an object and its room without members; creates what is missing',
    { status: 204, errors: ['INVALID_REQUEST', 'LIMIT_REACHED', ...ROOMS_AWAY], cluster: 'any' },
  ),
  op('post', `${ONE_OBJECT}/release`, 'releaseObject', 'Undo one acquire', {
    status: 204,
    errors: [...NO_ROOM, 'OBJECT_NOT_FOUND'],
    cluster: 'any',
  }),
  op('delete', ONE_OBJECT, 'deleteObject', 'Remove an object, also a persistent one', {
    status: 204,
    errors: [...NO_ROOM, 'OBJECT_NOT_FOUND'],
    cluster: 'any',
  }),
];
