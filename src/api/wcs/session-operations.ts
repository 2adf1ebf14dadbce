import type { ErrorCode } from '../../errors.ts';
import { BODY, operations, optional, required, type Operation } from '../openapi/operation.ts';

const op = operations('Streams');
const connection = operations('Connections');
const STREAM_NOT_FOUND: readonly ErrorCode[] = ['STREAM_NOT_FOUND'];
const SESSION_NOT_FOUND: readonly ErrorCode[] = ['SESSION_NOT_FOUND'];
const SESSIONS = { listOf: 'StreamSession' } as const;
const CONNECTIONS = { listOf: 'Connection' } as const;
const FORMAT: Operation['query'] = {
  format: { schema: { type: 'string', enum: ['text', 'json'], default: 'text' }, description: 'Format of the answer.' },
};

/** WCS's `/stream/*`, `/connection/*`, `/data/*` and `/stat`. */
export const SESSION_OPERATIONS: readonly Operation[] = [
  op('post', '/rest-api/stream/find', 'findStreams', 'Find publishers and players; an empty filter finds all', {
    body: optional('StreamFilter'),
    answer: SESSIONS,
    errors: [...BODY, ...STREAM_NOT_FOUND],
    cluster: 'all',
  }),
  op('get', '/rest-api/stream/find_all', 'listStreamSessions', 'All publishers and players', {
    answer: SESSIONS,
    errors: STREAM_NOT_FOUND,
    cluster: 'all',
  }),
  op(
    'post',
    '/rest-api/stream/find_all',
    'listStreamSessionsByPost',
    'All publishers and players, for clients that always send POST',
    { answer: SESSIONS, errors: [...BODY, ...STREAM_NOT_FOUND], cluster: 'all' },
  ),
  op(
    'post',
    '/rest-api/stream/terminate',
    'terminateStream',
    'End publishers or players by id, or the publisher of a name',
    { body: required('StreamTerminate'), errors: [...BODY, ...STREAM_NOT_FOUND], cluster: 'holder' },
  ),
  op('post', '/rest-api/stream/snapshot', 'takeSnapshot', 'The current frame of a stream', {
    body: required('SnapshotRequest'),
    answer: 'Snapshot',
    errors: [...BODY, ...STREAM_NOT_FOUND, 'ENCODER_FAILED', 'FRAME_TOO_LARGE', 'LIMIT_REACHED'],
    cluster: 'owner',
  }),
  op('post', '/rest-api/stream/event/send', 'sendStreamEvent', 'Send data to the players of a stream', {
    body: required('StreamEvent'),
    errors: [...BODY, ...STREAM_NOT_FOUND],
    cluster: 'owner',
  }),
  connection(
    'post',
    '/rest-api/connection/find',
    'findConnections',
    'Find WebSocket connections; an empty filter finds all',
    {
      body: optional('ConnectionFilter'),
      answer: CONNECTIONS,
      errors: [...BODY, ...SESSION_NOT_FOUND],
      cluster: 'all',
    },
  ),
  connection('get', '/rest-api/connection/find_all', 'listConnections', 'All WebSocket connections', {
    answer: CONNECTIONS,
    errors: SESSION_NOT_FOUND,
    cluster: 'all',
  }),
  connection(
    'post',
    '/rest-api/connection/find_all',
    'listConnectionsByPost',
    'All WebSocket connections, for clients that always send POST',
    { answer: CONNECTIONS, errors: [...BODY, ...SESSION_NOT_FOUND], cluster: 'all' },
  ),
  connection(
    'post',
    '/rest-api/connection/terminate',
    'terminateConnection',
    'End a WebSocket connection and its streams',
    { body: required('ConnectionId'), errors: [...BODY, ...SESSION_NOT_FOUND], cluster: 'holder' },
  ),
  connection('post', '/rest-api/data/send', 'sendData', 'Send data to a WebSocket connection', {
    body: required('Data'),
    errors: [...BODY, ...SESSION_NOT_FOUND],
    cluster: 'holder',
  }),
  operations('Monitoring')(
    'get',
    '/rest-api/stat',
    'getStatistics',
    'Statistics under the keys of WCS; also at /?action=stat',
    { query: FORMAT, answer: { text: 'text/plain' }, errors: ['INVALID_REQUEST'] },
  ),
];
