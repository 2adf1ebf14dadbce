import { z } from 'zod';
import { SourceSchema } from '../../outputs/push/platforms/platform-schema.ts';

/** The answers about platforms. */

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
