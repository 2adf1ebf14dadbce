import { EventEmitter } from 'node:events';

/** Failures of work that nothing waits for: mistakes in the program. The process logs them. */
export const backgroundFailures = new EventEmitter<{ failure: [error: unknown] }>();

/**
 * Runs work that nothing waits for. Its failure is reported and ends nothing but what `onFailure` ends. Without a listener of
 * {@link backgroundFailures}, as in tests, it is an uncaught exception.
 */
export function inBackground(work: PromiseLike<unknown> | undefined, onFailure?: (error: unknown) => void): void {
  work?.then(undefined, (error: unknown) => {
    report(error);
    onFailure?.(error);
  });
}

/**
 * Wraps a listener of one client's socket, so that an exception or a rejection in it ends this client and nothing else.
 *
 * @param end ends the client; it must not throw
 */
export const guarded =
  <Args extends unknown[]>(end: (error: unknown) => void, listener: (...args: Args) => unknown) =>
  (...args: Args): void => {
    try {
      const done = listener(...args);
      if (isPromise(done)) inBackground(done, end);
    } catch (error) {
      report(error);
      end(error);
    }
  };

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';

function report(error: unknown): void {
  if (backgroundFailures.emit('failure', error)) return;
  queueMicrotask(() => {
    throw error;
  });
}
