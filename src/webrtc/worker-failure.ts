import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';

export const workerDied = (cause?: unknown): GatewayError =>
  new GatewayError('WORKER_DIED', 'The media worker is being restarted. Try again in a moment.', { cause });

/** What to tell of a request to a worker that failed: whatever it failed with, a worker that is gone is the reason. */
export function failureOf(worker: types.Worker, error: unknown): unknown {
  if (worker.died) return workerDied(error);
  return worker.closed ? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.', { cause: error }) : error;
}
