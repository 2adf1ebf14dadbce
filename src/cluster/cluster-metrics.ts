import type { Metrics } from '../observe/metrics.ts';
import type { ClusterDirectory } from './cluster-directory.ts';
import type { RedisStore } from './redis-store.ts';
import type { StreamMoves } from './stream-moves.ts';

export interface MeasuredCluster {
  readonly store: Pick<RedisStore, 'available'>;
  readonly directory: Pick<ClusterDirectory, 'size' | 'lost' | 'acceptedOffline'>;
  /** Pushes of other nodes that were started again here. */
  readonly restored: () => number;
  /** Undefined before the pushes are stored. */
  readonly moves: () => Pick<StreamMoves, 'toMove' | 'given' | 'taken'> | undefined;
  /** Streams of lost nodes whose pushes were connected here. */
  readonly takenOver: () => number;
}

/** What a node measures of its cluster. */
export function registerMetrics(
  metrics: Metrics,
  { store, directory, restored, moves, takenOver }: MeasuredCluster,
): void {
  metrics.gauge('gateway_cluster_redis_up', '1 while Redis answers.', () => (store.available ? 1 : 0));
  metrics.gauge('gateway_cluster_leases', 'Stream names that this node owns.', () => directory.size);
  metrics.total(
    'gateway_cluster_leases_lost_total',
    'Stream names that this node has lost to another one, or because Redis was away for too long.',
    () => directory.lost,
  );
  metrics.total(
    'gateway_cluster_offline_claims_total',
    'Stream names that were accepted without Redis (cluster_offline=accept).',
    () => directory.acceptedOffline,
  );
  metrics.total(
    'gateway_cluster_pushes_restored_total',
    'Pushes of other nodes that were started again here when their publisher came back.',
    restored,
  );
  metrics.gauge(
    'gateway_cluster_streams_to_move',
    'Streams of this node, which drains, that are still to go to other nodes.',
    () => moves()?.toMove ?? 0,
  );
  metrics.total(
    'gateway_cluster_streams_given_total',
    'Streams of this node, which drains, that have gone to other nodes.',
    () => moves()?.given ?? 0,
  );
  metrics.total(
    'gateway_cluster_streams_taken_total',
    'Streams of nodes that drain whose pushes were taken by this node.',
    () => moves()?.taken ?? 0,
  );
  metrics.total(
    'gateway_cluster_pushes_taken_over_total',
    'Streams of lost nodes whose pushes were connected here in standby.',
    takenOver,
  );
}
