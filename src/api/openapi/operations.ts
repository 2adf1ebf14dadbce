import type { z } from 'zod';
import type { ErrorCode } from '../../errors.ts';
import { MemberRemovalSchema, RoomChangeSchema, RoomMessageSchema } from '../ops/rooms-schemas.ts';
import {
  CallFilterSchema,
  CallIdSchema,
  CallStartSchema,
  DtmfSchema,
  InjectSoundSchema,
  InjectStreamSchema,
  RestCallSchema,
} from '../wcs/call-schemas.ts';
import { StandbySwitchSchema } from '../wcs/standby-schemas.ts';
import { FilterSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from '../wcs/schemas.ts';
import {
  ConnectionFilterSchema,
  ConnectionIdSchema,
  DataSchema,
  RecordSchema,
  SnapshotSchema,
  StreamEventSchema,
  StreamFilterSchema,
  StreamTerminateSchema,
} from '../wcs/session-schemas.ts';
import {
  ConnectionSchema,
  ErrorSchema,
  HealthSchema,
  NodeAddressSchema,
  NodeSchema,
  PrincipalSchema,
  RecordingPageSchema,
  RecordingViewSchema,
  Red5AnswerSchema,
  Red5ErrorSchema,
  RenewalSchema,
  SnapshotAnswerSchema,
  StreamSchema,
  StreamSessionSchema,
  TransponderSchema,
} from './answers.ts';
import { CALL_METHODS } from './call-operations.ts';
import { CallViewSchema } from './call-answers.ts';
import { PlatformViewSchema, VerdictSchema } from './platform-answers.ts';
import { RoomPageSchema, RoomSchema } from './room-answers.ts';

/**
 * The HTTP interface as the OpenAPI document describes it. Fields come from the schemas, statuses from the error table.
 */

export const SCHEMAS = {
  StartRequest: StartSchema,
  StandbySwitch: StandbySwitchSchema,
  Filter: FilterSchema,
  TransponderId: TransponderIdSchema,
  SoundOn: SoundOnSchema,
  Transponder: TransponderSchema,
  Verdict: VerdictSchema,
  Platform: PlatformViewSchema,
  Stream: StreamSchema,
  StreamFilter: StreamFilterSchema,
  StreamTerminate: StreamTerminateSchema,
  CallStart: CallStartSchema,
  RestCall: RestCallSchema,
  CallFilter: CallFilterSchema,
  CallId: CallIdSchema,
  Dtmf: DtmfSchema,
  InjectSound: InjectSoundSchema,
  InjectStream: InjectStreamSchema,
  Call: CallViewSchema,
  SnapshotRequest: SnapshotSchema,
  RecordRequest: RecordSchema,
  StreamEvent: StreamEventSchema,
  Data: DataSchema,
  ConnectionFilter: ConnectionFilterSchema,
  ConnectionId: ConnectionIdSchema,
  StreamSession: StreamSessionSchema,
  Connection: ConnectionSchema,
  Snapshot: SnapshotAnswerSchema,
  Recording: RecordingViewSchema,
  RecordingPage: RecordingPageSchema,
  RoomPage: RoomPageSchema,
  Room: RoomSchema,
  RoomChange: RoomChangeSchema,
  RoomMessage: RoomMessageSchema,
  MemberRemoval: MemberRemovalSchema,
  Principal: PrincipalSchema,
  Renewal: RenewalSchema,
  Health: HealthSchema,
  Node: NodeSchema,
  NodeAddress: NodeAddressSchema,
  Error: ErrorSchema,
  Red5Answer: Red5AnswerSchema,
  Red5Error: Red5ErrorSchema,
} satisfies Record<string, z.ZodObject>;
export type SchemaName = keyof typeof SCHEMAS;

/** A media type other than JSON. */
type TextType =
  | 'application/sdp'
  | 'application/trickle-ice-sdpfrag'
  | 'text/plain'
  | 'video/mp4'
  | 'image/jpeg'
  | 'image/png'
  | 'application/vnd.apple.mpegurl';

export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  readonly path: string;
  readonly id: string;
  readonly tag:
    | 'Push'
    | 'Calls'
    | 'Streams'
    | 'Connections'
    | 'Red5'
    | 'Inspection'
    | 'Recordings'
    | 'HLS'
    | 'Rooms'
    | 'Monitoring'
    | 'WHIP'
    | 'WHEP'
    | 'Cluster';
  readonly summary: string;
  readonly body?: { readonly schema: SchemaName; readonly required: boolean } | { readonly text: TextType };
  /** Status of success, 200 unless set. */
  readonly status?: number;
  readonly answer?: SchemaName | { readonly listOf: SchemaName } | { readonly text: TextType };
  readonly headers?: readonly string[];
  readonly query?: Readonly<Record<string, { readonly schema: object; readonly description: string }>>;
  /** Body of a 503, where it is not an error. */
  readonly whileUnavailable?: SchemaName;
  /** Needs no key, even where one is set. */
  readonly open?: boolean;
  readonly errors: readonly ErrorCode[];
  /** Answers in the envelope of Red5, errors included. */
  readonly red5?: boolean;
}

