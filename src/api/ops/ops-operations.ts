import {
  ACCESS_TOKEN,
  MOVE,
  operations,
  SNAPSHOT_FAILURES,
  TRANSPONDERS,
  type Operation,
} from '../openapi/operation.ts';

const op = operations('Inspection');
const monitoring = operations('Monitoring');

export const INSPECTION_OPERATIONS: readonly Operation[] = [
  op('get', '/api/v1/events', 'followEvents', 'What happens, as server-sent events: a snapshot, then changes', {
    query: {
      only: { schema: { type: 'string', enum: ['events'] }, description: 'events: without streams and pushes.' },
    },
    answer: { text: 'text/event-stream' },
    errors: ['INVALID_REQUEST', 'LIMIT_REACHED'],
  }),
  op(
    'get',
    '/api/v1/settings',
    'listSettings',
    'The settings, their defaults and where they come from, without secrets',
    { answer: { listOf: 'Setting' }, cluster: 'any' },
  ),
  op('get', '/api/v1/transponders', 'listTransponders', 'Transponders without secrets; none is an empty array', {
    query: {
      ended: {
        schema: { type: 'string', enum: ['true', 'false'], default: 'false' },
        description: 'true: those that have ended, the latest first.',
      },
    },
    answer: TRANSPONDERS,
    errors: ['INVALID_REQUEST'],
    cluster: 'all',
  }),
  op('get', '/api/v1/platforms', 'listPlatforms', 'The platforms that a push can name, and their rules', {
    answer: { listOf: 'Platform' },
    cluster: 'any',
  }),
  op('get', '/api/v1/me', 'getPrincipal', 'Who the caller is and what it may do', {
    answer: 'Principal',
    cluster: 'any',
  }),
  op(
    'post',
    '/api/v1/streams/{stream}/token',
    'renewToken',
    "The caller's publications and players of the stream last as long as this credential",
    { answer: 'Renewal', errors: ['STREAM_NOT_FOUND'], cluster: 'owner' },
  ),
  op('get', '/api/v1/streams', 'listStreams', 'Live streams; none is an empty array', {
    answer: { listOf: 'Stream' },
    cluster: 'all',
  }),
  ...(['jpg', 'png'] as const).map((extension) =>
    op(
      'get',
      `/api/v1/streams/{name}/snapshot.${extension}`,
      extension === 'jpg' ? 'getStreamJpeg' : 'getStreamPng',
      'The current frame of a stream; X-Frame-Time and Last-Modified say when it has arrived',
      {
        query: {
          width: {
            schema: { type: 'integer', minimum: 16, maximum: 3840 },
            description: 'Pixels. Frames are not enlarged.',
          },
          t: { schema: { type: 'string' }, description: 'Has no effect; makes the URL another one.' },
          ...ACCESS_TOKEN,
        },
        answer: { text: extension === 'jpg' ? 'image/jpeg' : 'image/png' },
        headers: ['X-Frame-Time', 'Last-Modified'],
        errors: ['INVALID_REQUEST', 'STREAM_NOT_FOUND', 'FRAME_TOO_LARGE', ...SNAPSHOT_FAILURES],
        cluster: 'owner',
      },
    ),
  ),
];

export const MONITORING_OPERATIONS: readonly Operation[] = [
  monitoring(
    'get',
    '/health',
    'getHealth',
    'State of the gateway; 503 with the same body while it cannot take streams',
    { answer: 'Health', whileUnavailable: 'Health', open: true },
  ),
  monitoring(
    'get',
    '/health/live',
    'getLiveness',
    'State of the gateway; 503 with the same body if a restart would help',
    { answer: 'Health', whileUnavailable: 'Health', open: true },
  ),
  monitoring(
    'get',
    '/health/ready',
    'getReadiness',
    'State of the gateway; 503 with the same body while new streams should go elsewhere',
    { answer: 'Health', whileUnavailable: 'Health', open: true },
  ),
  monitoring(
    'post',
    '/api/v1/server/drain',
    'drain',
    'Refuse new streams, and end the gateway when those that run have ended or moved to other nodes',
    { query: MOVE, status: 202, answer: 'Health' },
  ),
  monitoring('get', '/metrics', 'getMetrics', "Metrics in Prometheus's text format", {
    answer: { text: 'text/plain' },
    open: true,
  }),
  monitoring('get', '/openapi.json', 'getOpenApi', 'This document', { open: true }),
];
