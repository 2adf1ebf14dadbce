import { open } from 'node:fs/promises';
import { GatewayError } from '../../errors.ts';

/** What a recording needs of an open file; tests replace it. */
export interface WritableFile {
  write(bytes: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>;
  close(): Promise<void>;
}
export type OpenFile = (path: string) => Promise<WritableFile>;

/** Never opens a file that exists, nor what a link points to. Recordings are private to the gateway's user and group. */
const FILE_MODE = 0o640;
export const createNewFile: OpenFile = (path) => open(path, 'wx', FILE_MODE);

/** Bytes that may wait for a slow disk. Beyond them the recorder loses whole groups of frames. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

export interface RecordFileEvents {
  /** The file takes bytes again. */
  readonly onWritable: () => void;
  /** Called once. What comes after is lost, and what was written before stays. */
  readonly onFailed: (error: GatewayError) => void;
}

/** Appends to a new file, one write for each piece, one after the other, without ever making the caller wait. */
export class RecordFile {
  readonly #events: RecordFileEvents;
  readonly #file: Promise<WritableFile>;
  #work: Promise<void>;
  #waitingBytes = 0;
  #position = 0;
  #failed = false;
  #closed: Promise<void> | undefined;

  constructor(path: string, openFile: OpenFile, events: RecordFileEvents) {
    this.#events = events;
    this.#file = openFile(path);
    this.#work = this.#file.then(() => undefined, this.#fail);
  }

  get writable(): boolean {
    return this.#waitingBytes < MAX_WAITING_BYTES;
  }

  /** Bytes of complete pieces that are in the file. */
  get bytes(): number {
    return this.#position;
  }

  /** Appends. */
  write(piece: Buffer): void {
    this.#queue(piece, async () => {
      await this.#put(piece, this.#position);
      this.#position += piece.length;
    });
  }

  /** Replaces the first bytes of what was written. */
  replaceStart(start: Buffer): void {
    this.#queue(start, () => this.#put(start, 0));
  }

  #queue(piece: Buffer, work: () => Promise<void>): void {
    if (this.#failed || this.#closed) return;
    const wasWritable = this.writable;
    this.#waitingBytes += piece.length;
    this.#work = this.#work
      .then(() => (this.#failed ? undefined : work()))
      .catch(this.#fail)
      .then(() => {
        this.#waitingBytes -= piece.length;
        if (!wasWritable && this.writable) this.#events.onWritable();
      });
  }

  /** Writes what waits and closes the file. Idempotent, and never fails: see `onFailed`. */
  close(): Promise<void> {
    this.#closed ??= this.#work.then(async () => (await this.#file).close()).catch(this.#fail);
    return this.#closed;
  }

  async #put(bytes: Buffer, position: number): Promise<void> {
    const file = await this.#file;
    for (let offset = 0; offset < bytes.length;)
      offset += (await file.write(bytes, offset, bytes.length - offset, position + offset)).bytesWritten;
  }

  readonly #fail = (error: unknown): void => {
    if (this.#failed) return;
    this.#failed = true;
    this.#events.onFailed(diskError(error));
  };
}

/** @returns DISK_FULL or DISK_FAILED */
export function diskError(error: unknown): GatewayError {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new GatewayError('DISK_FULL', `The disk is full (${code}). Make room on the disk of record_dir.`, {
        cause: error,
      })
    : new GatewayError('DISK_FAILED', `The recording cannot be written (${code}). Check record_dir.`, { cause: error });
}
