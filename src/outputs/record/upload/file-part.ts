import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PartRange } from './part-plan.ts';

/** The bytes of a part, read from the file piece by piece. */

const READ_BYTES = 256 * 1024;
/** After each piece, so that hashing a large file leaves the event loop to the media. Half a millisecond of work each. */
const PAUSE_MS = 4;

/** @returns the MD5 of a range, in hexadecimal digits; `undefined` if the file is shorter */
export async function md5OfRange(path: string, range: PartRange, signal: AbortSignal): Promise<string | undefined> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('md5');
    let bytes = 0;
    for await (const piece of pieces(file, range)) {
      hash.update(piece);
      bytes += piece.length;
      await sleep(PAUSE_MS, undefined, { signal });
    }
    return bytes === range.bytes ? hash.digest('hex') : undefined;
  } finally {
    await file.close();
  }
}

/** @param beforeEach is waited for before each piece */
export function streamOfRange(path: string, range: PartRange, beforeEach: (bytes: number) => Promise<void>): Readable {
  async function* read(): AsyncGenerator<Buffer> {
    const file = await open(path, 'r');
    try {
      for await (const piece of pieces(file, range)) {
        await beforeEach(piece.length);
        yield piece;
      }
    } finally {
      await file.close();
    }
  }
  // The next piece is read when the one before was sent.
  return Readable.from(read(), { objectMode: false, highWaterMark: READ_BYTES });
}

async function* pieces(file: FileHandle, { from, bytes }: PartRange): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes;) {
    const wanted = Math.min(READ_BYTES, bytes - at);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, from + at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
