import type { Settings } from '../config/schema.ts';
import type { Logger } from '../observe/logger.ts';
import type { FastPaths } from '../runtime/fast-paths.ts';
import { mediaAddresses } from './media-addresses.ts';
import { WorkerPool } from './worker-pool.ts';

/** Starts the media workers. */
export const createWorkers = (
  settings: Settings,
  parts: { readonly fastPaths: FastPaths; readonly logger: Logger },
): Promise<WorkerPool> =>
  WorkerPool.create({
    ...parts,
    workers: settings.rtc_workers,
    rtcPort: settings.rtc_port,
    addresses: () => mediaAddresses(settings),
    batchMs: settings.media_batch_ms,
    pendingSessions: { perClient: settings.max_pending_sessions_per_ip, total: settings.max_pending_sessions },
  });
