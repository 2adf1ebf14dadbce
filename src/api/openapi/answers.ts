import { z } from 'zod';
import { ERROR_KINDS, type ErrorCode } from '../../errors.ts';
import type { TransponderView } from '../../outputs/push/transponder-view.ts';

/** The JSON answers of the HTTP interface. The OpenAPI document is generated from these schemas, and tests compare answers with them. */

const time = z.iso.datetime();
const count = z.int().min(0);

const PublisherAwaySchema = z.object({ since: time, until: time }).meta({
  description: 'Set while the publisher is lost: since when, and until when the stream is held for it.',
});

export const TransponderSchema = z.object({
  mediaSessionId: z.string(),
  streamName: z.string().meta({ description: 'The name on the RTMP server, prefix included.' }),
  rtmpUrl: z.string(),
  width: count.meta({ description: 'Pixels; 0 until a frame has been read.' }),
  height: count,
  muted: z.boolean(),
  soundEnabled: z.boolean(),
  options: z.union([
    z.object({ action: z.literal('mute') }),
    z.object({ action: z.literal('sound_on'), soundFile: z.string(), loop: z.boolean().optional() }),
    z.object({ action: z.undefined().optional() }),
  ]),
  status: z.enum(['connecting', 'pushing', 'retrying', 'ended']),
  reason: z.string().meta({ description: 'Why it retries or has ended; otherwise empty.' }),
  reasonCode: z.string().meta({ description: 'The code of that reason: see docs/errors.md.' }),
  sourceStreamName: z.string(),
  attempt: count.meta({ description: 'Reconnects since it last pushed for 30 s without a break.' }),
  startedAt: time,
  endedAt: time.optional(),
  bytesSent: count,
  bitrate: z.number().min(0).meta({ description: 'Kilobits per second.' }),
  fps: z.number().min(0),
  framesDropped: count,
  bufferMs: z.number().min(0),
  destination: z.string().meta({ description: 'The URL without secrets.' }),
  publisherAway: PublisherAwaySchema.optional(),
}) satisfies z.ZodType<TransponderView>;

export const StreamSchema = z.object({
  name: z.string(),
  status: z.enum(['live', 'held']).meta({ description: 'held: the publisher was lost and may still return.' }),
  startedAt: time,
  audioCodec: z.string().nullable(),
  videoCodec: z.string().nullable(),
  transponders: count,
  publisherAway: PublisherAwaySchema.optional(),
});
export type StreamView = z.output<typeof StreamSchema>;

export const HealthSchema = z.object({
  status: z.enum(['ok', 'degraded', 'overloaded', 'draining', 'failed', 'closing']),
  version: z.string(),
  uptime: count.meta({ description: 'Seconds.' }),
  workers: z.object({ alive: count, wanted: count }),
  overloaded: z.boolean().meta({ description: 'New publications are refused for lack of processor time.' }),
  streams: count,
  transponders: count,
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
