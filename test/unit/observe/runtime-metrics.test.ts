import t from 'tap';
import { LimitHits } from '../../../src/observe/limits.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Metrics } from '../../../src/observe/metrics.ts';
import { registerRuntimeMetrics } from '../../../src/observe/runtime-metrics.ts';
import { FastPaths } from '../../../src/runtime/fast-paths.ts';

t.test('the state of the process: fast paths, overload, late packets, pending sessions', async (t) => {
  const metrics = new Metrics();
  const fastPaths = new FastPaths({ enabled: true, logger: silentLogger });
  fastPaths.activate('pipe_reads');
  fastPaths.fallBack('worker_channel', 'tried');
  const overload = { overloaded: false };
  const limits = new LimitHits();
  limits.count('max_players');
  limits.count('max_players');
  registerRuntimeMetrics(metrics, {
    fastPaths,
    overload,
    workers: { latePackets: 12, missedFrames: 34, pausedTracks: 2, pendingSessions: 3 },
    connections: { http: { size: 7 }, ws: { size: 0 } },
    limits,
  });
  overload.overloaded = true;
  for (const read of ['first', 'second']) {
    const text = await metrics.render();
    for (const line of [
      'gateway_fast_path{name="pipe_reads"} 1',
      'gateway_fast_path{name="worker_channel"} 0',
      'gateway_fast_path{name="young_generation"} 0',
      'gateway_overloaded 1',
      'gateway_late_packets_total 12',
      'gateway_missed_frames_total 34',
      'gateway_paused_video_tracks 2',
      'gateway_pending_sessions 3',
      'gateway_connections{listener="http"} 7',
      'gateway_connections{listener="ws"} 0',
      'gateway_limit_hits_total{limit="max_players"} 2',
    ])
      t.ok(text.includes(`\n${line}\n`), `${read}: ${line}`);
  }
});
