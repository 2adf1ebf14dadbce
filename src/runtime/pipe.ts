import { readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { Ticker } from './ticker.ts';

/** Node's internal handle of a child's pipe. Undocumented. */
interface PipeHandle {
  /** Its file descriptor, which does not block. */
  readonly fd: number;
  /** Total number of bytes read. */
  readonly bytesRead: number;
  /**
   * Called with memory that holds what was read, and from Node 26 on more than that; with nothing at the end and after
   * an error.
   */
  onread(this: PipeHandle, memory: ArrayBuffer | undefined): unknown;
  readStart(): unknown;
  readStop(): unknown;
}

export interface DirectReads {
  /** An answer is expected: until it has had time to come, there are no batches. */
  readonly hurry: () => void;
}

export interface DirectReadOptions {
  /** Milliseconds between two reads: what arrives meanwhile is read together. 0: everything is read as it arrives. */
  readonly batchMs: number;
  /** Gets each piece in memory of its own. */
  readonly read: (data: Buffer) => void;
  /** Node does not behave as expected, and the pipe is read through its stream from now on; or `read` has thrown. */
  readonly failed: (reason: string, error?: unknown) => void;
}

/**
 * Bytes after which a pipe is taken for full: a Unix socket holds about 85 packets of 1200 bytes
 * (`net.core.wmem_default`, 208 KiB, of which each packet takes twice its size), and Node reads 64 KiB at once.
 */
const NEARLY_FULL = 48 * 1024;
/** While a full pipe is emptied, a read of less is the last one. Bytes. */
const EMPTY = 12 * 1024;
/** At most this much is read at once: more than a pipe holds. */
const MAX_READ = 256 * 1024;
/** After so many batches without data the event loop waits for the next data. */
const EMPTY_BATCHES = 10;
/** How long everything is read as it arrives after {@link DirectReads.hurry}. Milliseconds. */
const HURRY_MS = 8;

/** What all pipes are read into. */
const scratch = Buffer.allocUnsafeSlow(MAX_READ);

/**
 * Passes what is read from the pipe of a child process to `read` without the pipe's stream, whose buffers, events and
 * `process.nextTick` cost more than everything that is done with a packet. The end of the pipe and errors still reach
 * the stream.
 *
 * While data flows, the pipe is read every `batchMs`. Each packet would wake the process otherwise, and a wake-up costs
 * several times what a packet costs. The event loop is free meanwhile; the kernel holds what arrives. A pipe that was
 * nearly full is read again at once, so that its writer does not have to queue and a large key frame does not wait for
 * several batches.
 *
 * The caller listens to the stream's `data` as well: this starts the reads, and it is the fallback.
 *
 * @returns why the pipe cannot be read this way, or how to read at once what comes next
 */
export function readDirectly(pipe: Readable, { batchMs, read, failed }: DirectReadOptions): DirectReads | string {
  const handle = (pipe as { _handle?: Partial<PipeHandle> | null })._handle;
  if (!isPipeHandle(handle)) return 'the stream has no handle that can be read directly';
  const { onread } = handle;
  let before = handle.bytesRead;
  let direct = true;
  let emptying: NodeJS.Timeout | undefined;
  let emptyBatches = 0;
  let stopBatches: (() => void) | undefined;
  let hurriesUntilMs = -Infinity;

  const take = (data: Buffer): void => {
    try {
      read(data);
    } catch (error) {
      failed('what was read could not be processed', error);
    }
  };
  const stop = (): void => {
    stopBatches?.();
    stopBatches = undefined;
    clearTimeout(emptying);
    emptying = undefined;
  };
  /** Node reads what comes next, the end and errors. */
  const resume = (): void => {
    stop();
    if (!pipe.destroyed) handle.readStart();
  };
  const readBatch = (): void => {
    const wasFull = emptying !== undefined;
    emptying = undefined;
    const length = readAvailable(handle.fd);
    if (length === undefined || length === 0) return resume();
    if (length > 0) take(Buffer.from(scratch.subarray(0, length)));
    emptyBatches = length > 0 ? 0 : emptyBatches + 1;
    if (emptyBatches > EMPTY_BATCHES) resume();
    else if (length >= (wasFull ? EMPTY : NEARLY_FULL) && stopBatches) emptying = setTimeout(readBatch, 2);
  };

  handle.onread = function (memory) {
    if (!direct || memory === undefined) return onread.call(this, memory);
    const length = this.bytesRead - before;
    before += length;
    if (!(memory instanceof ArrayBuffer) || !(length >= 0 && length <= memory.byteLength)) {
      direct = false;
      failed(`a read of ${length} bytes does not fit its memory`);
      return onread.call(this, memory);
    }
    take(Buffer.from(memory, 0, length));
    if (batchMs === 0 || pipe.destroyed || performance.now() < hurriesUntilMs) return;
    handle.readStop();
    emptyBatches = 0;
    stopBatches ??= Ticker.every(batchMs).listen(() => !emptying && readBatch());
  };
  pipe.once('close', stop);
  const hurry = (): void => {
    hurriesUntilMs = performance.now() + HURRY_MS;
    if (stopBatches) resume();
  };
  return { hurry };
}

/** @returns the number of bytes in {@link scratch}; -1: there are none at present; `undefined`: the pipe is broken */
function readAvailable(fd: number): number | undefined {
  try {
    return readSync(fd, scratch);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? -1 : undefined;
  }
}

function isPipeHandle(handle: Partial<PipeHandle> | null | undefined): handle is PipeHandle {
  return (
    typeof handle?.onread === 'function' &&
    typeof handle.readStart === 'function' &&
    typeof handle.readStop === 'function' &&
    typeof handle.bytesRead === 'number' &&
    typeof handle.fd === 'number' &&
    handle.fd >= 0
  );
}
