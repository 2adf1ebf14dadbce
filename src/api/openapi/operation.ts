import type { ErrorCode } from '../../errors.ts';
import type { SchemaName } from './schemas.ts';

/** A media type other than JSON. */
type TextType =
  | 'application/sdp'
  | 'application/trickle-ice-sdpfrag'
  | 'text/plain'
  | 'text/event-stream'
  | 'video/mp4'
  | 'image/jpeg'
  | 'image/png'
  | 'application/vnd.apple.mpegurl';

type Tag =
  | 'Push'
  | 'Destinations'
  | 'Calls'
  | 'Streams'
  | 'Connections'
  | 'Red5'
  | 'Inspection'
  | 'Recordings'
  | 'HLS'
  | 'Rooms'
  | 'Monitoring'
  | 'WHIP'
  | 'WHEP'
  | 'Cluster';

/** Which nodes of a cluster a manager passes a request on to. */
export type ClusterTarget =
  /** The one that owns the stream of the body or the path. */
  | 'owner'
  /** All; their lists are merged. */
  | 'all'
  /** The one that has what the body or the path names: all are asked. */
  | 'holder'
  /** Every node would answer the same. */
  | 'any';

/** What a JSON answer contains. */
export type JsonAnswer = SchemaName | { readonly listOf: SchemaName };

/** A method of the HTTP interface. */
export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  readonly path: string;
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly body?: { readonly schema: SchemaName; readonly required: boolean } | { readonly text: TextType };
  /** Status of success, 200 unless set. */
  readonly status?: number;
  readonly answer?: JsonAnswer | { readonly anyOf: readonly JsonAnswer[] } | { readonly text: TextType };
  readonly headers?: readonly string[];
  readonly query?: Readonly<Record<string, { readonly schema: object; readonly description: string }>>;
  /** Body of a 503, where it is not an error. */
  readonly whileUnavailable?: SchemaName;
  /** Needs no key, even where one is set. */
  readonly open?: boolean;
  /** Those of authentication, and those that every route has, come on top. */
  readonly errors: readonly ErrorCode[];
  /** Unset: the method concerns one node, and managers answer 501; those of a manager itself have none either. */
  readonly cluster?: ClusterTarget;
  /** Answers in the envelope of Red5, errors included. */
  readonly red5?: boolean;
}

type Details = Partial<Omit<Operation, 'method' | 'path' | 'id' | 'tag' | 'summary'>>;

/** Makes the operations of one tag. The files next to the routes have them. */
export const operations =
  (tag: Tag) =>
  (method: Operation['method'], path: string, id: string, summary: string, details: Details = {}): Operation => ({
    errors: [],
    ...details,
    ...{ method, path, id, tag, summary },
  });

export const required = (schema: SchemaName): Operation['body'] => ({ schema, required: true });
export const optional = (schema: SchemaName): Operation['body'] => ({ schema, required: false });

/** Errors of a JSON body. */
export const BODY: readonly ErrorCode[] = ['INVALID_REQUEST', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];
export const TRANSPONDERS = { listOf: 'Transponder' } as const;
export const SDP = { text: 'application/sdp' } as const;
export const FRAGMENT = { text: 'application/trickle-ice-sdpfrag' } as const;
const credential = { schema: { type: 'string' }, description: 'Credential.' };
export const TOKEN: Operation['query'] = { token: credential };
export const ACCESS_TOKEN: Operation['query'] = { accessToken: credential };
export const LOGIN: Operation['query'] = { ...TOKEN, username: credential, password: credential };
/** Of an image that must be decoded. */
export const SNAPSHOT_FAILURES = ['ENCODER_FAILED', 'LIMIT_REACHED'] as const;
export const RECORDING_REFUSALS: readonly ErrorCode[] = [
  'RECORDING_DISABLED',
  'RECORDING_EXISTS',
  'STREAM_NOT_FOUND',
  'STREAM_STOPPED',
  'PUBLISHER_LOST',
  'LIMIT_REACHED',
  'DISK_FULL',
  'DISK_FAILED',
];
export const MOVE: Operation['query'] = {
  move: {
    schema: { type: 'boolean', default: true },
    description: 'Of a node of a cluster: `false` lets its streams run until they end.',
  },
};
/** Errors of an SDP offer. */
export const OFFER: readonly ErrorCode[] = [
  'INVALID_REQUEST',
  'INVALID_SDP',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'NO_COMMON_CODECS',
  'LIMIT_REACHED',
  'WORKER_DIED',
];

/** GET on a WHIP or WHEP URL is an empty success (RFC 9725, 4.1). */
export const probesOf = (list: readonly Operation[]): Operation[] =>
  [...new Map(list.toReversed().map((operation) => [operation.path, operation])).values()]
    .toReversed()
    .map(({ path, id, tag, open = false }) => ({
      ...{ method: 'get', path, id: `${id}Probe`, tag, summary: 'Check that the URL exists', status: 204, open },
      errors: path.endsWith('{id}') ? ['SESSION_NOT_FOUND'] : [],
    }));
