import { setTimeout as sleep } from 'node:timers/promises';
import { inBackground } from '../../runtime/in-background.ts';

/** Never rejects. */
type Task = () => Promise<void>;

export interface NotificationQueueOptions {
  /** Most tasks that wait or run. */
  readonly limit: number;
  /** Most tasks that run at the same time, each of another lane. */
  readonly parallel: number;
}

/** Runs tasks in the background: those of one lane in order, one after the other. Bounded. */
export class NotificationQueue {
  readonly #options: NotificationQueueOptions;
  /** The first task of a lane may be running. Lanes without tasks are not kept. */
  readonly #lanes = new Map<string, Task[]>();
  /** Lanes whose first task waits for its turn. */
  readonly #ready: string[] = [];
  #running = 0;
  #size = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: NotificationQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns false if the queue is full and the task is dropped */
  add(lane: string, task: Task): boolean {
    if (this.#size >= this.#options.limit) return false;
    this.#size++;
    const waiting = this.#lanes.get(lane);
    if (waiting) waiting.push(task);
    else {
      this.#lanes.set(lane, [task]);
      this.#ready.push(lane);
    }
    this.#start();
    return true;
  }

  /** Resolves when the queue is empty, or after some milliseconds. */
  async settle(ms: number): Promise<void> {
    if (this.#size === 0) return;
    const late = new AbortController();
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    await Promise.race([idle, sleep(ms, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }

  /** Drops what waits. */
  clear(): void {
    for (const lane of this.#ready.splice(0)) {
      this.#size -= this.#lanes.get(lane)!.length;
      this.#lanes.delete(lane);
    }
    for (const waiting of this.#lanes.values()) this.#size -= waiting.splice(1).length;
  }

  #start(): void {
    while (this.#running < this.#options.parallel && this.#ready.length > 0)
      inBackground(this.#runNext(this.#ready.shift()!));
  }

  async #runNext(lane: string): Promise<void> {
    const waiting = this.#lanes.get(lane)!;
    this.#running++;
    await waiting[0]!();
    this.#running--;
    this.#size--;
    waiting.shift();
    if (waiting.length > 0) this.#ready.push(lane);
    else this.#lanes.delete(lane);
    this.#start();
    if (this.#size === 0) this.#onIdle?.();
  }
}
