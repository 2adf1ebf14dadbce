import { z } from 'zod';
import { flag, origins } from '../fields.ts';

/** Who may call. */
export const access = {
  rest_api_key: z
    .string()
    .regex(/^[\x21-\x7e]*$/, 'must be printable ASCII without spaces')
    .default(''),
  allow_anonymous: flag.default(false),
  cors_origins: origins.default([]),
};
