import { encodeAmf0 } from '../media/amf0.ts';
import { ChunkWriter, type ChunkSink } from './chunk-writer.ts';
import { CHUNK_STREAM, MESSAGE } from './message.ts';

/** One media message. FLV tag types are RTMP message types, so FLV tags are such messages. */
export interface MediaMessage {
  readonly type: number;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly data: Buffer;
}

/**
 * Messages that are sent together, possibly to many destinations. Keeps what was made of them for the next destination.
 */
export interface MediaGroup {
  readonly tags: readonly MediaMessage[];
  once<Made>(form: string, make: (group: this) => Made): Made;
}

/** A group as it is sent over the wire, the same for all connections with the same stream id and chunk size. */
export interface MediaChunks {
  readonly pieces: readonly Buffer[];
  /** Total bytes of all pieces. */
  readonly bytes: number;
}

/**
 * Up to this size the bytes are copied into one piece: writing another piece to each destination takes longer than the
 * copy. A larger group has a large key frame, whose payload is sent without copying.
 */
const MAX_COPIED = 64 * 1024;

const META_DATA_PREFIX = encodeAmf0('@setDataFrame');

const CHUNK_STREAMS: Readonly<Record<number, number>> = {
  [MESSAGE.audio]: CHUNK_STREAM.audio,
  [MESSAGE.video]: CHUNK_STREAM.video,
  [MESSAGE.data]: CHUNK_STREAM.data,
};

/** Splits the messages of a group into chunks. Metadata is sent so that servers keep it for players that join later. */
export function mediaChunks(messages: readonly MediaMessage[], streamId: number, chunkSize: number): MediaChunks {
  const writer = new ChunkWriter();
  writer.chunkSize = chunkSize;
  const sent = messages.map(asSent);
  let bytes = 0;
  for (const { timestamp, data } of sent) bytes += writer.size(timestamp >>> 0, data.length);
  const pieces: Buffer[] = [];
  const sink = bytes > MAX_COPIED ? { write: (piece: Buffer) => pieces.push(piece) } : copying(pieces, bytes);
  for (const { type, timestamp, data } of sent)
    writer.write(sink, CHUNK_STREAMS[type]!, type, streamId, timestamp >>> 0, data);
  return { pieces, bytes };
}

function asSent(message: MediaMessage): MediaMessage {
  return message.type === MESSAGE.data
    ? { ...message, data: Buffer.concat([META_DATA_PREFIX, message.data]) }
    : message;
}

/** Joins everything that is written into one piece of the given length. */
function copying(pieces: Buffer[], bytes: number): ChunkSink {
  const whole = Buffer.allocUnsafe(bytes);
  pieces.push(whole);
  let end = 0;
  return {
    write(piece) {
      whole.set(piece, end);
      end += piece.length;
    },
  };
}
