import type { Readable } from 'node:stream';

/** What Node holds behind the pipe of a child process; not documented, but this project brings its Node with it. */
interface PipeHandle {
  /** Is given what was read, in memory of its own; nothing at the end and after an error. */
  onread(this: PipeHandle, bytes: ArrayBuffer | undefined): unknown;
}

/**
 * Gives what is read from the pipe of a child process to `read` without the detour through its stream, whose buffers, events and ticks of
 * `process.nextTick` cost a read more than all that is done with its packets. The end, and errors, take the way they always took. A stream that is
 * no such pipe stays as it is: whoever calls this listens to its `data`, too, which is what sets it reading.
 */
export function readDirectly(pipe: Readable, read: (data: Buffer) => void): void {
  const handle = (pipe as { _handle?: PipeHandle })._handle;
  if (typeof handle?.onread !== 'function') return;
  const { onread } = handle;
  handle.onread = function (bytes) {
    return bytes === undefined ? onread.call(this, bytes) : read(Buffer.from(bytes));
  };
}
