import { z } from 'zod';
import { flag, must, text } from './fields.ts';
import { streamName } from './schemas.ts';

/** The bodies of `/rest-api/stream/*`, `/rest-api/connection/*` and `/rest-api/data/*`. */

const id = (what: string) => text(`${what}, a string`, 128);
const mediaSessionId = id('the mediaSessionId of a stream');
const sessionId = id('the sessionId of a connection');
/** Any JSON value. */
const payload = z.unknown().refine((value) => value !== undefined, must('any JSON value'));

export const StreamFilterSchema = z.object({
  mediaSessionId: mediaSessionId.optional(),
  name: streamName.optional(),
  published: flag('true: publishers only. false: players only.'),
  display: z
    .array(z.string(), must('an array such as ["metrics"]'))
    .max(16)
    .optional()
    .meta({ description: '["metrics"] adds the counters of publishers.' }),
});

const terminateRule = must('the mediaSessionId of a stream, or an array of 1 to 100 of them');
export const StreamTerminateSchema = z.object({
  mediaSessionId: z
    .union([mediaSessionId, z.array(mediaSessionId).min(1).max(100)], terminateRule)
    .optional()
    .meta({ description: 'One, or an array.' }),
  name: streamName.optional().meta({ description: 'Ends the publisher of this name, also one that is lost.' }),
});

export const RecordSchema = z.object({
  mediaSessionId: mediaSessionId.optional().meta({ description: 'Of the publisher.' }),
  streamName: streamName.optional().meta({ description: 'Instead of mediaSessionId.' }),
});

export const SnapshotSchema = z.object({ streamName });
export const StreamEventSchema = z.object({ streamName, payload });

export const DataSchema = z.object({
  nodeId: z.string().optional().meta({ description: 'Accepted without effect: there is one node.' }),
  operationId: z.union([z.string().max(128), z.number()], must('a string of at most 128 characters')).optional(),
  sessionId,
  payload,
});

export const ConnectionFilterSchema = z.object({
  sessionId: sessionId.optional(),
  appKey: text('a string', 256).optional(),
  clientVersion: text('a string', 512).optional(),
});
export const ConnectionIdSchema = z.object({ sessionId });
