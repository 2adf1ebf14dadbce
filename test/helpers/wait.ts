import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Milliseconds after which waiting is given up. */
  readonly timeout?: number;
  /** Milliseconds between two looks. */
  readonly every?: number;
}

/**
 * Waits until `condition` gives something truthy, and returns it. An exception thrown by the condition counts as "not yet" and is
 * told when time runs out, so that a failed test says what it was waiting for and what it saw last.
 */
export async function waitFor<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  options: WaitOptions = {},
): Promise<NonNullable<Value>> {
  const { timeout = 15_000, every = 50 } = options;
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
        `waited ${timeout} ms in vain for ${what}; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    }
    await sleep(every);
  }
}