const BODY: readonly ErrorCode[] = ['INVALID_REQUEST', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];
const NOT_FOUND: readonly ErrorCode[] = ['TRANSPONDER_NOT_FOUND'];
const TRANSPONDERS = { listOf: 'Transponder' } as const;
const BY_ID = { schema: 'TransponderId', required: true } as const;
const SDP = { text: 'application/sdp' } as const;
const FRAGMENT = { text: 'application/trickle-ice-sdpfrag' } as const;

const PUSH: readonly Operation[] = [
  {
    method: 'post',
    path: '/rest-api/push/startup',
    id: 'startPush',
    tag: 'Push',
    summary: 'Republish a live stream to an RTMP server',
    body: { schema: 'StartRequest', required: true },
    answer: 'Transponder',
    errors: [
      ...BODY,
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
  },
  {
    method: 'post',
    path: '/rest-api/push/check',
    id: 'checkPush',
    tag: 'Push',
    summary: 'Check the stream and the way to the server without starting the push',
    body: { schema: 'StartRequest', required: true },
    answer: { listOf: 'Verdict' },
    errors: [...BODY, 'INVALID_RTMP_URL', 'LIMIT_REACHED'],
  },
  {
    method: 'post',
    path: '/rest-api/push/find',
    id: 'findPushes',
    tag: 'Push',
    summary: 'Find transponders; an empty filter finds all',
    body: { schema: 'Filter', required: false },
    answer: TRANSPONDERS,
    errors: [...BODY, ...NOT_FOUND],
  },
  {
    method: 'get',
    path: '/rest-api/push/find_all',
    id: 'listPushes',
    tag: 'Push',
    summary: 'All transponders',
    answer: TRANSPONDERS,
    errors: NOT_FOUND,
  },
  {
    method: 'post',
    path: '/rest-api/push/find_all',
    id: 'listPushesByPost',
    tag: 'Push',
    summary: 'All transponders, for clients that always send POST',
    answer: TRANSPONDERS,
    errors: [...BODY, ...NOT_FOUND],
  },
  ...(
    [
      ['terminate', 'terminatePush', 'End a transponder'],
      ['mute', 'mutePush', 'Send silence instead of the audio'],
      ['unmute', 'unmutePush', 'Send the audio again'],
      ['sound_off', 'stopSound', 'End a sound file'],
    ] as const
  ).map(([name, id, summary]): Operation => ({
    method: 'post',
    path: `/rest-api/push/${name}`,
    id,
    tag: 'Push',
    summary,
    body: BY_ID,
    errors: [...BODY, ...NOT_FOUND],
  })),
  {
    method: 'post',
    path: '/rest-api/push/sound_on',
    id: 'startSound',
    tag: 'Push',
    summary: 'Send a sound file instead of the audio',
    body: { schema: 'SoundOn', required: true },
    errors: [...BODY, ...NOT_FOUND, 'SOUND_FILE_NOT_FOUND', 'SOUND_FILE_INVALID'],
  },
  {
    method: 'post',
    path: '/rest-api/push/standby',
    id: 'switchStandby',
    tag: 'Push',
    summary: 'Switch a push to standby by hand or back, and change its standby picture',
    body: { schema: 'StandbySwitch', required: true },
    errors: [...BODY, ...NOT_FOUND, 'STANDBY_FILE_NOT_FOUND', 'STANDBY_FILE_INVALID'],
  },
];

const STREAM_NOT_FOUND: readonly ErrorCode[] = ['STREAM_NOT_FOUND'];
const SESSION_NOT_FOUND: readonly ErrorCode[] = ['SESSION_NOT_FOUND'];
const SESSIONS = { listOf: 'StreamSession' } as const;
const CONNECTIONS = { listOf: 'Connection' } as const;
const FORMAT: Operation['query'] = {
  format: { schema: { type: 'string', enum: ['text', 'json'], default: 'text' }, description: 'Format of the answer.' },
};

const SESSION_METHODS: readonly Operation[] = [
  {
    method: 'post',
    path: '/rest-api/stream/find',
    id: 'findStreams',
    tag: 'Streams',
    summary: 'Find publishers and players; an empty filter finds all',
    body: { schema: 'StreamFilter', required: false },
    answer: SESSIONS,
    errors: [...BODY, ...STREAM_NOT_FOUND],
  },
  {
    method: 'get',
    path: '/rest-api/stream/find_all',
    id: 'listStreamSessions',
    tag: 'Streams',
    summary: 'All publishers and players',
    answer: SESSIONS,
    errors: STREAM_NOT_FOUND,
  },
  {
    method: 'post',
    path: '/rest-api/stream/find_all',
    id: 'listStreamSessionsByPost',
    tag: 'Streams',
    summary: 'All publishers and players, for clients that always send POST',
    answer: SESSIONS,
    errors: [...BODY, ...STREAM_NOT_FOUND],
  },
  {
    method: 'post',
    path: '/rest-api/stream/terminate',
    id: 'terminateStream',
    tag: 'Streams',
    summary: 'End publishers or players by id, or the publisher of a name',
    body: { schema: 'StreamTerminate', required: true },
    errors: [...BODY, ...STREAM_NOT_FOUND],
  },
  {
    method: 'post',
    path: '/rest-api/stream/snapshot',
    id: 'takeSnapshot',
    tag: 'Streams',
    summary: 'The current frame of a stream',
    body: { schema: 'SnapshotRequest', required: true },
    answer: 'Snapshot',
    errors: [...BODY, ...STREAM_NOT_FOUND, 'ENCODER_FAILED', 'FRAME_TOO_LARGE', 'LIMIT_REACHED'],
  },
  {
    method: 'post',
    path: '/rest-api/stream/event/send',
    id: 'sendStreamEvent',
    tag: 'Streams',
    summary: 'Send data to the players of a stream',
    body: { schema: 'StreamEvent', required: true },
    errors: [...BODY, ...STREAM_NOT_FOUND],
  },
  {
    method: 'post',
    path: '/rest-api/connection/find',
    id: 'findConnections',
    tag: 'Connections',
    summary: 'Find WebSocket connections; an empty filter finds all',
    body: { schema: 'ConnectionFilter', required: false },
    answer: CONNECTIONS,
    errors: [...BODY, ...SESSION_NOT_FOUND],
  },
  {
    method: 'get',
    path: '/rest-api/connection/find_all',
    id: 'listConnections',
    tag: 'Connections',
    summary: 'All WebSocket connections',
    answer: CONNECTIONS,
    errors: SESSION_NOT_FOUND,
  },
  {
    method: 'post',
    path: '/rest-api/connection/find_all',
    id: 'listConnectionsByPost',
    tag: 'Connections',
    summary: 'All WebSocket connections, for clients that always send POST',
    answer: CONNECTIONS,
    errors: [...BODY, ...SESSION_NOT_FOUND],
  },
  {
    method: 'post',
    path: '/rest-api/connection/terminate',
    id: 'terminateConnection',
    tag: 'Connections',
    summary: 'End a WebSocket connection and its streams',
    body: { schema: 'ConnectionId', required: true },
    errors: [...BODY, ...SESSION_NOT_FOUND],
  },
  {
    method: 'post',
    path: '/rest-api/data/send',
    id: 'sendData',
    tag: 'Connections',
    summary: 'Send data to a WebSocket connection',
    body: { schema: 'Data', required: true },
    errors: [...BODY, ...SESSION_NOT_FOUND],
  },
  {
    method: 'get',
    path: '/rest-api/stat',
    id: 'getStatistics',
    tag: 'Monitoring',
    summary: 'Statistics under the keys of WCS; also at /?action=stat',
    query: FORMAT,
    answer: { text: 'text/plain' },
    errors: ['INVALID_REQUEST'],
  },
];

const MOVE: Operation['query'] = {
  move: {
    schema: { type: 'boolean', default: true },
    description: 'Of a node of a cluster: `false` lets its streams run until they end.',
  },
};
const ACCESS_TOKEN: Operation['query'] = { accessToken: { schema: { type: 'string' }, description: 'Credential.' } };
const APPLICATION = '/api/v1/applications/{app}';

const RECORDING_REFUSALS: readonly ErrorCode[] = [
  'RECORDING_DISABLED',
  'RECORDING_EXISTS',
  'STREAM_NOT_FOUND',
  'STREAM_STOPPED',
  'PUBLISHER_LOST',
  'LIMIT_REACHED',
  'DISK_FULL',
  'DISK_FAILED',
];
const RED5_STOP: readonly ErrorCode[] = ['STREAM_NOT_FOUND', 'RECORDING_NOT_FOUND'];

const RED5 = (
  [
    ['get', '/api/v1/server', 'getRed5Server', 'Version and uptime', []],
    ['get', '/api/v1/server/ping', 'pingRed5Server', 'The time', []],
    ['get', '/api/v1/server/statistics', 'getRed5ServerStatistics', 'Machine, memory and connections', []],
    ['get', '/api/v1/applications', 'listRed5Applications', 'Applications', []],
    ['get', `${APPLICATION}/statistics`, 'getRed5Application', 'Counters of an application', ['ROUTE_NOT_FOUND']],
    ['get', `${APPLICATION}/clients`, 'listRed5Clients', 'Ids of clients', ['ROUTE_NOT_FOUND']],
    ['get', `${APPLICATION}/clients/{id}`, 'getRed5Client', 'A client', ['SESSION_NOT_FOUND']],
    ['delete', `${APPLICATION}/clients/{id}`, 'endRed5Client', 'Disconnect a client', ['SESSION_NOT_FOUND']],
    ['get', `${APPLICATION}/streams`, 'listRed5Streams', 'Names of streams', ['ROUTE_NOT_FOUND']],
    ['get', `${APPLICATION}/streams/{stream}`, 'getRed5Stream', 'Statistics of a stream', STREAM_NOT_FOUND],
    [
      'get',
      `${APPLICATION}/streams/{stream}/statistics`,
      'getRed5StreamStatistics',
      'Statistics of a stream',
      STREAM_NOT_FOUND,
    ],
    ...(['get', 'post'] as const).map(
      (method) =>
        [
          method,
          `${APPLICATION}/streams/{stream}/action/unpublish`,
          method === 'get' ? 'unpublishRed5Stream' : 'unpublishRed5StreamByPost',
          'End a stream',
          STREAM_NOT_FOUND,
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
          ] as const,
      ),
    ),
    ['get', `${APPLICATION}/recordedfiles`, 'listRed5Recordings', 'Recorded files', ['ROUTE_NOT_FOUND']],
  ] as const
).map(([method, path, id, summary, errors]): Operation => ({
  method,
  path,
  id,
  tag: 'Red5',
  summary,
  query: ACCESS_TOKEN,
  answer: 'Red5Answer',
  errors,
  red5: true,
}));

