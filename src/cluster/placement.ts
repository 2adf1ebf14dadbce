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
 * not send all streams of one second to the same node. Each counts once for every manager, because all of them see the
 * same gaps and fill them at the same time.
 */
export class PlacementLedger {
  readonly #placed = new Map<string, { readonly beat: number; streams: number }>();
  /** Managers of the cluster. */
  managers = 1;

  /** @param beat the last heartbeat of the node that this manager has seen */
  placed({ id, beat }: Pick<NodeRecord, 'id' | 'beat'>): void {
    const placed = this.#placed.get(id);
    if (placed?.beat === beat) placed.streams++;
    else this.#placed.set(id, { beat, streams: 1 });
  }

  /** A stream has been refused by its node. */
  withdraw(id: string): void {
    const placed = this.#placed.get(id);
    if (placed && placed.streams > 0) placed.streams--;
  }

  /**
   * The nodes with the streams that are on their way. A later heartbeat contains them, but for those of its last moment;
   * to count these twice would be worse, because every manager would correct the error of the others.
   */
  adjust(nodes: readonly NodeRecord[]): NodeRecord[] {
    return nodes.map((node) => {
      const placed = this.#placed.get(node.id);
      if (!placed) return node;
      if (placed.beat === node.beat)
        return { ...node, publications: node.publications + placed.streams * this.managers };
      this.#placed.delete(node.id);
      return node;
    });
  }
}
