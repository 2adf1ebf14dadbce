import { z } from 'zod';
import type { NodeRecord } from '../../cluster/cluster-store.ts';
import type { NodeAnswer } from './node-client.ts';
import { nodeLost } from './proxy.ts';

/** One answer from those of all nodes. */

type Json = unknown;
interface Merged extends Pick<NodeAnswer, 'status' | 'headers' | 'body'> {
  /** Nodes without an answer that counts. */
  readonly missing: readonly NodeRecord[];
}

/** Lists have objects, or names. */
const BodySchema = z.union([z.looseObject({}), z.array(z.union([z.looseObject({}), z.string()]))]);

function parseBody(body: Buffer): Json | undefined {
  try {
    return BodySchema.safeParse(JSON.parse(body.toString())).data;
  } catch {
    return undefined;
  }
}

export interface MergeOptions {
  /** Adds to each item of a list the node that it is from. */
  readonly namesNodes: boolean;
  /** Called for each item that has an id. */
  readonly onId: (id: string, node: NodeRecord) => void;
}

/**
 * Lists are appended to each other; Red5's envelopes have their `data` merged. A node without a match answers 404, which
 * counts only if all nodes do.
 *
 * @throws {GatewayError} NODE_LOST if no node has a match, and one does not answer
 */
export function mergeAnswers(
  answers: readonly NodeAnswer[],
  silent: readonly NodeRecord[],
  { namesNodes, onId }: MergeOptions,
): Merged {
  const good = answers.filter(({ status }) => status === 200);
  const readable = good.flatMap(({ node, body }) => {
    const parsed = parseBody(body);
    return parsed === undefined ? [] : [{ node, body: parsed }];
  });
  // A node that answers with something else counts as one that does not answer.
  const missing = [
    ...silent,
    ...good.map(({ node }) => node).filter((node) => !readable.some((one) => one.node === node)),
  ];
  if (readable.length === 0) {
    const refused =
      answers.find(({ status }) => status !== 404 && status !== 200) ?? (missing.length === 0 ? answers[0] : undefined);
    if (!refused) throw nodeLost(missing.map(({ id }) => id));
    return { ...refused, missing };
  }
  const bodies = readable.map(({ node, body }): Json => {
    if (!namesNodes || !Array.isArray(body)) return body;
    return (body as readonly object[]).map((item) => ({ ...item, node: node.id }));
  });
  readable.forEach(({ node }, index) => {
    const body = bodies[index];
    if (!Array.isArray(body)) return;
    for (const item of body as readonly Readonly<Record<string, unknown>>[]) {
      const id = item['mediaSessionId'] ?? item['sessionId'];
      if (typeof id === 'string') onId(id, node);
    }
  });
  const body = bodies.reduce((all, one) => mergeTwo(all, one));
  const isEnvelope = typeof body === 'object' && body !== null && !Array.isArray(body);
  const shown =
    isEnvelope && missing.length > 0 ? { ...body, partial: true, missing: missing.map(({ id }) => id) } : body;
  return {
    status: 200,
    headers: exposing(good[0]!.headers, missing),
    body: Buffer.from(JSON.stringify(shown)),
    missing,
  };
}

/** Pages of other origins may read which nodes are missing. */
function exposing(headers: Merged['headers'], missing: readonly NodeRecord[]): Merged['headers'] {
  const exposed = headers['access-control-expose-headers'];
  if (exposed === undefined || missing.length === 0) return headers;
  return { ...headers, 'access-control-expose-headers': `${exposed}, X-Partial, X-Missing-Nodes` };
}

function mergeTwo(a: Json, b: Json): Json {
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (!isObject(a) || !isObject(b) || !('data' in a) || !('data' in b)) return a;
  return { ...a, data: mergeData(a['data'], b['data']) };
}

/** Names are listed once, counts are added. */
function mergeData(a: Json, b: Json): Json {
  if (Array.isArray(a) && Array.isArray(b)) return [...new Set([...(a as Json[]), ...(b as Json[])])];
  if (!isObject(a) || !isObject(b)) return a;
  return Object.fromEntries(
    Object.entries(a).map(([key, value]) => {
      const other = b[key];
      return [key, typeof value === 'number' && typeof other === 'number' ? value + other : value];
    }),
  );
}

const isObject = (value: Json): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