/** Of an image that must be decoded. */
const SNAPSHOT_FAILURES = ['ENCODER_FAILED', 'LIMIT_REACHED'] as const;

const ONE_RECORDING = '/api/v1/recordings/{id}';

const RECORDINGS: readonly Operation[] = [
  {
    method: 'post',
    path: '/rest-api/stream/startRecording',
    id: 'startRecording',
    tag: 'Recordings',
    summary: 'Record a live stream',
    body: { schema: 'RecordRequest', required: true },
    errors: [...BODY, ...RECORDING_REFUSALS],
  },
  {
    method: 'post',
    path: '/rest-api/stream/stopRecording',
    id: 'stopRecording',
    tag: 'Recordings',
    summary: 'End the recording of a stream; answered when the file is finished',
    body: { schema: 'RecordRequest', required: true },
    errors: [...BODY, 'STREAM_NOT_FOUND', 'RECORDING_NOT_FOUND'],
  },
  {
    method: 'get',
    path: '/api/v1/recordings',
    id: 'listRecordings',
    tag: 'Recordings',
    summary: 'Recorded files, the newest first',
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
  },
  {
    method: 'get',
    path: ONE_RECORDING,
    id: 'getRecording',
    tag: 'Recordings',
    summary: 'A recorded file',
    answer: 'Recording',
    errors: ['RECORDING_NOT_FOUND'],
  },
  {
    method: 'get',
    path: `${ONE_RECORDING}/file`,
    id: 'getRecordingFile',
    tag: 'Recordings',
    summary:
      'The bytes of a recorded file, or a range of them; FLV as video/x-flv. 302 to the bucket with s3_redirect, if the file is only there',
    query: ACCESS_TOKEN,
    answer: { text: 'video/mp4' },
    errors: ['RECORDING_NOT_FOUND', 'RANGE_NOT_SATISFIABLE', 'STORAGE_UNAVAILABLE'],
  },
  {
    method: 'get',
    path: `${ONE_RECORDING}/poster.jpg`,
    id: 'getRecordingPoster',
    tag: 'Recordings',
    summary: 'A frame of a recording that has ended, 480 pixels wide at most',
    query: ACCESS_TOKEN,
    answer: { text: 'image/jpeg' },
    errors: ['RECORDING_NOT_FOUND', 'RECORDING_RUNNING', ...SNAPSHOT_FAILURES],
  },
  {
    method: 'delete',
    path: ONE_RECORDING,
    id: 'deleteRecording',
    tag: 'Recordings',
    summary: 'Delete a recording and its file, in the bucket as well',
    status: 204,
    errors: ['RECORDING_NOT_FOUND', 'RECORDING_RUNNING', 'DISK_FAILED', 'STORAGE_UNAVAILABLE'],
  },
  {
    method: 'get',
    path: '/client/records/{name}',
    id: 'getClientRecord',
    tag: 'Recordings',
    summary: 'A recorded file by its name, at the path of WCS',
    query: { token: { schema: { type: 'string' }, description: 'Credential.' } },
    answer: { text: 'video/mp4' },
    errors: ['RECORDING_NOT_FOUND', 'RANGE_NOT_SATISFIABLE', 'STORAGE_UNAVAILABLE'],
  },
];

