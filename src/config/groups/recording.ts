import { z } from 'zod';
import { choice, flag, integer } from '../fields.ts';

/** A file name without its extension: see `outputs/record/recording-name.ts`. */
const nameTemplate = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9_-]|\{(?:stream|date|time|id)\})(?:[A-Za-z0-9_. -]|\{(?:stream|date|time|id)\}){0,60}$/,
    'must be letters, digits, "-", "_", "." and the fields {stream}, {date}, {time} and {id}, without folders',
  )
  .refine((text) => text.includes('{id}'), 'must contain {id}, so that no two files have the same name')
  .refine((text) => {
    const fields = text.match(/\{\w+\}/g) ?? [];
    return new Set(fields).size === fields.length;
  }, 'must contain each field at most once');

/** Streams in files. */
export const recording = {
  /** Off: nobody can make the gateway write to the disk. */
  recording: flag.default(false),
  /** Every stream is recorded. */
  record_all: flag.default(false),
  /** Empty: `recordings` in `state_dir`, or in the working directory. */
  record_dir: z.string().default(''),
  record_format: choice(['mp4', 'flv']).default('mp4'),
  /** Opus is taken as it comes; G.711 becomes AAC in either case. */
  record_audio: choice(['aac', 'opus']).default('aac'),
  /** A recording goes on while its publisher is away, with the picture of standby. */
  record_standby: flag.default(false),
  record_template: nameTemplate.default('{stream}-{date}-{time}-{id}'),
  /** Megabytes and minutes of one file; then the next one begins. 0: no limit. */
  record_max_file_mb: integer(0, 10_000_000).default(0),
  record_max_file_minutes: integer(0, 100_000).default(240),
  /** Older recordings are deleted. 0: never. */
  record_keep_days: integer(0, 100_000).default(0),
  /** While recordings together are larger, the oldest one is deleted. 0: never. */
  record_max_total_mb: integer(0, 1_000_000_000).default(0),
  /** With less free space on the disk nothing is recorded. */
  record_min_free_mb: integer(0, 1_000_000_000).default(1024),
  max_recordings: integer(1, 100_000).default(100),
};
