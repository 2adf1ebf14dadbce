import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { once } from 'node:events';

export interface BoundedRequest {
  readonly url: URL;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole request, the name lookup excluded. */
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly maxBytes: number;
  /** The addresses to connect to, checked by the caller. Default: those that the host resolves to. */
  readonly addresses?: readonly string[];
  /** Ends the request. */
  readonly signal?: AbortSignal;
}

export interface BoundedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * One HTTP request to a server that is not trusted with time or memory. Redirects are not followed: they are answers
 * like others.
 */
export async function boundedRequest(options: BoundedRequest): Promise<BoundedAnswer> {
  const { url, method = 'GET', headers, body, timeoutMs, addresses } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method,
    agent: false,
    signal,
    ...(headers && { headers }),
    ...(addresses && { lookup: fixedLookup(addresses) }),
  });
  // Errors after the answer has begun are those of the response.
  request.on('error', () => undefined);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  try {
    return { status: response.statusCode ?? 0, headers: response.headers, body: await read(response, options) };
  } finally {
    request.destroy();
  }
}

async function read(response: IncomingMessage, { maxBytes }: BoundedRequest): Promise<string> {
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
