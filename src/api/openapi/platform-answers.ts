import { z } from 'zod';
import { SourceSchema } from '../../outputs/push/platforms/platform-schema.ts';

/** The answers about platforms, and of the check of a push. */

const ServerSchema = z.object({ url: z.string(), source: SourceSchema });
const limit = z.number().optional();

export const PlatformViewSchema = z.object({
  id: z.string().meta({ description: 'The value of `platform` in /push/startup.' }),
  name: z.string(),
  hosts: z.object({ patterns: z.array(z.string()), source: SourceSchema }).meta({
    description: 'Pushes to these hosts are watched by the rules.',
  }),
  ingest: ServerSchema.optional().meta({ description: 'Missing: send the URL that the platform shows as rtmpUrl.' }),
  backup: ServerSchema.optional(),
  codecs: z
    .object({ takes: z.array(z.string()), source: SourceSchema })
    .optional()
    .meta({
      description: 'What the platform takes over RTMP. Missing: nothing is known beyond H.264 and AAC.',
    }),
  rules: z.array(
    z.object({
      check: z.string(),
      limit: z.enum(['hard', 'recommended']),
      min: limit,
      max: z.union([z.number(), z.array(z.number())]).optional(),
      oneOf: z.array(z.union([z.string(), z.number()])).optional(),
      value: z.boolean().optional(),
      tiers: z.array(z.object({ height: z.int(), fps: z.int().optional(), min: limit, max: limit })).optional(),
      source: SourceSchema,
    }),
  ),
  note: z.string().optional(),
});
export type PlatformView = z.output<typeof PlatformViewSchema>;

const verdict = {
  check: z.string(),
  measured: z.string(),
  rule: z.string().meta({ description: 'What is asked for; empty where nothing is.' }),
  source: z.string().meta({ description: 'Who asks for it.' }),
  remedy: z.string().meta({ description: 'What to do; empty where nothing is to be done.' }),
};
export const CodecsSchema = z
  .object({
    video: z.string().optional().meta({ description: 'avc1, av01, vp09 or vp08; missing without video.' }),
    audio: z.string().meta({ description: 'mp4a, Opus, pcma, pcmu or speex.' }),
    why: z.string(),
  })
  .meta({ description: 'In which codecs the push goes out, and why.' });

export const VerdictSchema = z.object({
  ...verdict,
  level: z.enum(['ok', 'warning', 'error']),
  codecs: CodecsSchema.optional(),
});

export const PushWarningSchema = z.object({
  ...verdict,
  level: z.enum(['warning', 'error']),
  since: z.iso.datetime(),
});

export const ComplianceSchema = z
  .object({
    mode: z.literal('auto'),
    state: z.enum(['passing', 'encoding']),
    because: z.array(z.string()).readonly().meta({ description: 'The checks that are broken.' }),
    problem: z.string().optional().meta({ description: 'Why the stream is not re-encoded although it should be.' }),
  })
  .meta({ description: 'With comply: whether the stream is passed through or re-encoded, and why.' });
