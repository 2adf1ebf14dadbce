import type { ErrorCode } from '../../errors.ts';
import { BODY, operations, optional, required, TRANSPONDERS, type Operation } from '../openapi/operation.ts';

const op = operations('Push');
const NOT_FOUND: readonly ErrorCode[] = ['TRANSPONDER_NOT_FOUND'];
const SAVED: readonly ErrorCode[] = ['SAVED_DESTINATION_NOT_FOUND', 'DESTINATION_GROUP_NOT_FOUND'];

/** WCS's `/push/*`. */
export const PUSH_OPERATIONS: readonly Operation[] = [
  op('post', '/rest-api/push/startup', 'startPush', 'Republish a live stream to an RTMP server', {
    body: required('StartRequest'),
    answer: { anyOf: ['Transponder', { listOf: 'GroupStart' }] },
    errors: [
      ...BODY,
      ...SAVED,
      'CHECK_FAILED',
      'INVALID_RTMP_URL',
      'DESTINATION_NOT_RESOLVED',
      'DESTINATION_FORBIDDEN',
      'TRANSCODING_DISABLED',
      'SOUND_FILE_INVALID',
      'STREAM_NOT_FOUND',
      'SOUND_FILE_NOT_FOUND',
      'STANDBY_FILE_NOT_FOUND',
      'STANDBY_FILE_INVALID',
      'NOT_IMPLEMENTED',
      'TRANSPONDER_EXISTS',
      'STREAM_STOPPED',
      'PUBLISHER_LOST',
      'LIMIT_REACHED',
      'DNS_UNAVAILABLE',
      'WORKER_DIED',
    ],
    cluster: 'owner',
  }),
  op(
    'post',
    '/rest-api/push/check',
    'checkPush',
    'Check the stream and the way to the server without starting the push',
    {
      body: required('StartRequest'),
      answer: { anyOf: [{ listOf: 'Verdict' }, { listOf: 'GroupCheck' }] },
      errors: [...BODY, ...SAVED, 'INVALID_RTMP_URL', 'LIMIT_REACHED'],
      cluster: 'owner',
    },
  ),
  op('post', '/rest-api/push/find', 'findPushes', 'Find transponders; an empty filter finds all', {
    body: optional('Filter'),
    answer: TRANSPONDERS,
    errors: [...BODY, ...NOT_FOUND],
    cluster: 'all',
  }),
  op('get', '/rest-api/push/find_all', 'listPushes', 'All transponders', {
    answer: TRANSPONDERS,
    errors: NOT_FOUND,
    cluster: 'all',
  }),
  op('post', '/rest-api/push/find_all', 'listPushesByPost', 'All transponders, for clients that always send POST', {
    answer: TRANSPONDERS,
    errors: [...BODY, ...NOT_FOUND],
    cluster: 'all',
  }),
  op(
    'post',
    '/rest-api/push/terminate',
    'terminatePush',
    'End a transponder, or those of a stream that were started with a group',
    { body: required('TerminateRequest'), errors: [...BODY, ...NOT_FOUND], cluster: 'holder' },
  ),
  ...(
    [
      ['mute', 'mutePush', 'Send silence instead of the audio'],
      ['unmute', 'unmutePush', 'Send the audio again'],
      ['sound_off', 'stopSound', 'End a sound file'],
    ] as const
  ).map(([name, id, summary]) =>
    op('post', `/rest-api/push/${name}`, id, summary, {
      body: required('TransponderId'),
      errors: [...BODY, ...NOT_FOUND],
      cluster: 'holder',
    }),
  ),
  op('post', '/rest-api/push/sound_on', 'startSound', 'Send a sound file instead of the audio', {
    body: required('SoundOn'),
    errors: [...BODY, ...NOT_FOUND, 'SOUND_FILE_NOT_FOUND', 'SOUND_FILE_INVALID'],
    cluster: 'holder',
  }),
  op(
    'post',
    '/rest-api/push/standby',
    'switchStandby',
    'Switch a push to standby by hand or back, and change its standby picture',
    {
      body: required('StandbySwitch'),
      errors: [...BODY, ...NOT_FOUND, 'STANDBY_FILE_NOT_FOUND', 'STANDBY_FILE_INVALID'],
      cluster: 'holder',
    },
  ),
];
