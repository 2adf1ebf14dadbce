import { once } from 'node:events';
import type { GatewayError } from '../../src/errors.ts';
import type { Pusher, PushTarget } from '../../src/outputs/push/pusher.ts';
import { parseDestination } from '../../src/net/destination.ts';

/** A target for a full URL such as `rtmp://127.0.0.1:1935/live/name`, at 127.0.0.1 unless told otherwise. */
export function pushTarget(url: string, options: Partial<Omit<PushTarget, 'destination'>> = {}): PushTarget {
  return {
    destination: parseDestination(url, 'unused', { streamNamePrefix: '', fullUrl: true }),
    addresses: ['127.0.0.1'],
    flashVersion: 'FMLE/3.0 (compatible; FMSc/1.0)',
    stallTimeoutMs: 10_000,
    ...options,
  };
}

/** When the pusher wants tags. Rejects with the reason when it dies before. */
export async function ready(pusher: Pusher): Promise<void> {
  await Promise.race([once(pusher, 'ready'), death(pusher).then((error) => Promise.reject(error))]);
}

/** Why the pusher died. */
export async function death(pusher: Pusher): Promise<GatewayError> {
  return ((await once(pusher, 'died')) as [GatewayError])[0];
}
