import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { GatewayError } from '../../errors.ts';

/** What the requests of WHIP and WHEP may hold, read at the edge. */

export const SDP = 'application/sdp';
export const SDP_FRAGMENT = 'application/trickle-ice-sdpfrag';

// eslint-disable-next-line no-control-regex -- control characters break out of log lines, file names and AMF strings
const CONTROL = /[\u0000-\u001f\u007f]/;
const text = (what: string, longest: number) =>
  z
    .string(`${what} must be given once`)
    .refine(
      (value) => value.length >= 1 && value.length <= longest && !CONTROL.test(value),
      `${what} must have 1 to ${longest} characters and no control characters`,
    );

/** As `/push/startup` has it. */
const StreamNameSchema = text('The name of the stream', 256);
const RtmpUrlSchema = text('rtmpUrl', 4096);
/** A page that republishes to more servers than this does so by REST. */
const MAX_RTMP_URLS = 32;

/** Other parameters are left to whoever put them there: proxies and load balancers have their own. */
const QuerySchema = z.object({
  rtmpUrl: z
    .union([
      RtmpUrlSchema.transform((url) => [url]),
      z.array(RtmpUrlSchema).max(MAX_RTMP_URLS, `rtmpUrl must be given ${MAX_RTMP_URLS} times at most`),
    ])
    .default([]),
  /** Red5 Pro's clients name what they send media over; TCP alone changes something. */
  transport: z.string().optional().catch(undefined),
});

export interface PublishQuery {
  readonly rtmpUrls: readonly string[];
  readonly tcpOnly: boolean;
}

/** @throws {GatewayError} INVALID_REQUEST that says what is wrong, and nothing of the value, which may be a stream key */
export function readQuery({ query }: FastifyRequest): PublishQuery {
  const { rtmpUrl, transport } = parse(QuerySchema, query);
  return { rtmpUrls: [...new Set(rtmpUrl)], tcpOnly: transport?.toLowerCase() === 'tcp' };
}

/** @throws {GatewayError} INVALID_REQUEST */
export function readStreamName({ params }: FastifyRequest): string {
  return parse(StreamNameSchema, (params as { stream?: unknown }).stream);
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const messages = parsed.error.issues.flatMap((issue) =>
    issue.code === 'invalid_union' ? issue.errors.flat().map(({ message }) => message) : [issue.message],
  );
  throw new GatewayError('INVALID_REQUEST', `${[...new Set(messages)].join('; ')}.`);
}

/**
 * The body, if its media type is the wanted one.
 *
 * @throws {GatewayError} UNSUPPORTED_MEDIA_TYPE
 */
export function readBody({ headers, body }: FastifyRequest, mediaType: typeof SDP | typeof SDP_FRAGMENT): string {
  const given = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (given !== mediaType)
    throw new GatewayError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The body must be ${mediaType}: send it with the header "Content-Type: ${mediaType}".`,
    );
  return typeof body === 'string' ? body : '';
}

/** Whether a request is for the resource as it is: RFC 9110, 13.1.1, by strong comparison. */
export type Precondition = 'none' | 'any' | 'matches' | 'fails';

export function checkIfMatch(header: string | undefined, etag: string): Precondition {
  if (header === undefined || header.trim() === '') return 'none';
  const tags = header.split(',').map((tag) => tag.trim());
  // RFC 9725's own example puts the asterisk in quotes.
  if (tags.includes('*') || tags.includes('"*"')) return 'any';
  return tags.includes(etag) ? 'matches' : 'fails';
}

interface Credentials {
  readonly key?: string;
  readonly username?: string;
  readonly password?: string;
}

/** In the header, as WHIP has it. */
export function headerCredentials({ headers }: FastifyRequest): Credentials {
  const apiKey = headers['x-api-key'];
  return {
    key:
      /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? (typeof apiKey === 'string' ? apiKey : undefined),
  };
}

/** In the query too, where Red5 Pro's clients put them. */
export function queryCredentials(request: FastifyRequest): Credentials {
  const { username, password, token } = request.query as Record<string, unknown>;
  const once = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  return { key: headerCredentials(request).key ?? once(token), username: once(username), password: once(password) };
}

/** Who a publisher is, without its secrets: whoever has the same may continue a stream. Nobody in particular: `undefined`. */
export function resumeKey({ key, username, password }: Credentials): string | undefined {
  if (key === undefined && username === undefined && password === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify([key, username, password]))
    .digest('base64url');
}
