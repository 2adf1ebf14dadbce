/**
 * Logs that several processes append to and all read in one order, with a snapshot in place of what is older. Texts are
 * the caller's. All methods reject when the store does not answer; an append that was rejected may still have happened.
 */
export interface SharedLogs {
  /**
   * Calls the listener with every entry that is appended from now on. Entries may be missing, for example while the
   * connection was lost: positions have no gaps, so the reader notices.
   *
   * @returns a function that ends this
   */
  subscribe(name: string, listener: (entry: LogEntry) => void): Promise<() => void>;
  /**
   * Reads a log. Where there is none, or where the store has lost the end of it, a new generation begins with what the
   * caller knows.
   *
   * @param known the caller's state
   * @param next the name of the generation that may begin
   */
  read(name: string, known: LogSeed, next: string, ttlMs: number): Promise<LogContent>;
  /** Reads a log if there is one. */
  peek(name: string): Promise<LogContent | undefined>;
  /**
   * @param after the entry is refused if the log ends before this position
   * @returns the position; `undefined` if it is refused, or the log has another generation
   */
  append(
    name: string,
    entry: { readonly generation: string; readonly after: number; readonly text: string },
    ttlMs: number,
  ): Promise<number | undefined>;
  /** Replaces an older snapshot. Entries from before the older one are removed. */
  saveSnapshot(name: string, seed: LogSeed): Promise<void>;
  /**
   * Keeps a log for another time, and says something about it for lists.
   *
   * @returns the position of the last entry; `undefined` if there is no log of this generation
   */
  touch(name: string, generation: string, info: string, ttlMs: number): Promise<number | undefined>;
  /** Removes a log, unless something was appended after this position. */
  remove(name: string, generation: string, position: number): Promise<void>;
  /** Logs that exist, in no order. */
  names(): Promise<string[]>;
  /**
   * Logs that are in use: those without anything to keep, and those that were touched a moment ago.
   *
   * @param ttls what logs without, and with something to keep are kept for, in milliseconds
   */
  active(ttls: { readonly open: number; readonly kept: number }): Promise<string[]>;
  /** What `touch` said last; `undefined` for logs that do not exist, or were not touched yet. */
  infos(names: readonly string[]): Promise<(string | undefined)[]>;
  /** Calls the listener when entries may have been missed. Returns a function that ends this. */
  onReturn(listener: () => void): () => void;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface LogEntry {
  /** A log that was begun anew has another one. */
  readonly generation: string;
  /** Counted up by one. */
  readonly position: number;
  readonly text: string;
}

/** The state after the entry at a position. */
export interface LogSeed {
  readonly generation: string;
  readonly position: number;
  readonly text: string;
}

export interface LogContent {
  readonly snapshot: LogSeed;
  /** All that were appended after the snapshot. */
  readonly entries: readonly LogEntry[];
}
