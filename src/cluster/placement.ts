import type { NodeRecord } from './cluster-store.ts';

/** Which node gets a new stream. Pure. */

export interface PlacementWish {
  /** Nodes of this region are preferred. */
  readonly region?: string | undefined;
  /** No other region will do. */
  readonly strict?: boolean | undefined;
  readonly group?: string | undefined;
  /** Nodes that were tried already. */
  readonly except?: ReadonlySet<string> | undefined;
}

/** Above this share of its processor a node gets a stream only if no other node can take it. */
const BUSY_CPU = 0.9;

/** Publications as a share of the capacity. */
export const relativeLoad = ({ publications, capacity }: Pick<NodeRecord, 'publications' | 'capacity'>): number =>
  publications / capacity;

/**
 * The nodes that may take a new stream, the best one first: in the wished region before others, with processor time left
 * before busy ones, then by load. Of equally loaded nodes the order is random, so that several managers do not choose the
 * same one.
 *
 * @param random numbers from 0 to 1
 */
export function rankNodes(
  nodes: readonly NodeRecord[],
  { region, strict = false, group, except }: PlacementWish,
  random: () => number,
): NodeRecord[] {
  const rank = (node: NodeRecord): readonly number[] => [
    region !== undefined && region !== '' && node.region !== region ? 1 : 0,
    node.overloaded || node.cpu > BUSY_CPU ? 1 : 0,
    relativeLoad(node),
    random(),
  ];
  return nodes
    .filter((node) => node.state === 'in-service' && !except?.has(node.id))
    .filter((node) => node.publications < node.capacity)
    .filter((node) => !strict || region === undefined || node.region === region)
    .filter((node) => group === undefined || group === '' || node.group === group)
    .map((node) => ({ node, rank: rank(node) }))
    .sort((a, b) => compare(a.rank, b.rank))
    .map(({ node }) => node);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, at) => value !== b[at]);
  return index < 0 ? 0 : a[index]! - b[index]!;
}

/**
 * Counts the streams that this manager has sent to nodes and that their heartbeats do not contain yet, so that it does
 * not send all streams of one second to the same node.
 */
export class PlacementLedger {
  readonly #placed = new Map<string, number[]>();

  /** @param beat the last heartbeat of the node that this manager has seen */
  placed({ id, beat }: Pick<NodeRecord, 'id' | 'beat'>): void {
    const placed = this.#placed.get(id) ?? [];
    placed.push(beat);
    this.#placed.set(id, placed);
  }

  /** The nodes with the streams that are on their way. */
  adjust(nodes: readonly NodeRecord[]): NodeRecord[] {
    for (const id of this.#placed.keys()) if (!nodes.some((node) => node.id === id)) this.#placed.delete(id);
    return nodes.map((node) => {
      // The next heartbeat may have been written before the stream arrived, the one after it was not. A beat that is lower belongs to a
      // restarted node.
      const underWay = (this.#placed.get(node.id) ?? []).filter((beat) => node.beat >= beat && node.beat < beat + 2);
      if (underWay.length > 0) this.#placed.set(node.id, underWay);
      else this.#placed.delete(node.id);
      return { ...node, publications: node.publications + underWay.length };
    });
  }
}