const HLS: readonly Operation[] = [
  {
    method: 'get',
    path: '/hls/{stream}/{file}',
    id: 'watchStream',
    tag: 'HLS',
    summary: 'A live stream as HLS: index.m3u8, the playlist to begin with',
    query: { token: { schema: { type: 'string' }, description: 'Credential.' } },
    answer: { text: 'application/vnd.apple.mpegurl' },
    errors: [
      'STREAM_NOT_FOUND',
      'ROUTE_NOT_FOUND',
      'LIMIT_REACHED',
      'OVERLOADED',
      'STREAM_NOT_READY',
      'TRANSCODING_DISABLED',
    ],
  },
  ...(['', '/{quality}'] as const).map((quality): Operation => ({
    method: 'get',
    path: `/hls/{stream}/{session}${quality}/{file}`,
    id: quality ? 'getHlsQualityFile' : 'getHlsFile',
    tag: 'HLS',
    summary: quality
      ? 'The same of a lower quality'
      : 'A playlist, segment or part that a playlist names; the session in the path stands for the right to play',
    query: {
      _HLS_msn: { schema: { type: 'integer' }, description: 'The segment for which the answer waits.' },
      _HLS_part: { schema: { type: 'integer' }, description: 'The part of it.' },
      _HLS_skip: {
        schema: { type: 'string', enum: ['YES', 'v2'] },
        description: 'Leave out older segments, which the player knows.',
      },
    },
    answer: { text: 'video/mp4' },
    open: true,
    errors: [
      'INVALID_REQUEST',
      'TOKEN_EXPIRED',
      'SESSION_NOT_FOUND',
      'ROUTE_NOT_FOUND',
      'LIMIT_REACHED',
      'STREAM_NOT_READY',
      ...(quality ? (['ENCODER_FAILED'] as const) : []),
    ],
  })),
];

