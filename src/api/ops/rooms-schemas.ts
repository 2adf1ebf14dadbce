import { z } from 'zod';
import { must, text, toNumber } from '../wcs/fields.ts';
import { pageQuery } from './page-query.ts';

/** Requests about rooms. */

export const RoomQuerySchema = z.strictObject(
  {
    prefix: z.string('prefix must be given once').default(''),
    ...pageQuery('the name of a room'),
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
