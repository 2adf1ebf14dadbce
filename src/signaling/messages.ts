import { z } from 'zod';

/**
 * The messages of the WCS WebSocket protocol: `{"message": NAME, "data": [ARGUMENTS…]}` in both directions, as the official Web
 * SDK 2.0.276 sends and reads them. Fields that this gateway does not use are let through and dropped.
 */

/** `info` texts that pages compare with, to the letter (STREAM_STATUS_INFO of the SDK). */
export const INFO = {
  nameInUse: 'Stream name is already in use',
  stoppedByUser: 'Stopped by user',
  stoppedByPublisher: 'Stopped by publisher stop',
  stoppedByDisconnect: 'Stopped by session disconnect',
  streamNotFound: 'Stream not found',
  noCommonCodecs: 'No common codecs',
  idMissing: 'MediaSessionId is null',
  idInUse: 'MediaSessionId is already in use',
  failedToAddStream: 'Failed to add stream to proxy',
  failedByError: 'Failed by error',
} as const;

/** Long enough for every name that a page makes up, short enough for logs and file names. Characters. */
const MAX_NAME_LENGTH = 255;

export const EnvelopeSchema = z.object({ message: z.string().max(64), data: z.array(z.unknown()).max(16).default([]) });

const MediaSessionId = z.string().min(1).max(128);
const StreamName = z
  .string()
  .min(1, 'is empty')
  .max(MAX_NAME_LENGTH, `is longer than ${MAX_NAME_LENGTH} characters`)
  // eslint-disable-next-line no-control-regex -- a name ends up in log lines and on the RTMP wire
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/, 'contains control characters');
/** Kilobits per second; 0 or nothing: as the browser likes. */
const Kilobits = z.coerce.number().min(0).max(1_000_000).catch(0).default(0);

/** Given back to the client in `getUserData`, so whatever it sends stays in. */
export const ConnectionSchema = z.looseObject({ appKey: z.string().max(256).default('defaultApp') });

const streamFields = {
  mediaSessionId: MediaSessionId,
  name: StreamName,
  hasVideo: z.boolean().default(true),
  hasAudio: z.boolean().default(true),
  record: z.boolean().default(false),
  mediaProvider: z.string().max(32).default('WebRTC'),
  sdp: z.string(),
  bitrate: Kilobits,
  minBitrate: Kilobits,
  maxBitrate: Kilobits,
  transport: z.string().max(16).nullish(),
};
export const PublishStreamSchema = z.object({ ...streamFields, rtmpUrl: z.string().max(4096).nullish() });
export const PlayStreamSchema = z.object(streamFields);
export const StopStreamSchema = z.object({
  mediaSessionId: MediaSessionId,
  name: z.string().max(MAX_NAME_LENGTH).default(''),
});
export const NamedStreamSchema = z.object({ mediaSessionId: MediaSessionId, name: StreamName });
export const StreamEventSchema = z.object({
  mediaSessionId: MediaSessionId,
  type: z.string().max(128),
  payload: z.unknown().optional(),
});
export const SendDataSchema = z.object({
  operationId: z.union([z.string().max(128), z.number()]),
  payload: z.unknown().optional(),
});

export type PublishStream = z.output<typeof PublishStreamSchema>;
export type PlayStream = z.output<typeof PlayStreamSchema>;

/** What the SDK calls the state of a stream. */
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
}

/** A frame to send. `data` is an array even when it is empty: the SDK reads `data[0]` of every message before anything else. */
export function encodeMessage<Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]): string {
  return JSON.stringify({ message, data });
}