const ONE_ROOM = '/api/v1/rooms/{room}';
const ONE_OBJECT = `${ONE_ROOM}/objects/{name}`;
const ROOMS_AWAY: readonly ErrorCode[] = ['NOT_IMPLEMENTED', 'CLUSTER_UNAVAILABLE'];
const NO_ROOM: readonly ErrorCode[] = ['INVALID_REQUEST', 'ROOM_NOT_FOUND', ...ROOMS_AWAY];

const ROOMS: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/rooms',
    id: 'listRooms',
    tag: 'Rooms',
    summary: 'Rooms that have members or keep objects',
    query: {
      prefix: { schema: { type: 'string' }, description: 'Only rooms whose path begins with this.' },
      limit: { schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, description: 'Of one page.' },
      after: { schema: { type: 'string' }, description: '`next` of the page before.' },
    },
    answer: 'RoomPage',
    errors: ['INVALID_REQUEST', ...ROOMS_AWAY],
  },
  {
    method: 'get',
    path: ONE_ROOM,
    id: 'getRoom',
    tag: 'Rooms',
    summary: 'A room with its members and objects; its path is percent-encoded: live%2Froom1',
    answer: 'Room',
    errors: NO_ROOM,
  },
  {
    method: 'patch',
    path: ONE_ROOM,
    id: 'changeRoom',
    tag: 'Rooms',
    summary: 'Change the attributes of a room and the number of members that it takes',
    body: { schema: 'RoomChange', required: true },
    answer: 'Room',
    errors: [...BODY, 'ROOM_NOT_FOUND', 'LIMIT_REACHED', ...ROOMS_AWAY],
  },
  {
    method: 'post',
    path: `${ONE_ROOM}/messages`,
    id: 'sendRoomMessage',
    tag: 'Rooms',
    summary: 'Send a text to all members of a room',
    body: { schema: 'RoomMessage', required: true },
    status: 204,
    errors: [...BODY, 'ROOM_NOT_FOUND', ...ROOMS_AWAY],
  },
  {
    method: 'delete',
    path: `${ONE_ROOM}/members/{id}`,
    id: 'removeRoomMember',
    tag: 'Rooms',
    summary: 'Remove a member from a room; it is told why',
    body: { schema: 'MemberRemoval', required: false },
    status: 204,
    errors: [...BODY, 'ROOM_NOT_FOUND', 'MEMBER_NOT_FOUND', ...ROOMS_AWAY],
  },
  {
    method: 'post',
    path: `${ONE_OBJECT}/acquire`,
    id: 'acquireObject',
    tag: 'Rooms',
    summary: 'Keep an object and its room without members; creates what is missing',
    status: 204,
    errors: ['INVALID_REQUEST', 'LIMIT_REACHED', ...ROOMS_AWAY],
  },
  {
    method: 'post',
    path: `${ONE_OBJECT}/release`,
    id: 'releaseObject',
    tag: 'Rooms',
    summary: 'Undo one acquire',
    status: 204,
    errors: [...NO_ROOM, 'OBJECT_NOT_FOUND'],
  },
  {
    method: 'delete',
    path: ONE_OBJECT,
    id: 'deleteObject',
    tag: 'Rooms',
    summary: 'Remove an object, also a persistent one',
    status: 204,
    errors: [...NO_ROOM, 'OBJECT_NOT_FOUND'],
  },
];

