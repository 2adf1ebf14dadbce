import { z } from 'zod';
import type { StandbyRequest, StartRequest, TransponderFilter } from '../../outputs/push/transponder-view.ts';
import { isStreamName, MAX_STREAM_NAME_LENGTH } from '../../streams/stream-name.ts';
import { flag, mediaSessionId, must, text, toNumber } from './fields.ts';
import { standbyRequest, StandbySchema } from './standby-schemas.ts';

/**
 * The bodies of `/rest-api/push/*`. Error messages continue after the name of the field. Numbers and booleans may be
 * strings, because many clients of WCS send them so. The OpenAPI document is generated from these schemas.
 */

/** Clients that always send all fields send 0 for "not set", as WCS's documentation does for width and height. */
const number = (unit: string, low: number, high: number, description: string) => {
  const rule = must(`a whole number${unit} from ${low} to ${high}, or 0 for unchanged`);
  return z
    .preprocess(toNumber, z.union([z.literal(0), z.int(rule).min(low, rule).max(high, rule)], rule))
    .optional()
    .meta({ description: `${description} 0: unchanged.` });
};
const streamNameRule = must(`a string of 1 to ${MAX_STREAM_NAME_LENGTH} characters, without control characters`);
export const streamName = z.string(streamNameRule).refine(isStreamName, streamNameRule);
const rtmpUrl = text('a URL such as "rtmp://HOST:1935/live", a string', 4096);
const soundFile = text('the name of a WAV file in the media directory, a string', 255).meta({
  description: 'The name of a RIFF WAV file in media_dir.',
});
const loop = flag('Repeat the file until sound_off.');
const options = z
  .discriminatedUnion(
    'action',
    [
      z.object({ action: z.undefined().optional() }),
      z.object({ action: z.literal('mute') }),
      z.object({ action: z.literal('sound_on'), soundFile, loop }),
    ],
    {
      error: ({ code }) =>
        code === 'invalid_union'
          ? 'must be "mute" or "sound_on", or left out'
          : 'must be an object such as {"action": "mute"}',
    },
  )
  .optional();

/** The largest frame is 8K. Odd sizes are valid: the encoder rounds them to even ones. */
export const StartSchema = z.object({
  streamName: streamName.meta({ description: 'The name under which the stream is published here.' }),
  rtmpUrl: rtmpUrl.meta({
    description: 'rtmp://[user:password@]host[:port]/application[/instance][/?query], or rtmps://.',
  }),
  width: number('', 16, 8192, 'Applies with height and avvideo_transcoder_preserve_aspect_ratio=false only.'),
  height: number('', 16, 4320, 'Transcodes to this height.'),
  fps: number('', 1, 120, 'Transcodes to this frame rate.'),
  keyFrameInterval: number(' of frames', 1, 1200, 'Transcodes with this number of frames between key frames.'),
  rtmpFlashVersion: text('a string', 64).optional(),
  rtmpTransponderFullUrl: flag('The published name is the last path segment of the URL with its query.'),
  options,
  standby: StandbySchema.optional().meta({
    description: 'What is sent while the publisher is away. true: as the settings say. Unset: the setting standby.',
  }),
  backupUrl: rtmpUrl.optional().meta({
    description: 'A second destination, which gets the same stream: another server, application or stream name.',
  }),
  backupMode: z
    .enum(['hot', 'cold'], must('"hot" or "cold"'))
    .optional()
    .meta({ description: 'hot: both at once. cold: the backup only while the primary is lost. Default: hot.' }),
  backupAfterMs: number(' of milliseconds', 100, 600_000, 'How long a cold backup waits for the primary.'),
  restore: flag('Reconnect, instead of rtmp_push_restore.'),
  restoreAttempts: number('', 1, 1_000_000, 'Reconnects in a row, instead of rtmp_push_restore_attempts.'),
  restoreIntervalMs: number(' of milliseconds', 100, 3_600_000, 'Instead of rtmp_push_restore_interval_ms.'),
  restoreMaxIntervalMs: number(
    ' of milliseconds',
    100,
    3_600_000,
    'The interval doubles up to this one, instead of rtmp_push_restore_backoff_cap_ms.',
  ),
}) satisfies z.ZodType<Omit<StartRequest, 'standby'>>;

/**
 * What a body of `/push/startup` asks for.
 *
 * @param standbyDefaults what the body does not say about standby
 */
export function startRequest<Body extends Omit<z.output<typeof StartSchema>, 'streamName'>>(
  body: Body,
  standbyDefaults: StandbyRequest,
): Omit<Body, 'standby'> & Pick<StartRequest, 'standby'> {
  // 0 means "not set" for every number of a start request.
  const { standby, ...start } = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== 0)) as Body;
  return { ...start, ...(standby !== undefined && { standby: standbyRequest(standby, standbyDefaults) }) };
}

/** A push that an application server orders along with a publication. */
export const pushOrderSchema = (standbyDefaults: StandbyRequest) =>
  StartSchema.omit({ streamName: true }).transform((order) => startRequest(order, standbyDefaults));

export const FilterSchema = z.object({
  mediaSessionId: mediaSessionId.optional(),
  // Also matches the published name, which has a prefix or is the end of the URL, and is therefore longer.
  streamName: text('a string', 4096).optional().meta({ description: 'The name on the RTMP server, or the name here.' }),
  rtmpUrl: rtmpUrl.optional(),
}) satisfies z.ZodType<TransponderFilter>;

export const TransponderIdSchema = z.object({ mediaSessionId });
export const SoundOnSchema = z.object({ mediaSessionId, soundFile, loop });
export const NothingSchema = z.object({});
