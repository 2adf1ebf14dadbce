import { z } from 'zod';
import { ACTIONS } from './authorizer.ts';

/** The claims of the gateway's tokens, beside those of RFC 7519 that are checked with the signature. Missing claims allow nothing. */
export const JwtClaimsSchema = z.object({
  sub: z.string().min(1).max(256),
  exp: z.number(),
  act: z.array(z.enum(ACTIONS)).default([]),
  streams: z.array(z.string().min(1).max(256)).max(1000).default([]),
  destinations: z.array(z.string().min(1).max(256)).max(1000).optional(),
  /** Seconds. */
  maxDuration: z.number().positive().max(31_536_000).optional(),
});
export type JwtClaims = z.output<typeof JwtClaimsSchema>;