const INSPECTION: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/transponders',
    id: 'listTransponders',
    tag: 'Inspection',
    summary: 'Transponders without secrets; none is an empty array',
    query: {
      ended: {
        schema: { type: 'string', enum: ['true', 'false'], default: 'false' },
        description: 'true: those that have ended, the latest first.',
      },
    },
    answer: TRANSPONDERS,
    errors: ['INVALID_REQUEST'],
  },
  {
    method: 'get',
    path: '/api/v1/platforms',
    id: 'listPlatforms',
    tag: 'Inspection',
    summary: 'The platforms that a push can name, and their rules',
    answer: { listOf: 'Platform' },
    errors: [],
  },
  {
    method: 'get',
    path: '/api/v1/me',
    id: 'getPrincipal',
    tag: 'Inspection',
    summary: 'Who the caller is and what it may do',
    answer: 'Principal',
    errors: [],
  },
  {
    method: 'post',
    path: '/api/v1/streams/{stream}/token',
    id: 'renewToken',
    tag: 'Inspection',
    summary: "The caller's publications and players of the stream last as long as this credential",
    answer: 'Renewal',
    errors: ['STREAM_NOT_FOUND'],
  },
  {
    method: 'get',
    path: '/api/v1/streams',
    id: 'listStreams',
    tag: 'Inspection',
    summary: 'Live streams; none is an empty array',
    answer: { listOf: 'Stream' },
    errors: [],
  },
  ...(['jpg', 'png'] as const).map((extension): Operation => ({
    method: 'get',
    path: `/api/v1/streams/{name}/snapshot.${extension}`,
    id: extension === 'jpg' ? 'getStreamJpeg' : 'getStreamPng',
    tag: 'Inspection',
    summary: 'The current frame of a stream; X-Frame-Time and Last-Modified say when it has arrived',
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
  })),
];

