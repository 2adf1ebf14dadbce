import { z } from 'zod';
import type { StartRequest, TransponderFilter } from '../../outputs/push/transponder-control.ts';
import { AUDIO_CHOICES, VIDEO_CHOICES } from '../../outputs/push/codecs/choices.ts';
import { MAX_ID_LENGTH } from '../../outputs/push/saved/named-records.ts';
import { isStreamName, MAX_STREAM_NAME_LENGTH } from '../../streams/stream-name.ts';
import { flag, mediaSessionId, must, text, toNumber } from './fields.ts';
import { StandbySchema } from './standby-schemas.ts';

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

// eslint-disable-next-line no-control-regex
const STREAM_KEY = /^[^\s/?#\u0000-\u001f\u007f]+(?:\?[^\s/#\u0000-\u001f\u007f]*)?$/;
const platform = text('the id of a platform such as "youtube", a string', 64).meta({
  description: 'In place of rtmpUrl, together with streamKey. GET /api/v1/platforms lists them.',
});
const streamKeyRule = must('the stream key that the platform shows: without spaces, "/" and "#", not a URL');
/** White space around it comes with pasting. A key may have a query, as those of Facebook do. */
const streamKey = z
  .string(streamKeyRule)
  .trim()
  .min(1, streamKeyRule)
  .max(2048, streamKeyRule)
  .regex(STREAM_KEY, streamKeyRule)
  .meta({ description: 'The stream key of the platform: a secret.' });

/** Where a push goes: a URL, or a platform and a key. */
const target = {
  rtmpUrl: rtmpUrl.optional().meta({
    description: 'rtmp://[user:password@]host[:port]/application[/instance][/?query], or rtmps://.',
  }),
  platform: platform.optional(),
  streamKey: streamKey.optional(),
  backup: flag('With platform: push to its backup server too.'),
};

/** In place of {@link target}: what is saved. */
const savedId = (what: string) => text(`the id of a ${what}, a string`, MAX_ID_LENGTH);
const saved = {
  destinationId: savedId('saved destination')
    .optional()
    .meta({ description: 'In place of rtmpUrl. GET /api/v1/destinations lists them.' }),
  groupId: savedId('group of saved destinations')
    .optional()
    .meta({ description: 'In place of rtmpUrl: all of the group. GET /api/v1/destination-groups lists them.' }),
  check: flag('With groupId: false starts all without checking them first.'),
};

/** Problems with the fields of {@link saved}. */
function savedProblems({ destinationId, groupId, check, ...others }: Record<string, unknown>): [string, string][] {
  if (groupId === undefined && check !== undefined) return [['check', 'needs groupId']];
  if (destinationId !== undefined && groupId !== undefined)
    return [['groupId', 'must not be sent together with destinationId: send one of the two']];
  const field = destinationId !== undefined ? 'destinationId' : 'groupId';
  return Object.keys({ ...target, backupUrl: true }).flatMap((name): [string, string][] =>
    others[name] === undefined ? [] : [[name, `must not be sent together with ${field}, which says where to push`]],
  );
}

/** Problems with the fields of {@link target}: exactly one of rtmpUrl and platform is needed. */
function targetProblems(fields: Record<string, unknown>): [string, string][] {
  const { rtmpUrl: url, platform: name, streamKey: key, backup, destinationId, groupId } = fields;
  if (destinationId !== undefined || groupId !== undefined || fields['check'] !== undefined)
    return savedProblems(fields);
  if (url !== undefined && name !== undefined)
    return [['rtmpUrl', 'must not be sent together with platform: send one of the two']];
  if (name !== undefined)
    return key === undefined ? [['streamKey', 'is missing: platform needs the stream key that it shows']] : [];
  if (key !== undefined) return [['platform', 'is missing: streamKey needs the id of a platform such as "youtube"']];
  if (backup === true || backup === 'true') return [['backup', 'needs platform: send backupUrl with rtmpUrl']];
  if (url === undefined)
    return [
      [
        'rtmpUrl',
        'is missing: it must be a URL such as "rtmp://HOST:1935/live", a string, or send platform and streamKey instead',
      ],
    ];
  return [];
}

/** An encoding that was asked for is never passed through. */
function complyProblems({ comply, ...others }: Record<string, unknown>): [string, string][] {
  if (comply === undefined) return [];
  const fields = ['width', 'height', 'fps', 'keyFrameInterval'].filter((field) => others[field]);
  return fields.length === 0
    ? []
    : [['comply', `must not be sent together with ${fields.join(', ')}: it chooses the encoding itself`]];
}

/** The largest frame is 8K. Odd sizes are valid: the encoder rounds them to even ones. */
export const push = {
  ...target,
  width: number('', 16, 8192, 'Applies with height and avvideo_transcoder_preserve_aspect_ratio=false only.'),
  height: number('', 16, 4320, 'Transcodes to this height.'),
  fps: number('', 1, 120, 'Transcodes to this frame rate.'),
  keyFrameInterval: number(' of frames', 1, 1200, 'Transcodes with this number of frames between key frames.'),
  rtmpFlashVersion: text('a string', 64).optional(),
  rtmpTransponderFullUrl: flag('The published name is the last path segment of the URL with its query.'),
  comply: z.literal('auto', must('"auto", or left out')).optional().meta({
    description: 'auto: re-encode the stream while it breaks rules of the platform, and only then.',
  }),
  videoCodec: z
    .enum(VIDEO_CHOICES, must('"auto", "h264" or "source"'))
    .optional()
    .meta({
      description:
        'source: as published, an error where the server does not take it. auto: as published where the server ' +
        'is known to take it, otherwise H.264. Unset: rtmp_video_codec.',
    }),
  audioCodec: z.enum(AUDIO_CHOICES, must('"auto", "aac" or "source"')).optional().meta({
    description: 'The same for Opus. Unset: rtmp_audio_codec.',
  }),
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
};

/** Finds the contradictions between the fields of a push, together with the problems of single fields. */
export const consistent = <T extends z.ZodObject>(schema: T): T =>
  schema.superRefine(
    (value, context) => {
      // Without the input, which contains secrets.
      for (const [field, message] of [...targetProblems(value), ...complyProblems(value)])
        context.addIssue({ code: 'custom', message, path: [field], input: undefined });
    },
    { when: () => true },
  );

const start = z.object({
  streamName: streamName.meta({ description: 'The name under which the stream is published here.' }),
  ...push,
  ...saved,
});
export const StartSchema = consistent(start) satisfies z.ZodType<Omit<StartRequest, 'rtmpUrl' | 'standby'>>;

/** A push that an application server orders along with a publication: the body of `/push/startup` without the stream. */
export const PushOrderSchema = consistent(z.object(push));

/** A request that was stored: the URLs of its platform are known. */
export const StoredStartSchema = start.required({ rtmpUrl: true });

export const FilterSchema = z.object({
  mediaSessionId: mediaSessionId.optional(),
  // Also matches the published name, which has a prefix or is the end of the URL, and is therefore longer.
  streamName: text('a string', 4096).optional().meta({ description: 'The name on the RTMP server, or the name here.' }),
  rtmpUrl: rtmpUrl.optional(),
}) satisfies z.ZodType<TransponderFilter>;

export const TransponderIdSchema = z.object({ mediaSessionId });
/** One push, or those of a stream that were started with a group. */
export const TerminateSchema = z
  .object({
    mediaSessionId: mediaSessionId.optional(),
    streamName: streamName.optional().meta({ description: 'With groupId.' }),
    groupId: saved.groupId.meta({ description: 'Ends the pushes of streamName that were started with this group.' }),
  })
  .superRefine(({ mediaSessionId: id, streamName: stream, groupId }, context) => {
    const problem = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', message, path: [field], input: undefined });
    if (groupId === undefined && id === undefined)
      problem('mediaSessionId', 'is missing: it must be the mediaSessionId from the answer of /push/startup, a string');
    if (groupId !== undefined && id === undefined && stream === undefined)
      problem('streamName', 'is missing: groupId needs it');
  });
export const SoundOnSchema = z.object({ mediaSessionId, soundFile, loop });
export const NothingSchema = z.object({});
