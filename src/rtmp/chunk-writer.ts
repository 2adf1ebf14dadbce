import { DEFAULT_CHUNK_SIZE, EXTENDED_TIMESTAMP } from './message.ts';

/** Where chunks go: a socket that the caller has corked, so that one system call sends them all. */
export interface ChunkSink {
  write(bytes: Buffer): unknown;
}

/** One byte of basic header, eleven of message header, four of extended timestamp. */
const HEADER_SIZE = 12;
const EXTENDED_HEADER_SIZE = 16;
const CONTINUATION_SIZE = 1;
const EXTENDED_CONTINUATION_SIZE = 5;

/**
 * The header of a continuation chunk is one byte that depends on the chunk stream only: created once, shared by all
 * connections.
 */
const CONTINUATIONS = Array.from({ length: 64 }, (_, id) => Buffer.from([0xc0 | id]));

/**
 * Splits messages into chunks (RTMP 1.0, 5.3). Every message begins with a full header (type 0): it costs a few bytes
 * more than the differences of types 1 and 2, but does not depend on earlier messages. Payloads are passed on without
 * copying.
 */
export class ChunkWriter {
  #chunkSize = DEFAULT_CHUNK_SIZE;

  get chunkSize(): number {
    return this.#chunkSize;
  }

  /** Applies from the next message on. The peer must have been informed. */
  set chunkSize(bytes: number) {
    this.#chunkSize = bytes;
  }

  /** Bytes that {@link write} will write. */
  size(timestamp: number, payloadBytes: number): number {
    const extended = timestamp >= EXTENDED_TIMESTAMP;
    const continuations = Math.max(0, Math.ceil(payloadBytes / this.#chunkSize) - 1);
    return (
      (extended ? EXTENDED_HEADER_SIZE : HEADER_SIZE) +
      payloadBytes +
      continuations * (extended ? EXTENDED_CONTINUATION_SIZE : CONTINUATION_SIZE)
    );
  }

  /**
   * @param chunkStreamId 2 to 63
   * @param timestamp milliseconds, modulo 2^32
   * @returns bytes written, headers included
   */
  write(
    sink: ChunkSink,
    chunkStreamId: number,
    type: number,
    streamId: number,
    timestamp: number,
    payload: Buffer,
  ): number {
    const extended = timestamp >= EXTENDED_TIMESTAMP;
    const header = Buffer.allocUnsafe(extended ? EXTENDED_HEADER_SIZE : HEADER_SIZE);
    header[0] = chunkStreamId;
    header.writeUIntBE(extended ? EXTENDED_TIMESTAMP : timestamp, 1, 3);
    header.writeUIntBE(payload.length, 4, 3);
    header[7] = type;
    header.writeUInt32LE(streamId, 8);
    if (extended) header.writeUInt32BE(timestamp, HEADER_SIZE);
    sink.write(header);
    if (payload.length > this.#chunkSize)
      return header.length + this.#writeChunks(sink, continuation(chunkStreamId, extended, timestamp), payload);
    if (payload.length > 0) sink.write(payload);
    return header.length + payload.length;
  }

  #writeChunks(sink: ChunkSink, separator: Buffer, payload: Buffer): number {
    let written = payload.length;
    for (let start = 0; start < payload.length; start += this.#chunkSize) {
      if (start > 0) {
        sink.write(separator);
        written += separator.length;
      }
      sink.write(payload.subarray(start, start + this.#chunkSize));
    }
    return written;
  }
}

/** An extended timestamp is repeated in every chunk of its message (RTMP 1.0, 5.3.1.3). */
function continuation(chunkStreamId: number, extended: boolean, timestamp: number): Buffer {
  const plain = CONTINUATIONS[chunkStreamId]!;
  if (!extended) return plain;
  const header = Buffer.allocUnsafe(EXTENDED_CONTINUATION_SIZE);
  header[0] = plain[0]!;
  header.writeUInt32BE(timestamp, 1);
  return header;
}
