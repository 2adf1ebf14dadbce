import { once } from 'node:events';
import type { GatewayError } from '../../src/errors.ts';
import type { Pusher, PushTarget } from '../../src/outputs/push/pusher.ts';
import { parseDestination } from '../../src/net/destination.ts';

/** A target for a full URL such as `rtmp://127.0.0.1:1935/live/name`, by default at 127.0.0.1. */
export function pushTarget(url: string, options: Partial<Omit<PushTarget, 'destination'>> = {}): PushTarget {
  return {
    destination: parseDestination(url, 'unused', { streamNamePrefix: '', fullUrl: true }),
    addresses: ['127.0.0.1'],
    flashVersion: 'FMLE/3.0 (compatible; FMSc/1.0)',
    stallTimeoutMs: 10_000,
    ...options,
  };
}

/** Resolves on `ready`. Rejects with the reason if the pusher dies before. */
export async function ready(pusher: Pusher): Promise<void> {
  await Promise.race([once(pusher, 'ready'), death(pusher).then((error) => Promise.reject(error))]);
}

/** Resolves with the reason when the pusher dies. */
export async function death(pusher: Pusher): Promise<GatewayError> {
  return ((await once(pusher, 'died')) as [GatewayError])[0];
}
