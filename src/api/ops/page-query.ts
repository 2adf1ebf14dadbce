import { z } from 'zod';

const MAX_PAGE = 1000;
const rule = `limit must be a whole number from 1 to ${MAX_PAGE}`;

/** The fields of the query of a list that is read in pages. @param last what `after` is, in words */
export const pageQuery = (last: string) => ({
  limit: z
    .string(rule)
    .regex(/^\d{1,4}$/, rule)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= MAX_PAGE, rule)
    .default(100),
  after: z.string(`after must be ${last}`).optional(),
  /** Read by the guard. */
  accessToken: z.unknown().optional(),
});
