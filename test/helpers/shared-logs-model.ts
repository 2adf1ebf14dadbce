import { setTimeout as sleep } from 'node:timers/promises';
import type { LogContent, LogEntry, LogSeed, SharedLogs } from '../../src/store/shared-logs.ts';

interface Log {
  generation: string;
  position: number;
  snapshot: LogSeed;
  entries: LogEntry[];
  until: number;
  info?: string;
}

/** What Redis holds for shared logs, in memory, with the faults that a test asks for. `src/cluster/redis-logs.ts` is the real one. */
export class SharedLogsModel {
  readonly logs = new Map<string, Log>();
  readonly clients: ModelClient[] = [];
  /** Milliseconds. */
  now: () => number = () => performance.now();
  /** 0 to 1; decides about each fault. */
  random: () => number = () => 1;

  /** What one process uses. */
  client(): ModelClient {
    const client = new ModelClient(this);
    this.clients.push(client);
    return client;
  }

  loseData(): void {
    this.logs.clear();
    for (const client of this.clients) client.returned();
  }
}

export class ModelClient implements SharedLogs {
  readonly #model: SharedLogsModel;
  readonly #listeners = new Map<string, Set<(entry: LogEntry) => void>>();
  readonly #onReturn = new Set<() => void>();
  /** The store does not answer. */
  isAway = false;
  /** Part of the messages that get lost, and of the appends whose answer does. 0 to 1. */
  loss = 0;

  constructor(model: SharedLogsModel) {
    this.#model = model;
  }

  async subscribe(name: string, listener: (entry: LogEntry) => void): Promise<() => void> {
    await this.#answer();
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  async read(name: string, known: LogSeed, next: string, ttlMs: number): Promise<LogContent> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    if (!log || (log.generation === known.generation && log.position < known.position)) {
      const seed = { ...known, generation: next };
      this.#model.logs.set(name, { ...seed, snapshot: seed, entries: [], until: 0 });
    }
    this.#model.logs.get(name)!.until = this.#model.now() + ttlMs;
    return (await this.peek(name))!;
  }

  async peek(name: string): Promise<LogContent | undefined> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    return (
      log && {
        snapshot: log.snapshot,
        entries: log.entries.filter(({ position }) => position > log.snapshot.position),
      }
    );
  }

  async append(
    name: string,
    { generation, after, text }: { readonly generation: string; readonly after: number; readonly text: string },
  ): Promise<number | undefined> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    if (!log || log.generation !== generation || log.position < after) return undefined;
    const entry: LogEntry = { generation, position: ++log.position, text };
    log.entries.push(entry);
    for (const client of this.#model.clients) client.#publish(name, entry);
    if (this.#model.random() < this.loss) throw new Error('no answer');
    return entry.position;
  }

  async saveSnapshot(name: string, seed: LogSeed): Promise<void> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    if (
      !log ||
      log.generation !== seed.generation ||
      log.snapshot.position >= seed.position ||
      log.position < seed.position
    )
      return;
    const { position: before } = log.snapshot;
    log.entries = log.entries.filter(({ position }) => position > before);
    log.snapshot = seed;
  }

  async touch(name: string, generation: string, info: string, ttlMs: number): Promise<number | undefined> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    if (log?.generation !== generation) return undefined;
    log.info = info;
    log.until = this.#model.now() + ttlMs;
    return log.position;
  }

  async remove(name: string, generation: string, position: number): Promise<void> {
    await this.#answer();
    const log = this.#model.logs.get(name);
    if (log?.generation === generation && log.position === position) this.#model.logs.delete(name);
  }

  async active({ open, kept }: { readonly open: number; readonly kept: number }): Promise<string[]> {
    await this.#answer();
    const now = this.#model.now();
    return [...this.#model.logs]
      .filter(([, { until }]) => until <= now + open || until > now + kept - 10_000)
      .map(([name]) => name);
  }

  async names(): Promise<string[]> {
    await this.#answer();
    return [...this.#model.logs.keys()];
  }

  async infos(names: readonly string[]): Promise<(string | undefined)[]> {
    await this.#answer();
    return names.map((name) => this.#model.logs.get(name)?.info);
  }

  onReturn(listener: () => void): () => void {
    this.#onReturn.add(listener);
    return () => void this.#onReturn.delete(listener);
  }

  returned(): void {
    for (const listener of this.#onReturn) listener();
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #publish(name: string, entry: LogEntry): void {
    if (this.isAway || this.#model.random() < this.loss) return;
    void sleep(this.#model.random() < 0.5 ? 0 : 1).then(() => {
      for (const listener of this.#listeners.get(name) ?? []) listener(entry);
    });
  }

  async #answer(): Promise<void> {
    await sleep(this.#model.random() < 0.5 ? 0 : 1);
    if (this.isAway) throw new Error('the store does not answer');
  }
}
