import type { Readable } from 'node:stream';

/** What Node holds behind the pipe of a child process; not documented, and so tried out by a test with the Node that runs it. */
interface PipeHandle {
  /** All that was ever read. */
  readonly bytesRead: number;
  /** Is given memory of its own in which stands what was read, and from Node 26 on more than that; nothing at the end and after an error. */
  onread(this: PipeHandle, memory: ArrayBuffer | undefined): unknown;
}

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
