import type { ErrorCode } from '../../errors.ts';
import { BODY as BODY_ERRORS, operations, type Operation } from '../openapi/operation.ts';

const op = operations('Calls');
const BODY: readonly ErrorCode[] = [...BODY_ERRORS, 'SIP_DISABLED'];
const CALLS = { listOf: 'Call' } as const;
const NOT_FOUND: readonly ErrorCode[] = ['CALL_NOT_FOUND'];
const START: readonly ErrorCode[] = [
  ...BODY,
  'INVALID_RTMP_URL',
  'CALLEE_FORBIDDEN',
  'SIP_DESTINATION_FORBIDDEN',
  'SIP_DESTINATION_NOT_RESOLVED',
  'CALL_EXISTS',
  'STREAM_NAME_IN_USE',
  'LIMIT_REACHED',
  'OVERLOADED',
];
const ESTABLISHED: readonly ErrorCode[] = [...BODY, ...NOT_FOUND, 'CALL_NOT_ESTABLISHED'];

const post = (path: string, id: string, summary: string, more: Partial<Operation>): Operation =>
  op('post', path, id, summary, { errors: BODY, ...more });

/** WCS's `/call/*` and `/RESTCall/*`. A call is at one node. */
export const CALL_OPERATIONS: readonly Operation[] = [
  post('/rest-api/call/startup', 'startCall', 'Call a SIP number, and make the call a stream', {
    body: { schema: 'CallStart', required: true },
    errors: START,
  }),
  post('/rest-api/call/find', 'findCalls', 'Find calls that are not over; an empty filter finds all', {
    body: { schema: 'CallFilter', required: false },
    answer: CALLS,
    errors: [...BODY, ...NOT_FOUND],
  }),
  op('get', '/rest-api/call/find_all', 'listCalls', 'All calls that are not over', {
    answer: CALLS,
    errors: ['SIP_DISABLED', ...NOT_FOUND],
  }),
  post('/rest-api/call/find_all', 'listCallsByPost', 'All calls, for clients that always send POST', {
    answer: CALLS,
    errors: [...BODY, ...NOT_FOUND],
  }),
  post('/rest-api/call/terminate', 'endCall', 'End a call', {
    body: { schema: 'CallId', required: true },
    errors: [...BODY, ...NOT_FOUND],
  }),
  post('/rest-api/call/send_dtmf', 'sendDtmf', 'Send digits to the other side', {
    body: { schema: 'Dtmf', required: true },
    errors: ESTABLISHED,
  }),
  post('/rest-api/call/inject_sound', 'injectSound', 'Play a sound file to the other side', {
    body: { schema: 'InjectSound', required: true },
    errors: [...ESTABLISHED, 'SOUND_FILE_NOT_FOUND', 'SOUND_FILE_INVALID'],
  }),
  ...(
    [
      ['inject_stream', 'injectStream'],
      ['inject_stream/startup', 'startInjectStream'],
    ] as const
  ).map(([path, id]) =>
    post(`/rest-api/call/${path}`, id, 'Send the audio of a stream to the other side', {
      body: { schema: 'InjectStream', required: true },
      errors: [...ESTABLISHED, 'STREAM_NOT_FOUND', 'NO_COMMON_CODECS', 'ENCODER_FAILED'],
    }),
  ),
  post('/rest-api/call/inject_stream/terminate', 'endInjectStream', 'Send silence to the other side again', {
    body: { schema: 'EndInjection', required: true },
    errors: [...BODY, ...NOT_FOUND],
  }),
  post('/RESTCall/call', 'startRestCall', 'The same as /rest-api/call/startup, for older pages', {
    body: { schema: 'RestCall', required: true },
    errors: START,
  }),
  post('/RESTCall/getStatus', 'getRestCallStatus', 'The status of a call as plain text', {
    body: { schema: 'CallId', required: true },
    answer: { text: 'text/plain' },
    errors: [...BODY, ...NOT_FOUND],
  }),
  post('/RESTCall/getCalls', 'getRestCalls', 'All calls that are not over', {
    answer: CALLS,
    errors: [...BODY, ...NOT_FOUND],
  }),
  post('/RESTCall/sendDTMF', 'sendRestCallDtmf', 'Send digits to the other side', {
    body: { schema: 'Dtmf', required: true },
    errors: ESTABLISHED,
  }),
  post('/RESTCall/hangup', 'endRestCall', 'End a call', {
    body: { schema: 'CallId', required: true },
    errors: [...BODY, ...NOT_FOUND],
  }),
  op('get', '/api/v1/calls', 'inspectCalls', 'Calls, or the last ones that are over, with the reason of their end', {
    query: { ended: { schema: { type: 'boolean', default: false }, description: 'Those that are over.' } },
    answer: CALLS,
    errors: ['INVALID_REQUEST'],
  }),
  op('get', '/api/v1/sip/registrations', 'listRegistrations', 'The accounts of sip_register and their state', {
    answer: { listOf: 'SipRegistration' },
  }),
];
