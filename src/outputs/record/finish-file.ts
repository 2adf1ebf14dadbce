import { open, type FileHandle } from 'node:fs/promises';
import { FLV_HEADER_BYTES, FLV_PREVIOUS_SIZE_BYTES, FLV_TAG_HEADER_BYTES } from '../../media/containers/flv-layout.ts';
import { BOX_HEADER_BYTES, boxHeader, Mp4Index, wholeDataHeader } from '../../media/containers/mp4-index.ts';
import { PLACEHOLDER_BYTES } from '../../media/containers/mp4-fragments.ts';
import { flvDurationAt, type RecordFormat } from './container.ts';

export interface FinishedFile {
  readonly bytes: number;
  readonly durationMs: number;
}

/** The header of a fragment with a second of media has some kilobytes. */
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 4096;
const SCAN_BYTES = 256 * 1024;

/**
 * Gives a recording its index, so that players find its duration and can seek. Nothing is rewritten. A file whose writer
 * was killed is cut after its last complete piece first. Idempotent, and safe to interrupt at any moment.
 *
 * @returns `undefined` for a file without media
 */
export async function finishFile(path: string, format: RecordFormat): Promise<FinishedFile | undefined> {
  const file = await open(path, 'r+');
  try {
    return await (format === 'mp4' ? finishMp4(file) : finishFlv(file));
  } finally {
    await file.close();
  }
}

async function finishMp4(file: FileHandle): Promise<FinishedFile | undefined> {
  const { size } = await file.stat();
  const type = boxHeader(await read(file, 0, BOX_HEADER_BYTES));
  if (type?.type !== 'ftyp') return undefined;
  const dataAt = type.size;
  const placeholder = await read(file, dataAt, PLACEHOLDER_BYTES);
  if (placeholder.length < PLACEHOLDER_BYTES) return undefined;
  const finished = placeholder.toString('latin1', 4, 8) === 'mdat';
  const dataEnd = finished ? dataAt + Number(placeholder.readBigUInt64BE(8)) : size;
  const movieAt = dataAt + PLACEHOLDER_BYTES;
  const movie = boxHeader(await read(file, movieAt, BOX_HEADER_BYTES));
  if (movie?.type !== 'moov' || movie.size > MAX_HEADER_BYTES || movieAt + movie.size > size) return undefined;
  const index = new Mp4Index(await read(file, movieAt, movie.size));
  const end = await addFragments(file, index, movieAt + movie.size, Math.min(dataEnd, size));
  const { durationMs } = index.totals;
  if (finished) return { bytes: size, durationMs };
  const plainMovie = index.movie();
  if (!plainMovie) return undefined;
  await file.truncate(end);
  await writeAll(file, plainMovie, end);
  // Only a complete index may be announced.
  await file.datasync();
  await writeAll(file, wholeDataHeader(end - dataAt), dataAt);
  return { bytes: end + plainMovie.length, durationMs };
}

/** @returns where the last complete fragment ends */
async function addFragments(file: FileHandle, index: Mp4Index, from: number, size: number): Promise<number> {
  for (let at = from; ;) {
    let bytes = await read(file, at, READ_BYTES);
    const header = boxHeader(bytes);
    if (header?.type !== 'moof' || header.size > MAX_HEADER_BYTES) return at;
    const needed = header.size + BOX_HEADER_BYTES;
    if (bytes.length < needed) bytes = await read(file, at, needed);
    const data = boxHeader(bytes, header.size);
    if (data?.type !== 'mdat') return at;
    const end = at + header.size + data.size;
    if (end > size || !index.add(bytes.subarray(0, header.size), at, end)) return at;
    at = end;
  }
}

async function finishFlv(file: FileHandle): Promise<FinishedFile | undefined> {
  const { size } = await file.stat();
  const start = await read(file, 0, READ_BYTES);
  const durationAt = flvDurationAt(start);
  if (start.toString('latin1', 0, 3) !== 'FLV' || durationAt === undefined) return undefined;
  const { end, lastMs } = await lastTag(file, size);
  if (end < size) await file.truncate(end);
  const seconds = Buffer.alloc(8);
  seconds.writeDoubleBE(lastMs / 1000);
  await writeAll(file, seconds, durationAt);
  return { bytes: end, durationMs: lastMs };
}

/** Follows the tags from the beginning, because a file whose writer was killed may end anywhere. */
async function lastTag(file: FileHandle, size: number): Promise<{ end: number; lastMs: number }> {
  let at = FLV_HEADER_BYTES + FLV_PREVIOUS_SIZE_BYTES;
  let lastMs = 0;
  let windowAt = 0;
  let window: Buffer = Buffer.alloc(0);
  for (;;) {
    if (at + FLV_TAG_HEADER_BYTES > windowAt + window.length) {
      windowAt = at;
      window = await read(file, at, SCAN_BYTES);
      if (window.length < FLV_TAG_HEADER_BYTES) return { end: Math.min(at, size), lastMs };
    }
    const offset = at - windowAt;
    const end = at + FLV_TAG_HEADER_BYTES + window.readUIntBE(offset + 1, 3) + FLV_PREVIOUS_SIZE_BYTES;
    if (end > size) return { end: at, lastMs };
    lastMs = Math.max(lastMs, window.readUIntBE(offset + 4, 3) + window[offset + 7]! * 2 ** 24);
    at = end;
  }
}

/** As many bytes as there are. */
async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;)
    written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
}
