import { z } from 'zod';
import { ACTIONS, ROOM_RIGHTS } from './authorizer.ts';

/** The claims of the gateway's tokens, beside those of RFC 7519 that are checked with the signature. Missing claims allow nothing. */
export const JwtClaimsSchema = z.object({
  sub: z.string().min(1).max(256),
  exp: z.number(),
  act: z.array(z.enum(ACTIONS)).default([]),
  streams: z.array(z.string().min(1).max(256)).max(1000).default([]),
  /** By the scopes of rooms, with `*` for any characters. Missing: everything in all. */
  rooms: z
    .record(z.string().min(1).max(512), z.array(z.enum(ROOM_RIGHTS)))
    .refine((rooms) => Object.keys(rooms).length <= 1000)
    .optional(),
  destinations: z.array(z.string().min(1).max(256)).max(1000).optional(),
  /** Seconds. */
  maxDuration: z.number().positive().max(31_536_000).optional(),
});
export type JwtClaims = z.output<typeof JwtClaimsSchema>;
