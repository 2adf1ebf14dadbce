import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Timeout in milliseconds: a limit, far above what is usual on a busy machine. */
  readonly timeout?: number;
  /** Interval of the checks in milliseconds. */
  readonly every?: number;
}

/** How often publishers ask a gateway that is overloaded, once a second. */
export const MOST_TRIES = 30;

/**
 * Waits until `condition` returns a truthy value, and returns it. An exception of the condition counts as "not yet". On timeout the error
 * contains what was waited for and the last value or exception.
 */
export async function waitFor<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  options: WaitOptions = {},
): Promise<NonNullable<Value>> {
  const { timeout = 30_000, every = 50 } = options;
  const deadline = performance.now() + timeout;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `timed out after ${timeout} ms waiting for ${what}; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    }
    await sleep(every);
  }
}
