import type { z } from 'zod';
import type { ErrorCode } from '../../errors.ts';
import { FilterSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from '../wcs/schemas.ts';
import { ErrorSchema, HealthSchema, StreamSchema, TransponderSchema } from './answers.ts';

/** The HTTP interface as the OpenAPI document describes it. Fields come from the schemas, statuses from the error table. */

export const SCHEMAS = {
  StartRequest: StartSchema,
  Filter: FilterSchema,
  TransponderId: TransponderIdSchema,
  SoundOn: SoundOnSchema,
  Transponder: TransponderSchema,
  Stream: StreamSchema,
  Health: HealthSchema,
  Error: ErrorSchema,
} satisfies Record<string, z.ZodObject>;
export type SchemaName = keyof typeof SCHEMAS;

/** A media type other than JSON. */
type TextType = 'application/sdp' | 'application/trickle-ice-sdpfrag' | 'text/plain';

export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  readonly path: string;
  readonly id: string;
  readonly tag: 'Push' | 'Inspection' | 'Monitoring' | 'WHIP' | 'WHEP';
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
      'TRANSPONDER_EXISTS',
      'STREAM_STOPPED',
      'PUBLISHER_LOST',
      'LIMIT_REACHED',
      'WORKER_DIED',
    ],
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
    path: '/api/v1/streams',
    id: 'listStreams',
    tag: 'Inspection',
    summary: 'Live streams; none is an empty array',
    answer: { listOf: 'Stream' },
    errors: [],
  },
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
    summary: 'Refuse new streams, and end the gateway when those that run have ended',
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

export const OPERATIONS: readonly Operation[] = [...PUSH, ...INSPECTION, ...MONITORING, ...WHIP, ...WHEP, ...PROBES];
