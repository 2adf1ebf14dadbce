import { basename, join, resolve, dirname } from 'node:path';

/** Names of recorded files. Pure. */

export interface NameParts {
  readonly stream: string;
  readonly startedAt: Date;
  /** Unique. */
  readonly id: string;
}

/** Bytes of a stream's name in a file name. File systems allow 255 for the whole name. */
const MAX_STREAM_BYTES = 120;
const SHORT_ID = 8;

/** The name of a recording's first file without its extension, from a `record_template`. */
export function baseName(template: string, { stream, startedAt, id }: NameParts): string {
  const [date = '', time = ''] = startedAt.toISOString().split('T');
  const values: Record<string, string> = {
    stream: safeName(stream),
    date,
    time: time.slice(0, 8).replaceAll(':', '-'),
    id: id.replaceAll('-', '').slice(0, SHORT_ID),
  };
  return template.replaceAll(/\{(stream|date|time|id)\}/g, (_, field: string) => values[field]!);
}

/** @param part 1 for the first file of a recording */
export const fileName = (base: string, part: number, extension: string): string =>
  part === 1 ? `${base}.${extension}` : `${base}-${String(part).padStart(4, '0')}.${extension}`;

/**
 * The name of a stream as part of a file name: letters and digits of any script, `-`, `_` and `.`; everything else,
 * separators of folders included, becomes `_`. It never begins with a dot.
 */
function safeName(stream: string): string {
  const plain = stream
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{N}._-]/gu, '_')
    .replace(/^\.+/, '_');
  let bytes = 0;
  let name = '';
  for (const character of plain) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_STREAM_BYTES) break;
    name += character;
  }
  return name;
}

/**
 * The path of a file in the folder of recordings.
 *
 * @throws {RangeError} if the name is not that of a file directly in the folder
 */
export function pathOf(folder: string, file: string): string {
  const path = join(folder, file);
  if (file === '' || file.includes('\0') || file !== basename(file) || dirname(resolve(path)) !== resolve(folder))
    throw new RangeError('not the name of a recording');
  return path;
}
