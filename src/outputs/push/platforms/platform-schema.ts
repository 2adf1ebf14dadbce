import { z } from 'zod';

/** The form of `config/platforms.json`: what each platform asks for, and who says so. */

/** hard: a stream that breaks the rule is refused, cut off or complained about. recommended: it is shown, but may be shown badly. */
const LIMITS = ['hard', 'recommended'] as const;

const positive = z.number().positive();
/** A key of `sources`. */
const source = z.string();
const common = { limit: z.enum(LIMITS), source };
const range = { min: positive.optional(), max: positive.optional() };

const isRange = ({ min, max }: { min?: number | undefined; max?: number | undefined }): boolean =>
  (min !== undefined || max !== undefined) && (min ?? 0) <= (max ?? Infinity);
const RANGE = { error: 'needs min or max, and min must not be above max' };

const TierSchema = z
  .strictObject({
    height: z.int().positive().meta({ description: 'The shorter side of the frame, in pixels.' }),
    fps: z
      .union([z.literal(30), z.literal(60)])
      .optional()
      .meta({ description: 'Missing: any frame rate.' }),
    ...range,
  })
  .refine(isRange, RANGE);

const RangeRuleSchema = z
  .strictObject({
    check: z.enum(['keyFrameInterval', 'frameRate', 'videoLevel', 'audioBitrate', 'audioChannels', 'sessionLength']),
    ...common,
    ...range,
  })
  .refine(isRange, RANGE);
const BitrateRuleSchema = z
  .strictObject({
    check: z.literal('videoBitrate'),
    ...common,
    ...range,
    tiers: z
      .array(TierSchema)
      .min(1)
      .optional()
      .meta({ description: 'By frame size and rate, instead of min and max.' }),
  })
  .refine((rule) => (rule.tiers ? rule.min === undefined && rule.max === undefined : isRange(rule)), {
    error: 'needs tiers, or min or max',
  });
const SizeRuleSchema = z.strictObject({
  check: z.literal('videoSize'),
  ...common,
  max: z.tuple([z.int().positive(), z.int().positive()]).meta({ description: 'The longer and the shorter side.' }),
});
const ChoiceRuleSchema = z.strictObject({
  check: z.enum(['transport', 'videoCodec', 'videoProfile', 'orientation', 'audioCodec', 'audioSampleRate']),
  ...common,
  oneOf: z.array(z.union([z.string(), z.number()])).min(1),
});
const FlagRuleSchema = z.strictObject({
  check: z.enum(['video', 'audio', 'bFrames']),
  ...common,
  value: z.boolean(),
});

const RuleSchema = z.discriminatedUnion('check', [
  RangeRuleSchema,
  BitrateRuleSchema,
  SizeRuleSchema,
  ChoiceRuleSchema,
  FlagRuleSchema,
]);

export const SourceSchema = z.strictObject({
  title: z.string().min(1),
  url: z.url().optional(),
  checked: z.iso.date(),
  confirmed: z.boolean().meta({ description: 'false: from third parties or general knowledge.' }),
});

const ServerSchema = z.strictObject({
  url: z
    .string()
    .regex(
      /^rtmps?:\/\/[^/\s]+\/[^\s]*[^\s/]$/,
      'must be an RTMP URL with an application and without a slash at the end',
    ),
  source,
});

const PlatformSchema = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9]*$/),
  name: z.string().min(1),
  hosts: z
    .strictObject({ patterns: z.array(z.string().min(3)).min(1), source })
    .meta({ description: 'Pushes to these hosts are watched by the rules of the platform.' }),
  ingest: ServerSchema.optional().meta({ description: 'Missing: each channel or event has a URL of its own.' }),
  backup: ServerSchema.optional(),
  codecs: z
    .strictObject({ takes: z.array(z.enum(['h264', 'vp8', 'vp9', 'av1', 'aac', 'opus'])).min(1), source })
    .optional()
    .meta({ description: 'What the ingest takes over RTMP. Missing: nothing is known beyond H.264 and AAC.' }),
  rules: z.array(RuleSchema),
  note: z.string().optional(),
});

export const PlatformsFileSchema = z
  .strictObject({
    sources: z.record(z.string(), SourceSchema),
    platforms: z.array(PlatformSchema),
  })
  .superRefine(({ sources, platforms }, context) => {
    const seen = new Set<string>();
    for (const { id, hosts, ingest, backup, codecs, rules } of platforms) {
      if (seen.has(id)) context.addIssue({ code: 'custom', message: `has the platform ${id} twice` });
      seen.add(id);
      for (const { source: key } of [
        hosts,
        ...(ingest ? [ingest] : []),
        ...(backup ? [backup] : []),
        ...(codecs ? [codecs] : []),
        ...rules,
      ])
        if (!Object.hasOwn(sources, key))
          context.addIssue({ code: 'custom', message: `names the source ${key} in ${id}, which is not listed` });
    }
  });

export type Rule = z.output<typeof RuleSchema>;
export type RuleCheck = Rule['check'];
export type BitrateRule = z.output<typeof BitrateRuleSchema>;
export type Source = z.output<typeof SourceSchema>;
export type PlatformData = z.output<typeof PlatformSchema>;
