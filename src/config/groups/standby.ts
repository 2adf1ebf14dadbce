import { z } from 'zod';
import { choice, duration, flag } from '../fields.ts';

/** What pushes with standby send while their publisher is away, unless their request says something else. */
export const standby = {
  /** Every push has standby. */
  standby: flag.default(false),
  standby_freeze_ms: duration.default(2000),
  standby_source: choice(['color', 'image', 'video', 'none']).default('color'),
  standby_file: z.string().max(255).default(''),
  standby_color: z
    .string()
    .regex(/^#[\da-fA-F]{6}$/, 'must be a colour such as #202020')
    .default('#000000'),
  standby_text: z.string().max(200, 'may have 200 characters at most').default(''),
  standby_hold_ms: duration.default(600_000),
};
