import { z } from 'zod';
import { must, text, toNumber } from '../wcs/fields.ts';

/** Requests about rooms. */

const MAX_PAGE = 1000;
const rule = `limit must be a whole number from 1 to ${MAX_PAGE}`;
export const RoomQuerySchema = z.strictObject(
  {
    prefix: z.string('prefix must be given once').default(''),
    after: z.string('after must be the name of a room').optional(),
    limit: z
      .string(rule)
      .regex(/^\d{1,4}$/, rule)
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= MAX_PAGE, rule)
      .default(100),
    /** Read by the guard. */
    accessToken: z.unknown().optional(),
  },
  'the query may have prefix, after and limit',
);

const membersRule = must('a whole number from 1 to 100000');
export const RoomChangeSchema = z.object({
  attributes: z
    .record(z.string().min(1).max(256), z.json(), must('an object: names of up to 256 characters, and any JSON values'))
    .optional()
    .meta({ description: 'Merged into those of the room; null removes one.' }),
  maxMembers: z.preprocess(toNumber, z.int(membersRule).min(1, membersRule).max(100_000, membersRule)).optional(),
});

export const RoomMessageSchema = z.object({
  text: z.string(must('a text')).min(1, must('a text')).meta({ description: 'For all members of the room.' }),
  from: text('a name', 64).optional().meta({ description: 'Shown as the sender.' }),
});

export const MemberRemovalSchema = z.object({
  reason: text('a text', 200).optional().meta({ description: 'The member is told.' }),
});
