import { toGatewayError, type GatewayError } from '../errors.ts';
import type { StreamLease } from '../streams/directory.ts';
import type { LiveStream } from '../streams/live-stream.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';

/** Ties the lease to the stream, which may be held and continued by another publication. */
export function keepLease(stream: LiveStream, lease: StreamLease, registry: StreamRegistry): void {
  const onLost = (): void => registry.end(stream, leaseLoss(lease));
  lease.lost.addEventListener('abort', onLost);
  const release = (): void => {
    lease.lost.removeEventListener('abort', onLost);
    lease.release();
  };
  if (stream.endedBy) release();
  else stream.once('ended', release);
}

export const leaseLoss = (lease: StreamLease): GatewayError =>
  toGatewayError(lease.lost.reason as unknown, 'STREAM_NAME_IN_USE');
