/** RTMP 1.0, 5.4, 6.2 and 7.1: types of messages. */
export const MESSAGE = {
  setChunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowAcknowledgementSize: 5,
  setPeerBandwidth: 6,
  audio: 8,
  video: 9,
  sharedObjectAmf3: 16,
  commandAmf3: 17,
  data: 18,
  sharedObject: 19,
  command: 20,
} as const;

/** RTMP 1.0, 6.2: events of user control messages. */
export const USER_CONTROL = { streamBegin: 0, pingRequest: 6, pingResponse: 7 } as const;

/**
 * The chunk streams that the client writes on: 2 is for control messages by the specification, the others are the
 * convention of encoders.
 */
export const CHUNK_STREAM = { control: 2, command: 3, audio: 4, data: 5, video: 6 } as const;

/** Bytes; applies until a peer sets another size (RTMP 1.0, 5.4.1). */
export const DEFAULT_CHUNK_SIZE = 128;

/** From this timestamp on the 24-bit field is 0xffffff and 32 bits follow (RTMP 1.0, 5.3.1.3). */
export const EXTENDED_TIMESTAMP = 0xffffff;

export interface RtmpMessage {
  readonly type: number;
  readonly streamId: number;
  /** Milliseconds, modulo 2^32. */
  readonly timestamp: number;
  readonly payload: Buffer;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
