import { z } from 'zod';
import type { LibraryEvent, RoomReply } from '../rooms/doors/library-rooms.ts';
import { isStreamName, MAX_STREAM_NAME_LENGTH, STREAM_NAME_RULE } from '../streams/stream-name.ts';

/**
 * The messages of the WCS WebSocket protocol: `{"message": NAME, "data": [ARGUMENTS…]}` in both directions, as the
 * official Web SDK 2.0.276 sends and reads them. Fields that the gateway does not use are accepted and dropped.
 */

/** `info` texts that pages compare with literally (STREAM_STATUS_INFO of the SDK). */
export const INFO = {
  nameInUse: 'Stream name is already in use',
  stoppedByUser: 'Stopped by user',
  stoppedByPublisher: 'Stopped by publisher stop',
  stoppedByDisconnect: 'Stopped by session disconnect',
  streamNotFound: 'Stream not found',
  noCommonCodecs: 'No common codecs',
  idMissing: 'MediaSessionId is null',
  idInUse: 'MediaSessionId is already in use',
  failedByError: 'Failed by error',
} as const;

/** The `info` that pages know for an error, or else its message. */
export function infoOf({ code, message }: { readonly code: string; readonly message: string }): string {
  const known: Record<string, string> = {
    STREAM_NAME_IN_USE: INFO.nameInUse,
    NO_COMMON_CODECS: INFO.noCommonCodecs,
    STREAM_NOT_FOUND: INFO.streamNotFound,
  };
  return known[code] ?? message;
}

/** Characters. The SDK sends UUIDs. */
export const MAX_ID_LENGTH = 128;

export const EnvelopeSchema = z.object({ message: z.string().max(64), data: z.array(z.unknown()).max(16).default([]) });

const MediaSessionId = z.string().min(1).max(MAX_ID_LENGTH);
const StreamName = z.string(STREAM_NAME_RULE).refine(isStreamName, STREAM_NAME_RULE);
/** Some WCS clients send booleans as strings. */
const flag = (missing: boolean) =>
  z.preprocess(
    (value) => (value === 'true' ? true : value === 'false' ? false : (value ?? missing)),
    z.boolean('must be true or false'),
  );
/** Kilobits per second, as a number or a string; 0 or nothing leaves it to the browser. */
const Kilobits = z.coerce.number().min(0).max(1_000_000).catch(0).default(0);

/** Returned to the client in `getUserData`, so unknown fields are kept. */
export const ConnectionSchema = z.looseObject({ appKey: z.string().max(256).default('defaultApp') });
export type Connection = z.output<typeof ConnectionSchema>;

/** What REST shows of a client. */
const clientText = z.string().max(512).catch('');
export const ClientSchema = z.object({
  clientVersion: clientText,
  clientOSVersion: clientText,
  clientBrowserVersion: clientText,
  mediaProviders: z.array(z.string().max(64)).max(16).catch([]),
});

const streamFields = {
  mediaSessionId: MediaSessionId,
  name: StreamName,
  hasVideo: flag(true),
  hasAudio: flag(true),
  record: flag(false),
  mediaProvider: z.string().max(32).default('WebRTC'),
  sdp: z.string('must be an SDP offer'),
  bitrate: Kilobits,
  minBitrate: Kilobits,
  maxBitrate: Kilobits,
  transport: z.string().max(16).nullish(),
  /** Set by the page. `token` is a credential for this stream. */
  custom: z.unknown().optional(),
};
export const PublishStreamSchema = z.object({ ...streamFields, rtmpUrl: z.string().max(4096).nullish() });
export const PlayStreamSchema = z.object(streamFields);
export const StopStreamSchema = z.object({
  mediaSessionId: MediaSessionId,
  name: z.string().max(MAX_STREAM_NAME_LENGTH).default(''),
});
export const NamedStreamSchema = z.object({ mediaSessionId: MediaSessionId, name: StreamName });
export const StreamEventSchema = z.object({
  mediaSessionId: MediaSessionId,
  type: z.string().max(128),
  payload: z.unknown().optional(),
});
export const SendDataSchema = z.object({
  operationId: z.union([z.string().max(MAX_ID_LENGTH), z.number()]),
  payload: z.unknown().optional(),
});
/**
 * Between a node and a manager, in both directions: a stream of the page is live on one node, and the page is in the
 * room on another one, its home node.
 */
export const RoomStreamSchema = z.object({
  room: z.string().max(512),
  stream: StreamName,
  status: z.enum(['started', 'ended', 'failed']),
});
/** What the SDK sends to place a SIP call. */
export const CallSchema = z.looseObject({ callId: z.string().max(MAX_ID_LENGTH) });

export type PublishStream = z.output<typeof PublishStreamSchema>;
export type PlayStream = z.output<typeof PlayStreamSchema>;
export type RoomStream = z.output<typeof RoomStreamSchema>;

/** The SDK's states of a stream. */
export type StreamStatus = 'PUBLISHING' | 'PLAYING' | 'UNPUBLISHED' | 'STOPPED' | 'FAILED' | 'SNAPSHOT_COMPLETE';

/** Messages that the server sends, by name, with their arguments. */
export interface ServerMessages {
  getVersion: [version: string];
  getUserData: [user: Record<string, unknown>];
  ping: [];
  pong: [];
  setRemoteSDP: [mediaSessionId: string, sdp: string, isInitiator: true];
  notifyStreamStatusEvent: [
    event: { mediaSessionId: string; name: string; published: boolean; status: StreamStatus; info?: string } & Record<
      string,
      unknown
    >,
  ];
  notifyVideoFormat: [
    format: { mediaSessionId: string; status: 'RESIZE'; streamerVideoWidth: number; streamerVideoHeight: number },
  ];
  notifyStreamEvent: [event: { mediaSessionId: string; type: string; payload?: unknown }];
  availableStream: [answer: { id: string; status: 'true' | 'false'; info?: string }];
  DataStatusEvent: [receipt: { operationId: string | number; status: 'ACCEPTED' | 'FAILED'; info?: string }];
  /** Data from the application server, or from a room of the Room API. */
  OnDataEvent: [data: { operationId?: string | number | undefined; payload: unknown }];
  /** To the gateway's own library: the answer to `room`, and what happens in a room. */
  roomReply: [reply: RoomReply];
  roomEvent: [event: LibraryEvent];
  /** To a manager only: a stream of the page that belongs to a room. */
  roomStream: [stream: RoomStream];
  /** Calls the SDK's session handler WARN. */
  fail: [failure: { apiMethod: string; status: 'FAILED'; info: string; code?: string }];
  /** Ends a SIP call. */
  finish: [call: { callId: string; status: 'FAILED'; info: string }];
}

/**
 * A frame to send. `data` is an array even when it is empty: the SDK reads `data[0]` of every message before anything
 * else.
 */
export function encodeMessage<Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]): string {
  return JSON.stringify({ message, data });
}
