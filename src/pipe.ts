import type { Readable } from 'node:stream';

/** What Node holds behind the pipe of a child process; not documented, and so tried out by a test with the Node that runs it. */
interface PipeHandle {
  /** All that was ever read. */
  readonly bytesRead: number;
  /** Is given memory of its own in which stands what was read, and from Node 26 on more than that; nothing at the end, after an error, and with {@link useUserBuffer}. */
  onread(this: PipeHandle, memory: ArrayBuffer | undefined): unknown;
  /** From then on reads into this memory, again and again. */
  useUserBuffer?(memory: Uint8Array): void;
}

/** As much as Node reads at once. */
const READ_BYTES = 65_536;

/**
 * Gives what is read from the pipe of a child process to `read` without the detour through its stream, whose buffers, events and ticks of
 * `process.nextTick` cost a read more than all that is done with its packets. The end, and errors, take the way they always took. A stream that is
 * no such pipe stays as it is: whoever calls this listens to its `data`, too, which is what sets it reading.
 */
export function readDirectly(pipe: Readable, read: (data: Buffer) => void): void {
  const handle = (pipe as { _handle?: PipeHandle })._handle;
  if (typeof handle?.onread !== 'function' || typeof handle.bytesRead !== 'number') return;
  const { onread } = handle;
  let before = handle.bytesRead;
  handle.onread = function (memory) {
    if (memory === undefined) return onread.call(this, memory);
    const length = this.bytesRead - before;
    before += length;
    return read(Buffer.from(memory, 0, length));
  };
}

/**
 * The same for who reads much: all into the same memory, so `data` is good until `read` returns, and what is to be kept must be copied. Memory of its own for each read, as
 * Node gives it, is cold, must be collected, and with a single stream costs a tenth of the whole gateway.
 */
export function readIntoSameMemory(pipe: Readable, read: (data: Buffer) => void): void {
  const handle = (pipe as { _handle?: PipeHandle })._handle;
  if (typeof handle?.useUserBuffer !== 'function' || typeof handle.onread !== 'function' || typeof handle.bytesRead !== 'number') return readDirectly(pipe, read);
  const { onread } = handle;
  const memory = Buffer.allocUnsafeSlow(READ_BYTES);
  let before = handle.bytesRead;
  handle.useUserBuffer(memory);
  handle.onread = function (none) {
    const length = this.bytesRead - before;
    if (length <= 0) return onread.call(this, none);
    before += length;
    return read(memory.subarray(0, length));
  };
}
