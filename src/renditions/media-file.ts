import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { GatewayError, type ErrorCode } from '../errors.ts';
import { NO_DESCRIPTORS } from '../runtime/file-descriptors.ts';

/** What a file of `media_dir` is for. */
export interface MediaFilePurpose {
  /** Begins the sentences about it. */
  readonly title: string;
  /** A sentence for a client whose file is not there. */
  readonly hint: string;
  readonly notFound: ErrorCode;
  readonly invalid: ErrorCode;
}

/** An open file of `media_dir`. */
export interface MediaFile {
  readonly path: string;
  readonly size: number;
  /** Differs when another file has this name. */
  readonly version: string;
  /** Its first bytes, which tell its format. */
  readonly head: Buffer;
  readonly handle: FileHandle;
}

/** Enough for the format of a WAV file after a chunk or two of descriptions, and for three packets of a transport stream. */
const HEAD_BYTES = 4096;
/**
 * Opening a named pipe would block a thread until a process opens it for writing. The path has no links any more: one
 * that appears meanwhile is not followed.
 */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** The name of a file in an error. */
const quoted = (name: string): string => JSON.stringify(name.slice(0, 100));

/** @param problem continues the sentence that begins with the name */
export const invalidMediaFile = (
  { title, invalid }: MediaFilePurpose,
  name: string,
  problem: string,
  cause?: unknown,
): GatewayError => new GatewayError(invalid, `${title} ${quoted(name)} ${problem}.`, { cause });

/**
 * Opens a regular file of the media directory for `use`, and closes it.
 *
 * @throws {GatewayError} `notFound`, also for what is outside the directory or not a regular file; `invalid` for files that
 * are too large or cannot be read; LIMIT_REACHED if there are no file descriptors left; what `use` throws
 */
export async function useMediaFile<T>(
  directory: string,
  name: string,
  purpose: MediaFilePurpose,
  maxBytes: number,
  use: (file: MediaFile) => T | Promise<T>,
): Promise<T> {
  const missing = (): GatewayError =>
    new GatewayError(purpose.notFound, `No such file: ${quoted(name)}. ${purpose.hint}`);
  const path = await locate(directory, name);
  if (path === undefined) throw missing();
  const handle = await open(path, OPEN_FLAGS).catch(({ code }: NodeJS.ErrnoException) => {
    if (code === 'EMFILE' || code === 'ENFILE')
      throw new GatewayError('LIMIT_REACHED', `${purpose.title} ${quoted(name)} was not opened: ${NO_DESCRIPTORS}.`);
    if (code !== 'EACCES') throw missing();
    const problem = 'cannot be read by the user that the gateway runs as. Change its permissions (chmod a+r)';
    throw invalidMediaFile(purpose, name, problem);
  });
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw missing();
    const { size, mtimeMs } = stats;
    if (size > maxBytes)
      throw invalidMediaFile(purpose, name, `is larger than ${maxBytes / 1024 / 1024} MB. Use a smaller one`);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return await use({
      path,
      size,
      version: `${path}\0${size}\0${mtimeMs}`,
      head: buffer.subarray(0, bytesRead),
      handle,
    });
  } finally {
    await handle.close();
  }
}

/** The path of a file in the directory, without links; `undefined` for others. */
async function locate(directory: string, name: string): Promise<string | undefined> {
  try {
    const folder = await realpath(directory);
    // Checked after links are resolved: a link in the directory must not lead out of it.
    const path = await realpath(resolve(folder, name));
    return path.startsWith(folder + sep) ? path : undefined;
  } catch {
    // Missing, with a NUL, or too long: not found in each case.
    return undefined;
  }
}
