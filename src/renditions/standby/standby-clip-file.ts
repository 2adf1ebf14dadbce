import type { FileHandle } from 'node:fs/promises';
import type { GatewayError } from '../../errors.ts';
import type { StandbyInput } from '../../ffmpeg/ffmpeg-standby-args.ts';
import { invalidMediaFile, useMediaFile, type MediaFilePurpose } from '../media-file.ts';

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
const TS_PACKET_BYTES = 188;
const STANDBY: MediaFilePurpose = {
  title: 'Standby file',
  hint: 'Standby files are in the media directory (media_dir).',
  notFound: 'STANDBY_FILE_NOT_FOUND',
  invalid: 'STANDBY_FILE_INVALID',
};

/**
 * Opens and checks a file for standby. Its format is that of its first bytes, whatever its name says.
 *
 * @throws {GatewayError} STANDBY_FILE_NOT_FOUND, also for what is outside the directory or not a regular file;
 * STANDBY_FILE_INVALID for other formats and for files beyond the limits; LIMIT_REACHED if there are no file
 * descriptors left
 */
export function openStandbyFile(directory: string, kind: 'image' | 'video', name: string): Promise<StandbyFile> {
  const limit = kind === 'image' ? MAX_IMAGE_BYTES : MAX_VIDEO_BYTES;
  return useMediaFile(directory, name, STANDBY, limit, async ({ path, size, version, head, handle }) => {
    if (kind === 'video') return { input: { kind, path, format: videoFormat(head, name) }, version };
    const content = await readContent(handle, size);
    return { input: { kind, format: imageFormat(content, name) }, content, version };
  });
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
function pngSize(content: Buffer): Size | undefined {
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
function jpegSize(content: Buffer): Size | undefined {
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

function videoFormat(head: Buffer, name: string): 'mov' | 'matroska' | 'mpegts' {
  if (/^(ftyp|moov|mdat|wide|free|skip)$/.test(head.toString('latin1', 4, 8))) return 'mov';
  if (head.toString('hex', 0, 4) === '1a45dfa3') return 'matroska';
  if ([0, 1, 2].every((packet) => head[packet * TS_PACKET_BYTES] === 0x47)) return 'mpegts';
  throw invalidFile(
    name,
    'is not an MP4, MOV, MKV, WebM or MPEG-TS video. Convert it, for instance with: ffmpeg -i INPUT OUTPUT.mp4',
  );
}

/** @param problem continues the sentence that begins with the name */
export const invalidFile = (name: string, problem: string, cause?: unknown): GatewayError =>
  invalidMediaFile(STANDBY, name, problem, cause);
