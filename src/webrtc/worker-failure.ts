import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';

export const workerDied = (cause?: unknown): GatewayError =>
  new GatewayError('WORKER_DIED', 'The media worker is being restarted. Try again in a moment.', { cause });

/** The error to report for a failed request to a worker: when the worker is gone, that is the reason. */
export function failureOf(worker: types.Worker, error: unknown): unknown {
  if (worker.died) return workerDied(error);
  return worker.closed ? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.', { cause: error }) : error;
}
