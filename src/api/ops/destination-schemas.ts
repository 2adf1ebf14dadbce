import { z } from 'zod';
import { ID_PATTERN, MAX_ID_LENGTH } from '../../outputs/push/saved/named-records.ts';
import { MAX_STREAM_NAME_LENGTH } from '../../streams/stream-name.ts';
import { TransponderSchema, VerdictSchema } from '../../views/push-view.ts';
import { consistent, push } from '../wcs/schemas.ts';
import { must, text } from '../wcs/fields.ts';

/** Saved destinations and groups of them: requests and answers. */

const MAX_NAME = 100;
const MAX_IN_GROUP = 20;

const name = text('a name, a string', MAX_NAME);
const idRule = must(`1 to ${MAX_ID_LENGTH} characters of a-z, 0-9 and "-"`);
const id = z.string(idRule).regex(ID_PATTERN, idRule);
const newId = id.optional().meta({ description: 'Made from the name, unless it is sent.' });
const streamPatterns = (description: string) =>
  z
    .array(text('a name of a stream, a string', MAX_STREAM_NAME_LENGTH), must('a list of names of streams'))
    .max(100, must('a list of at most 100 names of streams'))
    .optional()
    .meta({ description: `${description} Exact, or with "*".` });

const destination = {
  name,
  allowStreams: streamPatterns('Streams whose own credentials, limited to certain streams, may use the destination.'),
  ...push,
};
export const NewDestinationSchema = consistent(z.object({ id: newId, ...destination }));
/** Of a saved destination after a change. */
export const SavedDestinationSchema = consistent(z.object(destination));
/** What is not sent stays. `null` removes a field. */
export const DestinationChangeSchema = z.object(destination).partial();

const group = {
  name,
  destinationIds: z
    .array(id, must('a list of ids of saved destinations'))
    .min(1, must('a list of at least one id of a saved destination'))
    .max(MAX_IN_GROUP, must(`a list of at most ${MAX_IN_GROUP} ids of saved destinations`))
    .refine((ids) => new Set(ids).size === ids.length, must('a list that has each id once')),
  onPublish: streamPatterns('Streams that go live with this group whenever they are published.'),
};
export const NewGroupSchema = z.object({ id: newId, ...group });
export const GroupChangeSchema = z.object(group).partial();

const time = z.iso.datetime();
const dates = { createdAt: time, changedAt: time };

export const DestinationViewSchema = z.looseObject({
  id: z.string(),
  name: z.string(),
  destination: z.string().meta({ description: 'The URL without secrets.' }),
  keyHint: z.string().optional().meta({ description: 'The last characters of a long stream key.' }),
  backupDestination: z.string().optional(),
  platform: z.string().optional(),
  allowStreams: z.array(z.string()).readonly(),
  groups: z.array(z.string()).meta({ description: 'The ids of the groups that it is in.' }),
  problem: z.string().optional().meta({ description: 'Why it cannot be used.' }),
  ...dates,
});
export type DestinationView = z.output<typeof DestinationViewSchema>;

export const GroupViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  destinationIds: z.array(z.string()).readonly(),
  onPublish: z.array(z.string()).readonly(),
  ...dates,
});

const member = { destinationId: z.string(), name: z.string(), verdicts: z.array(VerdictSchema).readonly() };
export const GroupCheckSchema = z.object({
  ...member,
  level: z.enum(['ok', 'warning', 'error']).meta({ description: 'The worst of the verdicts.' }),
});
export const GroupStartSchema = z.object({
  ...member,
  status: z.enum(['started', 'running', 'refused']),
  push: TransponderSchema.optional(),
  code: z.string().optional().meta({ description: 'Why it was refused.' }),
  reason: z.string().optional(),
});
export type GroupCheckView = z.output<typeof GroupCheckSchema>;
export type GroupStartView = z.output<typeof GroupStartSchema>;
