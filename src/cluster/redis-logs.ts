import { once } from 'node:events';
import type { LogContent, LogEntry, LogSeed, SharedLogs } from '../store/shared-logs.ts';
import { createRedis, type RedisClient } from './redis-connection.ts';
import { RedisKeys } from './redis-keys.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface RedisLogsOptions {
  /** `cluster_redis_url`. */
  readonly url: string;
  /** `cluster_prefix`. */
  readonly prefix: string;
}

/** Milliseconds since the last touch for which a log counts as in use. Each process touches its logs once a second. */
const TOUCHED_MS = 10_000;
/** Milliseconds by which one of both connections may return later than the other one. */
const RETURN_MS = 2000;

type Listener = (entry: LogEntry) => void;
/** As the scripts return it. */
type ContentAnswer = [
  generation: string,
  position: string,
  snapshot: string,
  entries: [id: string, fields: string[]][],
];

/** Logs in Redis: a stream with a snapshot for each, and a channel that tells what is appended. Every key expires. */
export class RedisLogs implements SharedLogs {
  readonly #redis: RedisClient;
  /** A connection that subscribes can do nothing else. */
  readonly #subscriber: RedisClient;
  readonly #keys: RedisKeys;
  /** By channel. */
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #onReturn = new Set<() => void>();
  #closed: Promise<void> | undefined;

  constructor({ url, prefix }: RedisLogsOptions) {
    this.#redis = createRedis(url);
    this.#subscriber = createRedis(url, { subscribes: true });
    this.#keys = new RedisKeys(prefix);
    this.#subscriber.on('message', (channel: string, message: string) => this.#receive(channel, message));
    this.#subscriber.on('ready', () => inBackground(this.#resubscribe()));
  }

  async subscribe(name: string, listener: Listener): Promise<() => void> {
    const channel = this.#keys.logChannel(name);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    const end = (): void => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      this.#subscriber.unsubscribe(channel).catch(() => undefined);
    };
    try {
      await this.#bothReady();
      await this.#subscriber.subscribe(channel);
      return end;
    } catch (error) {
      end();
      throw error;
    }
  }

  async read(name: string, { generation, position, text }: LogSeed, next: string, ttlMs: number): Promise<LogContent> {
    const answer = await this.#redis.wtLogRead(...this.#keys.ofLog(name), generation, position, text, ttlMs, next);
    await this.#redis.wtUntil(this.#keys.logIndex, name, ttlMs);
    return contentOf(answer as ContentAnswer);
  }

  async peek(name: string): Promise<LogContent | undefined> {
    const answer = (await this.#redis.wtLogPeek(...this.#keys.ofLog(name))) as ContentAnswer | [];
    return answer.length === 0 ? undefined : contentOf(answer);
  }

  async append(
    name: string,
    { generation, after, text }: { readonly generation: string; readonly after: number; readonly text: string },
    ttlMs: number,
  ): Promise<number | undefined> {
    const channel = this.#keys.logChannel(name);
    const position = await this.#redis.wtLogAppend(...this.#keys.ofLog(name), generation, after, text, ttlMs, channel);
    return position === 0 ? undefined : Number(position);
  }

  async saveSnapshot(name: string, { generation, position, text }: LogSeed): Promise<void> {
    await this.#redis.wtLogSnapshot(...this.#keys.ofLog(name), generation, position, text);
  }

  async touch(name: string, generation: string, info: string, ttlMs: number): Promise<number | undefined> {
    const position = Number(await this.#redis.wtLogTouch(...this.#keys.ofLog(name), generation, info, ttlMs));
    if (position < 0) return undefined;
    await this.#redis.wtUntil(this.#keys.logIndex, name, ttlMs);
    return position;
  }

  async remove(name: string, generation: string, position: number): Promise<void> {
    const removed = await this.#redis.wtLogRemove(...this.#keys.ofLog(name), generation, position);
    if (removed !== 0) await this.#redis.zrem(this.#keys.logIndex, name);
  }

  async names(): Promise<string[]> {
    return (await this.#redis.wtPresent(this.#keys.logIndex)) as string[];
  }

  async active({ open, kept }: { readonly open: number; readonly kept: number }): Promise<string[]> {
    return (await this.#redis.wtActive(this.#keys.logIndex, open, kept - TOUCHED_MS)) as string[];
  }

  async infos(names: readonly string[]): Promise<(string | undefined)[]> {
    const infos = await Promise.all(names.map((name) => this.#redis.hget(this.#keys.ofLog(name)[0], 'info')));
    return infos.map((info) => info ?? undefined);
  }

  onReturn(listener: () => void): () => void {
    this.#onReturn.add(listener);
    return () => void this.#onReturn.delete(listener);
  }

  close(): Promise<void> {
    this.#redis.disconnect();
    this.#closed ??= Promise.resolve(this.#subscriber.disconnect());
    return this.#closed;
  }

  /** Redis is there, and only one of both connections is not yet: it is waited for. Otherwise commands fail at once. */
  async #bothReady(): Promise<void> {
    const late = [this.#redis, this.#subscriber].filter(({ status }) => status !== 'ready');
    if (late.length !== 1) return;
    await once(late[0]!, 'ready', { signal: AbortSignal.timeout(RETURN_MS) }).catch(() => undefined);
  }

  /** After the connection was lost: first subscribed, then read, so that nothing is missed. */
  async #resubscribe(): Promise<void> {
    if (this.#listeners.size === 0) return;
    await this.#subscriber.subscribe(...this.#listeners.keys()).catch(() => undefined);
    for (const listener of this.#onReturn) listener();
  }

  #receive(channel: string, message: string): void {
    const [, generation, position, text] = /^(\S+) (\d+) (.*)$/s.exec(message) ?? [];
    if (generation === undefined || text === undefined) return;
    const entry: LogEntry = { generation, position: Number(position), text };
    for (const listener of [...(this.#listeners.get(channel) ?? [])]) listener(entry);
  }
}

function contentOf([generation, position, text, entries]: ContentAnswer): LogContent {
  return {
    snapshot: { generation, position: Number(position), text },
    entries: entries.map(([id, fields]) => ({
      generation,
      position: Number(id.split('-')[0]),
      text: fields[1] ?? '',
    })),
  };
}
