import { encodeAmf0 } from '../media/amf0.ts';
import { ChunkWriter, type ChunkSink } from './chunk-writer.ts';
import { CHUNK_STREAM, MESSAGE } from './message.ts';

/** One message of media. FLV has taken the numbers of its tags from RTMP, so its tags are such messages. */
export interface MediaMessage {
  readonly type: number;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly data: Buffer;
}

/** Messages that go out together, maybe to many: it keeps what is made of them for the next one that asks. */
export interface MediaGroup {
  readonly tags: readonly MediaMessage[];
  once<Made>(form: string, make: (group: this) => Made): Made;
}

/** A group as it goes over the wire, the same for all connections with its stream id and chunk size. */
export interface MediaChunks {
  readonly pieces: readonly Buffer[];
  /** Of all pieces together. */
  readonly bytes: number;
}

/**
 * Up to so many bytes are copied into one piece: for each piece and each destination Node needs longer than the copy does. More than that
 * is a large key frame, whose payload is sent from where it is.
 */
const MAX_COPIED = 64 * 1024;

const META_DATA_PREFIX = encodeAmf0('@setDataFrame');

const CHUNK_STREAMS: Readonly<Record<number, number>> = {
  [MESSAGE.audio]: CHUNK_STREAM.audio,
  [MESSAGE.video]: CHUNK_STREAM.video,
  [MESSAGE.data]: CHUNK_STREAM.data,
};

/** Takes the messages of a group apart into chunks. Metadata is sent so that servers keep it for whoever joins later. */
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

/** Joins all that is written into one piece of that length. */
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