const MONITORING: readonly Operation[] = [
  {
    method: 'get',
    path: '/health',
    id: 'getHealth',
    tag: 'Monitoring',
    summary: 'State of the gateway; 503 with the same body while it cannot take streams',
    answer: 'Health',
    whileUnavailable: 'Health',
    open: true,
    errors: [],
  },
  {
    method: 'get',
    path: '/health/live',
    id: 'getLiveness',
    tag: 'Monitoring',
    summary: 'State of the gateway; 503 with the same body if a restart would help',
    answer: 'Health',
    whileUnavailable: 'Health',
    open: true,
    errors: [],
  },
  {
    method: 'get',
    path: '/health/ready',
    id: 'getReadiness',
    tag: 'Monitoring',
    summary: 'State of the gateway; 503 with the same body while new streams should go elsewhere',
    answer: 'Health',
    whileUnavailable: 'Health',
    open: true,
    errors: [],
  },
  {
    method: 'post',
    path: '/api/v1/server/drain',
    id: 'drain',
    tag: 'Monitoring',
    summary: 'Refuse new streams, and end the gateway when those that run have ended or moved to other nodes',
    query: MOVE,
    status: 202,
    answer: 'Health',
    errors: [],
  },
  {
    method: 'get',
    path: '/metrics',
    id: 'getMetrics',
    tag: 'Monitoring',
    summary: "Metrics in Prometheus's text format",
    answer: { text: 'text/plain' },
    open: true,
    errors: [],
  },
  {
    method: 'get',
    path: '/openapi.json',
    id: 'getOpenApi',
    tag: 'Monitoring',
    summary: 'This document',
    open: true,
    errors: [],
  },
];

const OFFER: readonly ErrorCode[] = [
  'INVALID_REQUEST',
  'INVALID_SDP',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'NO_COMMON_CODECS',
  'LIMIT_REACHED',
  'WORKER_DIED',
];
const REPUBLISH: Operation['query'] = {
  rtmpUrl: {
    schema: { type: 'array', items: { type: 'string' }, maxItems: 32 },
    description: 'Republish to these RTMP servers from the beginning.',
  },
  transport: { schema: { type: 'string', enum: ['udp', 'tcp'] }, description: 'tcp: media over TCP only.' },
};

