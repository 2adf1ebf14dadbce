import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Credentials } from '../../access/authorizer.ts';
import { GatewayError } from '../../errors.ts';
import { DEFAULT_APPLICATION, type StreamSubject } from '../../sessions/client-sessions.ts';
import { isStreamName, STREAM_NAME_RULE } from '../../streams/stream-name.ts';

/** Reads and checks the requests of WHIP and WHEP. */

export const SDP = 'application/sdp';
export const SDP_FRAGMENT = 'application/trickle-ice-sdpfrag';

const STREAM_NAME = `The name of the stream ${STREAM_NAME_RULE}`;
const StreamNameSchema = z.string(STREAM_NAME).refine(isStreamName, STREAM_NAME);

// eslint-disable-next-line no-control-regex -- control characters break log lines, file names and AMF strings
const CONTROL = /[\u0000-\u001f\u007f]/;
const MAX_URL_LENGTH = 4096;
const RtmpUrlSchema = z
  .string('rtmpUrl must be a string')
  .refine(
    (url) => url.length >= 1 && url.length <= MAX_URL_LENGTH && !CONTROL.test(url),
    `rtmpUrl must have 1 to ${MAX_URL_LENGTH} characters and no control characters`,
  );
/** Further pushes can be started by REST. */
const MAX_RTMP_URLS = 32;

/** Unknown parameters are ignored: proxies and load balancers add their own. */
const QuerySchema = z.object({
  rtmpUrl: z
    .union([
      RtmpUrlSchema.transform((url) => [url]),
      z.array(RtmpUrlSchema).max(MAX_RTMP_URLS, `rtmpUrl must be given at most ${MAX_RTMP_URLS} times`),
    ])
    .default([]),
  /** Red5 Pro's clients name their media transport; only TCP has an effect. */
  transport: z.string().optional().catch(undefined),
  /** Of Red5's clients: `live`, `record` or `append`. Finished recordings do not change, so `append` begins another file. */
  mode: z.string().optional().catch(undefined),
});

export interface PublishQuery {
  readonly rtmpUrls: readonly string[];
  readonly tcpOnly: boolean;
  readonly record: boolean;
}

/** @throws {GatewayError} INVALID_REQUEST that names the mistake without the value, which may be a stream key */
export function readQuery({ query }: FastifyRequest): PublishQuery {
  const { rtmpUrl, transport, mode } = parse(QuerySchema, query);
  return {
    rtmpUrls: [...new Set(rtmpUrl)],
    tcpOnly: transport?.toLowerCase() === 'tcp',
    record: mode === 'record' || mode === 'append',
  };
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

/** A POST of WHIP or WHEP, for application servers that decide about it or are told about it. */
export const whipSubject = (
  mediaProvider: 'WHIP' | 'WHEP',
  id: string,
  name: string,
  offerSdp: string,
  application = DEFAULT_APPLICATION,
): StreamSubject => ({
  sessionId: id,
  mediaSessionId: id,
  name,
  published: mediaProvider === 'WHIP',
  appKey: application,
  mediaProvider,
  hasAudio: /^m=audio [1-9]/m.test(offerSdp),
  hasVideo: /^m=video [1-9]/m.test(offerSdp),
  offerSdp,
  bitrate: 0,
});

/** Whether a request is for the resource as it is: RFC 9110, 13.1.1, by strong comparison. */
export type Precondition = 'none' | 'any' | 'matches' | 'fails';

export function checkIfMatch(header: string | undefined, etag: string): Precondition {
  if (header === undefined || header.trim() === '') return 'none';
  const tags = header.split(',').map((tag) => tag.trim());
  // RFC 9725's own example puts the asterisk in quotes.
  if (tags.includes('*') || tags.includes('"*"')) return 'any';
  return tags.includes(etag) ? 'matches' : 'fails';
}

/**
 * Identifies a publisher without its secrets: a client with the same key may continue a stream. Undefined without
 * credentials.
 */
export function resumeKey({ token, username, password }: Credentials): string | undefined {
  if (token === undefined && username === undefined && password === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify([token?.reveal(), username, password?.reveal()]))
    .digest('base64url');
}
