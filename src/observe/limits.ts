import { EventEmitter } from 'node:events';
import type { SettingKey } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from './logger.ts';

/** Milliseconds between two log lines about one limit. */
const LOG_INTERVAL_MS = 60_000;

interface LimitEvents {
  hit: [limit: SettingKey];
}

/** Counts what each limit has turned away or ended, under the name of its setting. */
export class LimitHits extends EventEmitter<LimitEvents> {
  readonly #counts = new Map<SettingKey, number>();

  get counts(): ReadonlyMap<SettingKey, number> {
    return this.#counts;
  }

  count(limit: SettingKey): void {
    this.#counts.set(limit, (this.#counts.get(limit) ?? 0) + 1);
    this.emit('hit', limit);
  }
}

/** One for the process, whose resources the limits protect. */
export const limitHits = new LimitHits();

/** Counts a request that a limit refuses, and returns its error. */
export function limitReached(limit: SettingKey, message: string): GatewayError {
  limitHits.count(limit);
  return new GatewayError('LIMIT_REACHED', message);
}

/**
 * Logs which limits are reached, each at most once a minute.
 *
 * @returns the function that ends it
 */
export function logLimits(hits: LimitHits, logger: Logger, now: () => number = () => performance.now()): () => void {
  const loggedAt = new Map<SettingKey, number>();
  const log = (limit: SettingKey): void => {
    const last = loggedAt.get(limit);
    if (last !== undefined && now() - last < LOG_INTERVAL_MS) return;
    loggedAt.set(limit, now());
    logger.warn(
      { limit, total: hits.counts.get(limit) },
      'a limit is reached: raise this setting if the clients are legitimate',
    );
  };
  hits.on('hit', log);
  return () => void hits.off('hit', log);
}
