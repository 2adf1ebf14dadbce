import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { GatewayError } from '../../errors.ts';
import type { StandbyInput } from '../../ffmpeg/ffmpeg-standby-args.ts';
import { NO_DESCRIPTORS } from '../../runtime/file-descriptors.ts';

/** A checked file of the media directory. */
export interface StandbyFile {
  readonly input: Exclude<StandbyInput, { kind: 'color' }>;
  /** The content of an image, which ffmpeg gets on stdin. */
  readonly content?: Buffer;
  /** Differs when another file has this name. */
  readonly version: string;
}

/** Photographs of 40 megapixels. */
const MAX_IMAGE_BYTES = 20 * 1024 * 1024;
export const MAX_IMAGE_PIXELS = 40_000_000;
/** Only the beginning is read. */
const MAX_VIDEO_BYTES = 500 * 1024 * 1024;
/** Three packets of a transport stream. */
const HEAD_BYTES = 4096;
const TS_PACKET_BYTES = 188;
/**
 * Opening a named pipe would block a thread until a process opens it for writing. The path has no links any more: one
 * that appears meanwhile is not followed.
 */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/**
 * Opens and checks a file for standby. Its format is that of its first bytes, whatever its name says.
 *
 * @throws {GatewayError} STANDBY_FILE_NOT_FOUND, also for what is outside the directory or not a regular file;
 * STANDBY_FILE_INVALID for other formats and for files beyond the limits; LIMIT_REACHED if there are no file
 * descriptors left
 */
export async function openStandbyFile(directory: string, kind: 'image' | 'video', name: string): Promise<StandbyFile> {
  const path = await locate(directory, name);
  const file = await open(path, OPEN_FLAGS).catch((error: NodeJS.ErrnoException) => {
    throw openError(error, name);
  });
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw notFound(name);
    const version = `${path}\0${stats.size}\0${stats.mtimeMs}`;
    const limit = kind === 'image' ? MAX_IMAGE_BYTES : MAX_VIDEO_BYTES;
    if (stats.size > limit) throw invalidFile(name, `is larger than ${limit / 1024 / 1024} MB. Use a smaller one`);
    if (kind === 'video') return { input: { kind, path, format: await videoFormat(file, name) }, version };
    const content = await readContent(file, stats.size);
    return { input: { kind, format: imageFormat(content, name) }, content, version };
  } finally {
    await file.close();
  }
}

async function locate(directory: string, name: string): Promise<string> {
  try {
    const folder = await realpath(directory);
    // Checked after links are resolved: a link in the directory must not lead out of it.
    const path = await realpath(resolve(folder, name));
    if (path.startsWith(folder + sep)) return path;
  } catch {
    // Missing, with a NUL, or too long: not found in each case.
  }
  throw notFound(name);
}

async function readContent(file: FileHandle, size: number): Promise<Buffer> {
  const content = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(content, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return content.subarray(0, length);
}

function imageFormat(content: Buffer, name: string): 'png' | 'jpeg' {
  const png = pngSize(content);
  const size = png ?? jpegSize(content);
  if (!size)
    throw invalidFile(name, 'is not a PNG or JPEG image. Convert it, for instance with: ffmpeg -i INPUT OUTPUT.png');
  if (size.width * size.height > MAX_IMAGE_PIXELS)
    throw invalidFile(
      name,
      `has ${size.width}x${size.height} pixels, and at most ${MAX_IMAGE_PIXELS / 1e6} megapixels are accepted. Use a smaller one`,
    );
  return png ? 'png' : 'jpeg';
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size of a PNG image, from its first chunk; `undefined` for anything else. */
export function pngSize(content: Buffer): Size | undefined {
  if (
    content.length < 24 ||
    content.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n' ||
    content.toString('latin1', 12, 16) !== 'IHDR'
  )
    return undefined;
  return { width: content.readUInt32BE(16), height: content.readUInt32BE(20) };
}

/** Start of a frame: all of SOF0 to SOF15 but the tables and extensions between them. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/** The size of a JPEG image, from its frame header; `undefined` for anything else. */
export function jpegSize(content: Buffer): Size | undefined {
  if (content.length < 4 || content.readUInt16BE(0) !== 0xffd8) return undefined;
  for (let at = 2; at + 9 <= content.length;) {
    if (content[at] !== 0xff) return undefined;
    const marker = content[at + 1]!;
    if (marker === 0xff)
      at += 1; // filler
    else if (isFrame(marker)) return { width: content.readUInt16BE(at + 7), height: content.readUInt16BE(at + 5) };
    else at += 2 + content.readUInt16BE(at + 2);
  }
  return undefined;
}

async function videoFormat(file: FileHandle, name: string): Promise<'mov' | 'matroska' | 'mpegts'> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  const head = buffer.subarray(0, bytesRead);
  if (/^(ftyp|moov|mdat|wide|free|skip)$/.test(head.toString('latin1', 4, 8))) return 'mov';
  if (head.toString('hex', 0, 4) === '1a45dfa3') return 'matroska';
  if ([0, 1, 2].every((packet) => head[packet * TS_PACKET_BYTES] === 0x47)) return 'mpegts';
  throw invalidFile(
    name,
    'is not an MP4, MOV, MKV, WebM or MPEG-TS video. Convert it, for instance with: ffmpeg -i INPUT OUTPUT.mp4',
  );
}

const notFound = (name: string): GatewayError =>
  new GatewayError(
    'STANDBY_FILE_NOT_FOUND',
    `No such file: ${JSON.stringify(name.slice(0, 100))}. Standby files are in the media directory (media_dir).`,
  );

/** @param problem continues the sentence that begins with the name */
export const invalidFile = (name: string, problem: string, cause?: unknown): GatewayError =>
  new GatewayError('STANDBY_FILE_INVALID', `Standby file ${JSON.stringify(name.slice(0, 100))} ${problem}.`, { cause });

function openError({ code }: NodeJS.ErrnoException, name: string): GatewayError {
  if (code === 'EMFILE' || code === 'ENFILE')
    return new GatewayError(
      'LIMIT_REACHED',
      `Standby file ${JSON.stringify(name.slice(0, 100))} was not opened: ${NO_DESCRIPTORS}.`,
    );
  if (code === 'EACCES')
    return invalidFile(name, 'cannot be read by the user that the gateway runs as. Change its permissions (chmod a+r)');
  return notFound(name);
}
