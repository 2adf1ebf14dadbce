import {
  ACCESS_TOKEN,
  BODY,
  operations,
  RECORDING_REFUSALS,
  required,
  SNAPSHOT_FAILURES,
  TOKEN,
  type Operation,
} from '../openapi/operation.ts';

const op = operations('Recordings');
const ONE_RECORDING = '/api/v1/recordings/{id}';

export const RECORDING_OPERATIONS: readonly Operation[] = [
  op('post', '/rest-api/stream/startRecording', 'startRecording', 'Record a live stream', {
    body: required('RecordRequest'),
    errors: [...BODY, ...RECORDING_REFUSALS],
    cluster: 'holder',
  }),
  op(
    'post',
    '/rest-api/stream/stopRecording',
    'stopRecording',
    'End the recording of a stream; answered when the file is finished',
    {
      body: required('RecordRequest'),
      errors: [...BODY, 'STREAM_NOT_FOUND', 'RECORDING_NOT_FOUND'],
      cluster: 'holder',
    },
  ),
  op('get', '/api/v1/recordings', 'listRecordings', 'Recorded files, the newest first', {
    query: {
      stream: { schema: { type: 'string' }, description: 'Only of this stream.' },
      state: {
        schema: { type: 'string', enum: ['recording', 'finishing', 'complete', 'failed'] },
        description: 'Only in this state.',
      },
      limit: { schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, description: 'Of one page.' },
      after: { schema: { type: 'string' }, description: '`next` of the page before.' },
    },
    answer: 'RecordingPage',
    errors: ['INVALID_REQUEST'],
  }),
  op('get', ONE_RECORDING, 'getRecording', 'A recorded file', { answer: 'Recording', errors: ['RECORDING_NOT_FOUND'] }),
  op(
    'get',
    `${ONE_RECORDING}/file`,
    'getRecordingFile',
    'The bytes of a recorded file, or a range of them; FLV as video/x-flv. 302 to the bucket with s3_redirect, if the file is only there',
    {
      query: ACCESS_TOKEN,
      answer: { text: 'video/mp4' },
      errors: ['RECORDING_NOT_FOUND', 'RANGE_NOT_SATISFIABLE', 'STORAGE_UNAVAILABLE'],
    },
  ),
  op(
    'get',
    `${ONE_RECORDING}/poster.jpg`,
    'getRecordingPoster',
    'A frame of a recording that has ended, 480 pixels wide at most',
    {
      query: ACCESS_TOKEN,
      answer: { text: 'image/jpeg' },
      errors: ['RECORDING_NOT_FOUND', 'RECORDING_RUNNING', ...SNAPSHOT_FAILURES],
    },
  ),
  op('delete', ONE_RECORDING, 'deleteRecording', 'Delete a recording and its file, in the bucket as well', {
    status: 204,
    errors: ['RECORDING_NOT_FOUND', 'RECORDING_RUNNING', 'DISK_FAILED', 'STORAGE_UNAVAILABLE'],
  }),
  op('get', '/client/records/{name}', 'getClientRecord', 'A recorded file by its name, at the path of WCS', {
    query: TOKEN,
    answer: { text: 'video/mp4' },
    errors: ['RECORDING_NOT_FOUND', 'RANGE_NOT_SATISFIABLE', 'STORAGE_UNAVAILABLE'],
  }),
];