const WHIP: readonly Operation[] = [
  {
    method: 'post',
    path: '/whip/{stream}',
    id: 'publishByWhip',
    tag: 'WHIP',
    summary: 'Publish a stream (RFC 9725)',
    query: REPUBLISH,
    body: SDP,
    status: 201,
    answer: SDP,
    headers: ['Location', 'ETag', 'Link'],
    errors: [...OFFER, 'STREAM_NAME_IN_USE', 'OVERLOADED'],
  },
  {
    method: 'patch',
    path: '/whip/{stream}/{id}',
    id: 'patchWhipSession',
    tag: 'WHIP',
    summary: 'Candidates (204), or an ICE restart with If-Match: * (200)',
    body: FRAGMENT,
    answer: FRAGMENT,
    headers: ['ETag'],
    errors: [
      'INVALID_SDP',
      'SESSION_NOT_FOUND',
      'PRECONDITION_FAILED',
      'PRECONDITION_REQUIRED',
      'BODY_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  },
  {
    method: 'delete',
    path: '/whip/{stream}/{id}',
    id: 'endWhipSession',
    tag: 'WHIP',
    summary: 'End a publication',
    errors: ['SESSION_NOT_FOUND'],
  },
  {
    method: 'post',
    path: '/{app}/whip/endpoint/{stream}',
    id: 'publishByRed5Client',
    tag: 'WHIP',
    summary: "Publish a stream as Red5 Pro's clients do, with credentials in the query",
    query: {
      ...REPUBLISH,
      ...Object.fromEntries(
        ['token', 'username', 'password'].map((name) => [
          name,
          { schema: { type: 'string' }, description: 'Credential.' },
        ]),
      ),
    },
    body: SDP,
    status: 201,
    answer: SDP,
    headers: ['Location', 'Link'],
    errors: [...OFFER, 'STREAM_NAME_IN_USE', 'OVERLOADED'],
  },
  {
    method: 'patch',
    path: '/{app}/whip/resource/{stream}/{id}',
    id: 'patchRed5Session',
    tag: 'WHIP',
    summary: 'Accepted without effect',
    status: 204,
    body: FRAGMENT,
    open: true,
    errors: ['SESSION_NOT_FOUND'],
  },
  {
    method: 'delete',
    path: '/{app}/whip/resource/{stream}/{id}',
    id: 'endRed5Session',
    tag: 'WHIP',
    summary: 'End a publication',
    open: true,
    errors: ['SESSION_NOT_FOUND'],
  },
];

const WHEP: readonly Operation[] = [
  {
    method: 'post',
    path: '/whep/{stream}',
    id: 'playByWhep',
    tag: 'WHEP',
    summary: 'Play a live stream',
    body: SDP,
    status: 201,
    answer: SDP,
    headers: ['Location', 'Link'],
    errors: [...OFFER, 'STREAM_NOT_FOUND'],
  },
  {
    method: 'patch',
    path: '/whep/{stream}/{id}',
    id: 'patchWhepSession',
    tag: 'WHEP',
    summary: 'Candidates, accepted without effect',
    status: 204,
    body: FRAGMENT,
    errors: ['INVALID_SDP', 'SESSION_NOT_FOUND', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  },
  {
    method: 'delete',
    path: '/whep/{stream}/{id}',
    id: 'endWhepSession',
    tag: 'WHEP',
    summary: 'Stop playing',
    errors: ['SESSION_NOT_FOUND'],
  },
];

/** GET on a WHIP or WHEP URL is an empty success (RFC 9725, 4.1). */
const PROBES = [...new Set([...WHIP, ...WHEP].map(({ path }) => path))].map((path): Operation => {
  const { id, tag, open = false } = [...WHIP, ...WHEP].find((operation) => operation.path === path)!;
  return {
    method: 'get',
    path,
    id: `${id}Probe`,
    tag,
    summary: 'Check that the URL exists',
    status: 204,
    open,
    errors: path.endsWith('{id}') ? ['SESSION_NOT_FOUND'] : [],
  };
});

/** Of managers of a cluster only. */
const CLUSTER: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/nodes',
    id: 'listNodes',
    tag: 'Cluster',
    summary: 'The nodes of the cluster',
    answer: { listOf: 'Node' },
    errors: [],
  },
  {
    method: 'get',
    path: '/api/v1/nodes/{id}',
    id: 'getNode',
    tag: 'Cluster',
    summary: 'One node of the cluster',
    answer: 'Node',
    errors: ['NODE_NOT_FOUND'],
  },
  {
    method: 'post',
    path: '/api/v1/nodes/{id}/drain',
    id: 'drainNode',
    tag: 'Cluster',
    summary: 'Move the streams of a node to other nodes, and end it',
    query: MOVE,
    status: 202,
    answer: 'Health',
    errors: ['NODE_NOT_FOUND', 'NODE_LOST'],
  },
  {
    method: 'get',
    path: '/streammanager/api/4.0/event/{scope}/{stream}',
    id: 'chooseNode',
    tag: 'Cluster',
    summary: "The node for a publisher or a player, as Red5's Stream Manager answers",
    query: {
      action: { schema: { type: 'string', enum: ['broadcast', 'subscribe'] }, description: 'Publish or play.' },
      region: { schema: { type: 'string' }, description: 'Preferred region.' },
      strict: { schema: { type: 'boolean' }, description: 'No other region will do.' },
      endpoints: { schema: { type: 'integer', minimum: 1, maximum: 100 }, description: 'More than 1: answers a list.' },
    },
    answer: 'NodeAddress',
    errors: ['INVALID_REQUEST', 'STREAM_NOT_FOUND', 'NODE_NOT_FOUND', 'CLUSTER_UNAVAILABLE'],
  },
];

export const OPERATIONS: readonly Operation[] = [
  ...PUSH,
  ...CALL_METHODS,
  ...SESSION_METHODS,
  ...RED5,
  ...RECORDINGS,
  ...HLS,
  ...ROOMS,
  ...INSPECTION,
  ...MONITORING,
  ...WHIP,
  ...WHEP,
  ...PROBES,
  ...CLUSTER,
];
