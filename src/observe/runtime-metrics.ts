import type { LimitHits } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** What is read when `/metrics` is rendered. */
export interface RuntimeSources {
  /** Whether each fast path is in use, by name. */
  readonly fastPaths: { readonly states: ReadonlyMap<string, boolean> };
  readonly overload: { readonly overloaded: boolean };
  /** The media workers. */
  readonly workers: {
    readonly latePackets: number;
    readonly missedFrames: number;
    readonly pausedTracks: number;
    readonly pendingSessions: number;
  };
  /** Open TCP connections, by kind of listener. */
  readonly connections: Readonly<Record<string, { readonly size: number }>>;
  readonly limits: Pick<LimitHits, 'counts'>;
}

/** Registers the metrics of the process itself. */
export function registerRuntimeMetrics(
  metrics: Metrics,
  { fastPaths, overload, workers, connections, limits }: RuntimeSources,
): void {
  metrics.labelledGauge('gateway_fast_path', 'Whether a fast path is in use (1) or its fallback (0).', 'name', () =>
    [...fastPaths.states].map(([name, active]) => [name, Number(active)] as const),
  );
  metrics.gauge('gateway_overloaded', 'Whether new publications are refused because of overload.', () =>
    Number(overload.overloaded),
  );
  metrics.gauge('gateway_pending_sessions', 'WebRTC sessions that have not connected.', () => workers.pendingSessions);
  metrics.labelledGauge('gateway_connections', 'Open TCP connections.', 'listener', () =>
    Object.entries(connections).map(([listener, { size }]) => [listener, size] as const),
  );
  metrics.labelledTotal(
    'gateway_limit_hits_total',
    'What limits have refused or ended, by setting.',
    'limit',
    () => limits.counts,
  );
  metrics.total(
    'gateway_late_packets_total',
    'Video packets dropped because the gateway read them too late.',
    () => workers.latePackets,
  );
  metrics.total(
    'gateway_missed_frames_total',
    'Video frames that were not taken from the media workers because the gateway did not keep up.',
    () => workers.missedFrames,
  );
  metrics.gauge(
    'gateway_paused_video_tracks',
    'Video tracks that are paused because the gateway does not keep up.',
    () => workers.pausedTracks,
  );
}
