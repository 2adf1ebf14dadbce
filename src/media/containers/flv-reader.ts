import { FLV_HEADER_BYTES, FLV_PREVIOUS_SIZE_BYTES, FLV_TAG_HEADER_BYTES } from './flv-layout.ts';
import { flvTag, TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO, type FlvTag, type TagType } from './flv-tag.ts';

/** The bytes are not FLV. */
export class FlvError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FlvError';
  }
}

/** Far larger than any frame; a larger length means that the reader is out of sync. */
const MAX_TAG_BYTES = 8 * 1024 * 1024;
/** The file header may be longer than it is today, but not by much. */
const MAX_HEADER_BYTES = 64;

type Part = 'file-header' | 'skip' | 'tag-header' | 'body';

/**
 * Reads an FLV byte stream in chunks of any size. A body within one chunk is a view of it; any other is copied once.
 */
export class FlvReader {
  #part: Part = 'file-header';
  /** The part that is being collected over several chunks. */
  #partial: Buffer | undefined;
  #filled = 0;
  #wanted = FLV_HEADER_BYTES;
  #type: TagType = TAG_SCRIPT;
  #timestamp = 0;

  /**
   * Returns the tags that are complete. After an error the reader must not be used any more.
   *
   * @throws {FlvError} when the bytes are not FLV
   */
  push(chunk: Buffer): FlvTag[] {
    const tags: FlvTag[] = [];
    let offset = 0;
    // A body may be empty, so a part of no bytes is complete before the next byte arrives.
    while (offset < chunk.length || this.#wanted === 0) {
      const missing = this.#wanted - this.#filled;
      const available = Math.min(missing, chunk.length - offset);
      let part: Buffer | undefined;
      if (available === this.#wanted) part = chunk.subarray(offset, offset + available);
      else {
        this.#partial ??= Buffer.allocUnsafe(this.#wanted);
        chunk.copy(this.#partial, this.#filled, offset, offset + available);
        this.#filled += available;
        if (this.#filled === this.#wanted) part = this.#partial;
      }
      offset += available;
      if (!part) break;
      this.#partial = undefined;
      this.#filled = 0;
      this.#read(part, tags);
    }
    return tags;
  }

  #read(part: Buffer, tags: FlvTag[]): void {
    switch (this.#part) {
      case 'file-header':
        return this.#readFileHeader(part);
      case 'skip':
        return this.#expect('tag-header', FLV_TAG_HEADER_BYTES);
      case 'tag-header':
        return this.#readTagHeader(part);
      case 'body':
        tags.push(flvTag(this.#type, this.#timestamp, part));
        return this.#expect('skip', FLV_PREVIOUS_SIZE_BYTES);
    }
  }

  #readFileHeader(header: Buffer): void {
    const length = header.readUInt32BE(5);
    if (header.toString('latin1', 0, 3) !== 'FLV' || length < FLV_HEADER_BYTES || length > MAX_HEADER_BYTES)
      throw new FlvError('not an FLV stream');
    this.#expect('skip', length - FLV_HEADER_BYTES + FLV_PREVIOUS_SIZE_BYTES);
  }

  #readTagHeader(header: Buffer): void {
    const type = header[0]!;
    if (type !== TAG_AUDIO && type !== TAG_VIDEO && type !== TAG_SCRIPT)
      throw new FlvError(`FLV has no tag type ${type}`);
    const length = header.readUIntBE(1, 3);
    if (length > MAX_TAG_BYTES) throw new FlvError(`FLV tag of ${length} bytes is too long`);
    this.#type = type;
    // The fourth byte extends the time at its upper end.
    this.#timestamp = header.readUIntBE(4, 3) + header[7]! * 2 ** 24;
    this.#expect('body', length);
  }

  #expect(part: Part, bytes: number): void {
    this.#part = part;
    this.#wanted = bytes;
  }
}
