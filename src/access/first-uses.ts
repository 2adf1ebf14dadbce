import { z } from 'zod';
import type { Logger } from '../observe/logger.ts';
import type { Store } from '../store/store.ts';

/**
 * Keeps when publishing with a token must end, from the first use of the token on.
 *
 * @param endsAt milliseconds since 1970
 * @returns what is kept: `endsAt`, or that of an earlier use
 */
export type KeepFirst = (token: string, endsAt: number, expiresAt: Date) => Promise<number>;

/** Survives a restart where the store does. */
export function keepFirstIn(store: Store): KeepFirst {
  const ends = store.records('token-ends', z.number());
  return async (token, endsAt, expiresAt) => {
    if (await ends.putIfAbsent(token, endsAt, { expiresAt })) return endsAt;
    return (await ends.get(token))?.value ?? endsAt;
  };
}

/** While the store fails, `maxDuration` counts in this process only: publishers are not refused. */
export const keepFirstOrWarn =
  (keep: KeepFirst, logger: Logger): KeepFirst =>
  async (token, endsAt, expiresAt) => {
    try {
      return await keep(token, endsAt, expiresAt);
    } catch (error) {
      logger.warn({ err: error }, 'the first use of a token could not be stored; its maxDuration counts here only');
      return endsAt;
    }
  };
