import { Webhook } from 'standardwebhooks';
import { GatewayError } from '../errors.ts';
import { boundedRequest, hostOf, type BoundedAnswer } from '../net/bounded-request.ts';
import { DestinationPolicy } from '../net/destination-policy.ts';
import { isLoopback } from '../net/loopback.ts';
import type { Secret } from '../net/secret.ts';
import type { Delivery } from './delivery-queue.ts';
import { retryAfterMs } from './retry-schedule.ts';

export const TIMEOUT_MS = 15_000;
/** The answer has no meaning beyond its status. Longer ones are cut off. */
const MAX_ANSWER_BYTES = 65_536;

/** What became of one attempt. */
export type SendResult =
  | { readonly result: 'delivered' }
  /** 410: the receiver wants no further events. */
  | { readonly result: 'gone' }
  | { readonly result: 'failed'; readonly reason: string; readonly retryAfterMs?: number };

/** Sends a delivery once. Never rejects. */
export type Sender = (delivery: Delivery, signal: AbortSignal) => Promise<SendResult>;

export interface SenderOptions {
  readonly url: URL;
  readonly secret: Secret;
  /** `destination_allow_networks`: the private networks that may be reached. */
  readonly allowNetworks: readonly string[];
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** All addresses of a host. Default: the system's resolver. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  readonly timeoutMs?: number;
}

/** Posts deliveries to one URL, signed by the Standard Webhooks specification. Redirects are not followed: they count as failures. */
export function createSender({
  url,
  secret,
  allowNetworks,
  version,
  now,
  lookup,
  timeoutMs = TIMEOUT_MS,
}: SenderOptions): Sender {
  const signer = new Webhook(secret.reveal());
  const host = hostOf(url);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const policy = new DestinationPolicy(
    { destination_allow_networks: [...allowNetworks], destination_allow_hosts: [], destination_deny_hosts: [] },
    {
      // Who writes a loopback address into the settings means it. A name that resolves to one is refused.
      alsoAllow: loopbackAddresses(host).map((address) => ({ address, port })),
      ...(lookup && { lookup }),
    },
  );
  return async ({ id, body }, signal) => {
    try {
      const sentAt = new Date(now());
      const answer = await boundedRequest({
        ...{ url, body, policy, signal, timeoutMs },
        method: 'POST',
        maxBytes: MAX_ANSWER_BYTES,
        ignoreBody: true,
        headers: {
          'content-type': 'application/json',
          'user-agent': `webrtc-transponder/${version}`,
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
          'webhook-signature': signer.sign(id, sentAt, body),
        },
      });
      return resultOf(answer, now());
    } catch (error) {
      return { result: 'failed', reason: describe(error, timeoutMs) };
    }
  };
}

function resultOf({ status, headers }: BoundedAnswer, nowMs: number): SendResult {
  if (status >= 200 && status < 300) return { result: 'delivered' };
  if (status === 410) return { result: 'gone' };
  const waitMs = status === 429 || status === 503 ? retryAfterMs(headers['retry-after'], nowMs) : undefined;
  return { result: 'failed', reason: `status ${status}`, ...(waitMs !== undefined && { retryAfterMs: waitMs }) };
}

function loopbackAddresses(host: string): string[] {
  if (host === 'localhost') return ['127.0.0.1', '::1'];
  return isLoopback(host) ? [host] : [];
}

/** For the log. The messages of errors may contain the URL, so only codes are used. */
function describe(error: unknown, timeoutMs: number): string {
  if (error instanceof GatewayError)
    return error.code === 'DESTINATION_FORBIDDEN'
      ? 'its address is private or reserved, and destination_allow_networks does not name it'
      : 'its host could not be resolved';
  const { name, code } = error as NodeJS.ErrnoException;
  const timedOut = name === 'TimeoutError' || ((error as Error).cause as Error | undefined)?.name === 'TimeoutError';
  return timedOut ? `no answer within ${timeoutMs} ms` : (code ?? name);
}
