import { z } from 'zod';
import type { ScopeSummary, ScopeView } from '../../rooms/room-client.ts';

/** The answers about rooms. */

const count = z.int().min(0);
const values = z.record(z.string(), z.json()).readonly();

const RoomSummarySchema = z.object({
  scope: z.string().meta({ description: 'The path of the room.' }),
  members: count,
  objects: count,
}) satisfies z.ZodType<ScopeSummary>;

export const RoomPageSchema = z.object({
  rooms: z.array(RoomSummarySchema).meta({ description: 'In the order of their names.' }),
  next: z.string().nullable().meta({ description: 'To be sent as `after` for the next page; null: there is none.' }),
});
export type RoomPageView = z.output<typeof RoomPageSchema>;

const MemberSchema = z.object({
  id: z.string(),
  login: z.string().optional().meta({ description: 'The name by which the other members know this one.' }),
  door: z.enum(['websocket', 'rtmp', 'datachannel', 'wcs']).meta({
    description: 'wcs: a page with the Room API of WCS, or with the browser library.',
  }),
  node: z.string().optional().meta({ description: 'In a cluster: the node that the client is connected to.' }),
  streams: z.array(z.string()).readonly().meta({ description: 'Streams that it publishes in the room.' }),
  objects: z.array(z.string()).readonly().meta({ description: 'Objects that it is connected to.' }),
  joinedAt: z.iso.datetime(),
});

const ObjectSchema = z.object({
  name: z.string(),
  persistent: z.boolean(),
  acquired: count.meta({ description: 'How often it was acquired and not released.' }),
  version: count,
  members: count.meta({ description: 'Members that are connected to it.' }),
  properties: values,
});

export const RoomSchema = z.object({
  scope: z.string(),
  attributes: values,
  maxMembers: count,
  members: z.array(MemberSchema).readonly(),
  objects: z.array(ObjectSchema).readonly(),
}) satisfies z.ZodType<ScopeView>;
export type RoomView = ScopeView;
