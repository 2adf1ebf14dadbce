import { z } from 'zod';
import { DRAIN_STATES, NODE_STATES, type LeaseRecord, type NodeRecord, type Offer } from './cluster-store.ts';

/** How nodes and leases are written in Redis. Another version of the gateway may have written what is read. */

const text = z.string().max(1024);
const count = z.coerce.number().int().min(0);
const url = text.refine((value) => URL.canParse(value), 'must be a URL');

const NodeRecordSchema = z.object({
  id: text.min(1),
  instance: text.min(1),
  url,
  wsUrl: url,
  region: text,
  group: text,
  state: z.enum(NODE_STATES),
  version: text,
  capacity: count.min(1),
  publications: count,
  pushes: count,
  encoders: count,
  cpu: z.coerce.number().min(0),
  overloaded: z.stringbool({ truthy: ['true'], falsy: ['false'] }),
  // Earlier versions do not write these two.
  drain: z.enum(DRAIN_STATES).default('no'),
  toMove: count.default(0),
  beat: count,
  startedAt: count,
});

export const encodeNode = (node: NodeRecord): Record<string, string> =>
  Object.fromEntries(Object.entries(node).map(([key, value]) => [key, String(value)]));

/** `undefined` for a hash that is empty or not a node. */
export function decodeNode(fields: Readonly<Record<string, string>>): NodeRecord | undefined {
  return NodeRecordSchema.safeParse(fields).data;
}

/** @param lease `EPOCH INSTANCE NODE` */
export function decodeLease(lease: string): LeaseRecord | undefined {
  const [, epoch, instance, node] = /^(\d+) (\S+) (.+)$/.exec(lease) ?? [];
  return epoch === undefined ? undefined : { epoch: Number(epoch), instance: instance!, node: node! };
}

/** @param offer `EPOCH ID,ID,…` */
export function decodeOffer(offer: string): Offer | undefined {
  const [, epoch, ids] = /^(\d+) (.*)$/.exec(offer) ?? [];
  return epoch === undefined ? undefined : { epoch: Number(epoch), pushing: ids ? ids.split(',') : [] };
}
