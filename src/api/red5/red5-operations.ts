import type { ErrorCode } from '../../errors.ts';
import { ACCESS_TOKEN, operations, RECORDING_REFUSALS, type Operation } from '../openapi/operation.ts';

const op = operations('Red5');
const STREAM_NOT_FOUND: readonly ErrorCode[] = ['STREAM_NOT_FOUND'];
const APPLICATION = '/api/v1/applications/{app}';

const RED5_STOP: readonly ErrorCode[] = ['STREAM_NOT_FOUND', 'RECORDING_NOT_FOUND'];

/** Red5's server API. */
export const RED5_OPERATIONS: readonly Operation[] = (
  [
    ['get', '/api/v1/server', 'getRed5Server', 'Version and uptime', [], 'any'],
    ['get', '/api/v1/server/ping', 'pingRed5Server', 'The time', [], 'any'],
    ['get', '/api/v1/server/statistics', 'getRed5ServerStatistics', 'Machine, memory and connections', [], undefined],
    ['get', '/api/v1/applications', 'listRed5Applications', 'Applications', [], 'all'],
    [
      'get',
      `${APPLICATION}/statistics`,
      'getRed5Application',
      'Counters of an application',
      ['ROUTE_NOT_FOUND'],
      'all',
    ],
    ['get', `${APPLICATION}/clients`, 'listRed5Clients', 'Ids of clients', ['ROUTE_NOT_FOUND'], 'all'],
    ['get', `${APPLICATION}/clients/{id}`, 'getRed5Client', 'A client', ['SESSION_NOT_FOUND'], 'holder'],
    ['delete', `${APPLICATION}/clients/{id}`, 'endRed5Client', 'Disconnect a client', ['SESSION_NOT_FOUND'], 'holder'],
    ['get', `${APPLICATION}/streams`, 'listRed5Streams', 'Names of streams', ['ROUTE_NOT_FOUND'], 'all'],
    ['get', `${APPLICATION}/streams/{stream}`, 'getRed5Stream', 'Statistics of a stream', STREAM_NOT_FOUND, 'owner'],
    [
      'get',
      `${APPLICATION}/streams/{stream}/statistics`,
      'getRed5StreamStatistics',
      'Statistics of a stream',
      STREAM_NOT_FOUND,
      'owner',
    ],
    ...(['get', 'post'] as const).map(
      (method) =>
        [
          method,
          `${APPLICATION}/streams/{stream}/action/unpublish`,
          method === 'get' ? 'unpublishRed5Stream' : 'unpublishRed5StreamByPost',
          'End a stream',
          STREAM_NOT_FOUND,
          'owner',
        ] as const,
    ),
    ...(['startrecord', 'stoprecord'] as const).flatMap((action) =>
      (['get', 'post'] as const).map(
        (method) =>
          [
            method,
            `${APPLICATION}/streams/{stream}/action/${action}`,
            `${action === 'startrecord' ? 'startRed5Recording' : 'stopRed5Recording'}${method === 'get' ? '' : 'ByPost'}`,
            action === 'startrecord' ? 'Record a stream' : 'End the recording of a stream',
            action === 'startrecord' ? RECORDING_REFUSALS : RED5_STOP,
            'owner',
          ] as const,
      ),
    ),
    ['get', `${APPLICATION}/recordedfiles`, 'listRed5Recordings', 'Recorded files', ['ROUTE_NOT_FOUND'], 'all'],
  ] as const
).map(([method, path, id, summary, errors, cluster]) =>
  op(method, path, id, summary, { query: ACCESS_TOKEN, answer: 'Red5Answer', errors, red5: true, cluster }),
);
