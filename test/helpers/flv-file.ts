/**
 * Reads an FLV file tag by tag. Independent of `src/media/containers`, so that both cannot have the same mistake.
 * (Adobe Flash Video File Format 10.1, annex E.)
 */

export interface FileTag {
  readonly kind: 'audio' | 'video' | 'script';
  /** Milliseconds. */
  readonly timestamp: number;
  readonly body: Buffer;
  readonly keyFrame: boolean;
  readonly sequenceHeader: boolean;
}

const KINDS: Record<number, FileTag['kind']> = { 8: 'audio', 9: 'video', 18: 'script' };

export interface FlvFile {
  readonly tags: FileTag[];
  /** Bytes up to the end of the last complete tag. */
  readonly length: number;
}

/** All complete tags. While the file is being written, the last tag may be incomplete. */
export function readFlv(file: Buffer): FlvFile {
  if (file.subarray(0, 3).toString() !== 'FLV') throw new Error('not an FLV file');
  const tags: FileTag[] = [];
  let offset = file.readUInt32BE(5) + 4;
  while (offset + 11 <= file.length) {
    const size = file.readUIntBE(offset + 1, 3);
    if (offset + 11 + size + 4 > file.length) break;
    const kind = KINDS[file[offset]! & 0x1f];
    if (!kind) throw new Error(`unknown tag type ${file[offset]} at byte ${offset}`);
    const timestamp = file.readUIntBE(offset + 4, 3) + file[offset + 7]! * 2 ** 24;
    const body = file.subarray(offset + 11, offset + 11 + size);
    const avc = kind === 'video' && (body[0]! & 0x0f) === 7;
    const aac = kind === 'audio' && body[0]! >> 4 === 10;
    offset += 11 + size + 4;
    // An end-of-sequence tag contains no frame.
    if (avc && body[1] === 2) continue;
    tags.push({
      kind,
      timestamp,
      body,
      sequenceHeader: (avc || aac) && body[1] === 0,
      keyFrame: avc && body[1] === 1 && body[0]! >> 4 === 1,
    });
  }
  return { tags, length: offset };
}
