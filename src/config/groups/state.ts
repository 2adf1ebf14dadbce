import { z } from 'zod';

/** What survives a restart. */
export const state = {
  /** Empty: the state is kept in memory. */
  state_dir: z.string().default(''),
  /** Empty: a key file in `state_dir`. */
  state_key: z
    .string()
    .regex(/^(?:[A-Za-z0-9+/]{43}=)?$/, 'must be 32 bytes in base64 (openssl rand -base64 32), or empty')
    .default(''),
};
