import { z } from 'zod';

/**
 * What REST answers, events and pages show of a push. Types, the OpenAPI document and the types of the browser library
 * are made from these schemas. Views contain no secret except where a field says so.
 */

const time = z.iso.datetime();
const count = z.int().min(0);
const amount = z.number().min(0);

const reason = z.string().meta({
  description: 'Why it retries, cannot show the live stream or its video, or has ended; empty otherwise.',
});
const reasonCode = z.string().meta({ description: 'The code of that reason: see docs/errors.md.' });
const attempt = count.meta({ description: 'Reconnects since it last pushed for 30 s without a break.' });

/** Counters of a push and of each of its legs. */
const counters = {
  bytesSent: count,
  bitrate: amount.meta({ description: 'Kilobits per second over the last seconds.' }),
  fps: amount,
  framesDropped: count,
  bufferMs: amount,
};

export const CodecsSchema = z
  .object({
    video: z.string().optional().meta({ description: 'avc1, av01, vp09 or vp08; missing without video.' }),
    audio: z.string().meta({ description: 'mp4a, Opus, pcma, pcmu or speex.' }),
    why: z.string(),
  })
  .meta({ description: 'In which codecs the push goes out, and why.' });
export type CodecsView = z.output<typeof CodecsSchema>;

const verdict = {
  check: z.string(),
  measured: z.string(),
  rule: z.string().meta({ description: 'What is asked for; empty where nothing is.' }),
  source: z.string().meta({ description: 'Who asks for it; empty where nothing is asked for.' }),
  remedy: z.string().meta({ description: 'What to do; empty where nothing is to be done.' }),
};
export const VerdictSchema = z
  .object({ ...verdict, level: z.enum(['ok', 'warning', 'error']), codecs: CodecsSchema.optional() })
  .meta({ description: 'One thing that was checked, in words for users.' });
export type Verdict = Readonly<z.output<typeof VerdictSchema>>;

export const PushWarningSchema = z
  .object({ ...verdict, level: z.enum(['warning', 'error']), since: time })
  .meta({ description: 'A rule of its platform that a push breaks.' });
export type PushWarning = Readonly<z.output<typeof PushWarningSchema>>;

export const ComplianceSchema = z
  .object({
    mode: z.literal('auto'),
    state: z.enum(['passing', 'encoding']).meta({ description: 'What is sent.' }),
    because: z.array(z.string()).readonly().meta({
      description: 'The rules that the stream of the publisher breaks, or broke when the encoding began.',
    }),
    problem: z.string().optional().meta({ description: 'Why the stream is not re-encoded although it should be.' }),
  })
  .meta({ description: 'With comply: whether the stream is passed through or re-encoded, and why.' });
export type ComplianceView = Readonly<z.output<typeof ComplianceSchema>>;

export const PublisherAwaySchema = z.object({ since: time, until: time.optional() }).meta({
  description: 'Set while the publisher is lost: since when, and when the push ends unless it returns.',
});

/** What of a push goes to one destination. */
export const LegSchema = z.object({
  leg: z.enum(['primary', 'backup']),
  destination: z
    .string()
    .meta({ description: 'The URL without secrets; where the server has sent the push, that one.' }),
  status: z.enum(['idle', 'connecting', 'pushing', 'retrying', 'ended']).meta({
    description: 'idle: a cold backup that is not needed.',
  }),
  reason,
  reasonCode,
  attempt,
  ...counters,
});
export type LegView = Readonly<z.output<typeof LegSchema>>;
export type LegName = LegView['leg'];

export const OptionsSchema = z
  .union([
    z.object({ action: z.literal('mute') }),
    z.object({ action: z.literal('sound_on'), soundFile: z.string(), loop: z.boolean().optional() }),
    z.object({ action: z.undefined().optional() }),
  ])
  .meta({ description: 'The audio with which a push starts; without an action it is the live audio.' });
/** The `options` of `/push/startup`. */
export type TransponderOptions = Readonly<z.output<typeof OptionsSchema>>;

const StandbyViewSchema = z.object({
  since: time,
  reason: z.enum(['publisher', 'video', 'manual']),
  picture: z.enum(['freeze', 'color', 'image', 'video', 'none']),
});

/** The fields of WCS first, then further ones. */
export const TransponderSchema = z.object({
  mediaSessionId: z.string(),
  streamName: z.string().meta({ description: 'The name on the RTMP server, prefix included.' }),
  rtmpUrl: z.string().meta({
    description: 'As it was sent to /push/startup for REST clients that may control pushes; otherwise without secrets.',
  }),
  width: count.meta({ description: 'Pixels; 0 until a frame has been read.' }),
  height: count,
  muted: z.boolean(),
  soundEnabled: z.boolean(),
  options: OptionsSchema,
  status: z.enum(['connecting', 'pushing', 'standby', 'retrying', 'ended']).meta({
    description: 'standby: it pushes a standby picture or silence instead of live video.',
  }),
  reason,
  reasonCode,
  sourceStreamName: z.string(),
  attempt,
  startedAt: time,
  endedAt: time.optional(),
  ...counters,
  destination: z.string().meta({ description: 'The URL without secrets.' }),
  destinationId: z.string().optional().meta({ description: 'The saved destination: rtmpUrl is then without secrets.' }),
  groupId: z.string().optional().meta({ description: 'The group with which it was started.' }),
  publisherAway: PublisherAwaySchema.optional(),
  standbyEnabled: z.literal(true).optional().meta({ description: 'The push has standby.' }),
  standby: StandbyViewSchema.optional().meta({
    description: 'While standby is shown: since when, why, and what is shown.',
  }),
  backupMode: z.enum(['hot', 'cold']).optional().meta({ description: 'Present with a backup.' }),
  legs: z.array(LegSchema).readonly().meta({
    description: 'The primary connection, and the backup if there is one. Empty for a push that was refused.',
  }),
  platform: z.string().optional().meta({ description: 'The platform by whose rules the push is watched.' }),
  codecs: CodecsSchema.optional(),
  comply: ComplianceSchema.optional(),
  warnings: z.array(PushWarningSchema).readonly().optional().meta({ description: 'The rules that the push breaks.' }),
});
export type TransponderView = Readonly<z.output<typeof TransponderSchema>>;
export type TransponderStatus = TransponderView['status'];
/** Why standby is shown, and what is shown. */
export type StandbyView = NonNullable<TransponderView['standby']>;

/** What the page that publishes the stream is told of a push; the id of one that was refused is empty. */
export type PushView = Pick<
  TransponderView,
  | 'mediaSessionId'
  | 'sourceStreamName'
  | 'destination'
  | 'status'
  | 'reason'
  | 'publisherAway'
  | 'warnings'
  | 'comply'
  | 'codecs'
>;
