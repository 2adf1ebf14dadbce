import { z } from 'zod';
import { ACTIONS, ROOM_RIGHTS } from '../../access/authorizer.ts';
import { ERROR_KINDS, type ErrorCode } from '../../errors.ts';
import { RecordingSchema } from '../../outputs/record/recordings.ts';

/**
 * The JSON answers of the HTTP interface. The OpenAPI document is generated from these schemas, and tests compare
 * answers with them.
 */

const time = z.iso.datetime();
const count = z.int().min(0);

const PublisherAwaySchema = z.object({ since: time, until: time }).meta({
  description: 'Set while the publisher is lost: since when, and until when the stream is held for it.',
});

export const StreamSchema = z.object({
  name: z.string(),
  status: z.enum(['live', 'held']).meta({ description: 'held: the publisher was lost and may still return.' }),
  startedAt: time,
  audioCodec: z.string().nullable(),
  videoCodec: z.string().nullable(),
  transponders: count,
  videoProblem: z
    .string()
    .optional()
    .meta({ description: 'Why the video that arrives cannot be used. Known while a push or a recording reads it.' }),
  publisherAway: PublisherAwaySchema.optional(),
});
export type StreamView = z.output<typeof StreamSchema>;

/** A publisher or player in WCS's form. */
export const StreamSessionSchema = z.object({
  appKey: z.string(),
  sessionId: z.string().meta({ description: 'The WebSocket connection; for WHIP and WHEP the mediaSessionId.' }),
  mediaSessionId: z.string(),
  name: z.string(),
  published: z.boolean().meta({ description: 'false: a player.' }),
  hasVideo: z.boolean(),
  hasAudio: z.boolean(),
  status: z.enum(['PENDING', 'PUBLISHING', 'PLAYING']).meta({ description: 'PENDING: no media flows.' }),
  sdp: z.string().meta({ description: "The client's offer, without the password of ICE." }),
  audioCodec: z.string(),
  videoCodec: z.string(),
  record: z.boolean(),
  width: count.meta({ description: 'Pixels; 0 until a frame has been read.' }),
  height: count,
  bitrate: z.number().min(0).meta({ description: 'Kilobits per second as the client requested it; 0 for no request.' }),
  minBitrate: z.number().min(0),
  maxBitrate: z.number().min(0),
  quality: count.meta({ description: 'Always 0, like gop and fps: the gateway does not measure it.' }),
  history: z.boolean(),
  gop: count,
  fps: count,
  createDate: count.meta({ description: 'Milliseconds since 1970.' }),
  mediaProvider: z.enum(['WebRTC', 'WHIP', 'WHEP']).meta({ description: 'WebRTC: over the WebSocket of WCS.' }),
  transport: z.enum(['UDP', 'TCP']),
  metrics: z.record(z.string(), z.number()).optional(),
});
export type StreamSessionView = z.output<typeof StreamSessionSchema>;

export const ConnectionSchema = z.object({
  sessionId: z.string(),
  appKey: z.string(),
  status: z.literal('ESTABLISHED'),
  clientVersion: z.string(),
  clientOSVersion: z.string(),
  clientBrowserVersion: z.string(),
  mediaProviders: z.array(z.string()),
  clientAddress: z.string(),
  createDate: count.meta({ description: 'Milliseconds since 1970.' }),
});
export type ConnectionView = z.output<typeof ConnectionSchema>;

export const SnapshotAnswerSchema = z.object({ data: z.string().meta({ description: 'A PNG image in base64.' }) });
export const PrincipalSchema = z.object({
  id: z.string().meta({ description: 'Who the gateway takes the caller for.' }),
  actions: z.array(z.enum(ACTIONS)),
  streams: z.array(z.string()).optional().meta({ description: 'Patterns of stream names. Missing: all.' }),
  rooms: z
    .record(z.string(), z.array(z.enum(ROOM_RIGHTS)))
    .optional()
    .meta({ description: 'Rights by patterns of the scopes of rooms. Missing: all rights in all rooms.' }),
  destinations: z.array(z.string()).optional().meta({ description: 'Patterns of RTMP hosts. Missing: all.' }),
  maxDuration: z.number().optional().meta({ description: 'Seconds that publishing may last.' }),
  expiresAt: time.optional(),
});
export type PrincipalView = z.output<typeof PrincipalSchema>;

export const RenewalSchema = z.object({
  stream: z.string(),
  sessions: count.meta({ description: 'Publications and players of the client that now follow the credential.' }),
  expiresAt: z.iso.datetime().nullable().meta({ description: 'When the first of them ends; null: never.' }),
});
export type RenewalView = z.output<typeof RenewalSchema>;

