import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { once } from 'node:events';
import type { DestinationPolicy } from './destination-policy.ts';

export interface BoundedRequest {
  readonly url: URL;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole request, the name lookup excluded. */
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly maxBytes: number;
  /** Only the head of the answer matters: a longer body is cut off, and is no failure. */
  readonly ignoreBody?: boolean;
  /** Decides which addresses of the host may be connected to. Default: those that it resolves to. */
  readonly policy?: Pick<DestinationPolicy, 'resolve'>;
  /** Ends the request. */
  readonly signal?: AbortSignal;
}

export interface BoundedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * One HTTP request to a server that is not trusted with time or memory, and, with a policy, made only to addresses that it
 * has checked. Redirects are not followed: they are answers like others.
 *
 * @throws {GatewayError} DESTINATION_FORBIDDEN or DESTINATION_NOT_RESOLVED, by the policy
 */
export async function boundedRequest(options: BoundedRequest): Promise<BoundedAnswer> {
  const { url, method = 'GET', headers, body, timeoutMs, maxBytes, policy } = options;
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const checked = await policy?.resolve({ host: hostOf(url), port });
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method,
    agent: false,
    signal,
    ...(headers && { headers }),
    ...(checked && { lookup: fixedLookup(checked.addresses) }),
  });
  // Errors after the answer has begun are those of the response.
  request.on('error', () => undefined);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const head = { status: response.statusCode ?? 0, headers: response.headers };
  if (options.ignoreBody) {
    discard(response, maxBytes);
    return { ...head, body: '' };
  }
  try {
    return { ...head, body: await read(response, maxBytes) };
  } finally {
    request.destroy();
  }
}

/** The host as policies and sockets have it: IPv6 addresses without brackets. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');

function discard(response: IncomingMessage, maxBytes: number): void {
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) response.destroy();
  });
  // The status has been read; the rest does not matter.
  response.on('error', () => undefined);
}

async function read(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Answers each lookup with the addresses that were checked, so that a name cannot change its mind in between. */
function fixedLookup(addresses: readonly string[]) {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (
    _host: string,
    { all: wantsAll }: { all?: boolean | undefined },
    done: (error: null, address: never, family?: number) => void,
  ): void => (wantsAll ? done(null, all as never) : done(null, all[0]!.address as never, all[0]!.family));
}
