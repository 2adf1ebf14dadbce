import type { Backoff } from '../../runtime/async.ts';
import type { RetryRules } from './leg-state.ts';
import type { StartRequest } from './transponder-control.ts';

/**
 * How a push reconnects: what its request says, and otherwise what the settings say. A push that says how often it
 * reconnects, or that has a backup, reconnects unless it says `restore: false`.
 */
export function retryRules(
  { restore, restoreAttempts, restoreIntervalMs, restoreMaxIntervalMs, backupUrl }: StartRequest,
  settings: RetryRules & Backoff,
): RetryRules & Backoff {
  const asks = restoreAttempts !== undefined || restoreIntervalMs !== undefined || backupUrl !== undefined;
  const intervalMs = restoreIntervalMs ?? settings.intervalMs;
  const capMs = restoreMaxIntervalMs ?? settings.capMs;
  return {
    enabled: restore ?? (asks || settings.enabled),
    attempts: restoreAttempts ?? settings.attempts,
    intervalMs,
    // A request that asks for a longer interval than the cap of the settings gets it, without backoff.
    capMs: capMs > 0 && capMs < intervalMs ? 0 : capMs,
  };
}