export const HealthSchema = z.object({
  status: z.enum(['ok', 'degraded', 'overloaded', 'draining', 'failed', 'closing']),
  version: z.string(),
  uptime: count.meta({ description: 'Seconds.' }),
  workers: z.object({ alive: count, wanted: count }),
  overloaded: z.boolean().meta({ description: 'New publications are refused for lack of processor time.' }),
  streams: count,
  transponders: count,
  redis: z.boolean().optional().meta({ description: 'Nodes of a cluster only: whether Redis answers.' }),
});
export type Health = z.output<typeof HealthSchema>;

export const ErrorSchema = z.object({
  status: z.int(),
  error: z.string().meta({ description: 'The status in words.' }),
  exception: z
    .enum(Object.keys(ERROR_KINDS) as [ErrorCode, ...ErrorCode[]])
    .meta({ description: 'A stable code: see docs/errors.md.' }),
  reason: z.string(),
  message: z.string().meta({ description: 'What is wrong and what to do.' }),
  path: z.string(),
  timestamp: z.int().meta({ description: 'Milliseconds since 1970.' }),
});

export const RecordingViewSchema = RecordingSchema.extend({
  id: z.string(),
  series: z.string().meta({ description: 'The id of the first file of the recording that this file belongs to.' }),
  part: count.meta({ description: '1 for the first file.' }),
  file: z.string().meta({ description: 'In record_dir, and below /client/records/.' }),
  state: z.enum(['recording', 'finishing', 'complete', 'failed']).meta({
    description: 'finishing: gets its index. failed: what was written before the failure can be played.',
  }),
  durationMs: count,
  bytes: count,
  framesDropped: count,
  width: count.meta({ description: 'Pixels; 0 without video.' }),
  height: count,
  reasonCode: z.string().meta({ description: 'Why it has ended: a code of docs/errors.md. Empty while it runs.' }),
  reason: z.string(),
  storage: z
    .object({
      state: z.enum(['waiting', 'uploading', 'retrying', 'stored']).meta({
        description:
          'waiting: nothing is in the bucket yet. retrying: the last request failed. stored: the bucket has confirmed the object.',
      }),
      bucket: z.string(),
      key: z.string(),
      uploadedBytes: count.meta({ description: 'What the bucket has of it.' }),
      storedAt: z.iso.datetime().optional(),
      local: z.boolean().meta({ description: 'Whether the file is on the disk.' }),
      reasonCode: z.string().meta({ description: 'Why it is retrying: a code of docs/errors.md; otherwise empty.' }),
      reason: z.string(),
    })
    .optional()
    .meta({ description: 'Absent where no bucket is configured (s3_bucket).' }),
});
export type RecordingView = z.output<typeof RecordingViewSchema>;
export const RecordingPageSchema = z.object({
  recordings: z.array(RecordingViewSchema).meta({ description: 'The newest first.' }),
  next: z.string().nullable().meta({ description: 'To be sent as `after` for the next page; null: there is none.' }),
});
export type RecordingPageView = z.output<typeof RecordingPageSchema>;

const timestamp = z.int().meta({ description: 'Milliseconds since 1970.' });
export const Red5AnswerSchema = z.object({
  status: z.literal('success'),
  code: z.literal(200),
  data: z.unknown(),
  timestamp,
});
export const Red5ErrorSchema = z.object({ status: z.literal('error'), code: z.int(), message: z.string(), timestamp });

export const NodeSchema = z.object({
  id: z.string(),
  url: z.string().meta({ description: 'How managers reach it.' }),
  wsUrl: z.string(),
  region: z.string(),
  group: z.string(),
  state: z.enum(['in-service', 'draining']),
  version: z.string(),
  capacity: count.meta({ description: 'Publications that it can carry.' }),
  publications: count,
  pushes: count,
  encoders: count,
  cpu: z.number().min(0).meta({ description: 'Share of all cores, 0 to 1.' }),
  overloaded: z.boolean(),
  drain: z.enum(['no', 'moving', 'blocked', 'running-out']).meta({
    description:
      'Whether its streams move to other nodes (`moving`), should but no other node can take them (`blocked`), ' +
      'or run until they end (`running-out`).',
  }),
  toMove: count.meta({ description: 'Streams that are still to move to other nodes.' }),
  startedAt: time,
});
export type NodeView = z.output<typeof NodeSchema>;

export const NodeAddressSchema = z.object({
  name: z.string(),
  scope: z.string(),
  serverAddress: z.string(),
  region: z.string(),
});
