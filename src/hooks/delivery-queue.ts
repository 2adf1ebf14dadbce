import { retryDelayMs } from './retry-schedule.ts';

/** One event for one URL. */
export interface Delivery {
  /** Of the record in the store. Keys are in the order of the events. */
  readonly key: string;
  /** `webhook-id`: the same for all attempts. */
  readonly id: string;
  /** Deliveries of a lane follow each other. */
  readonly lane: string;
  readonly body: string;
  /** Attempts that have failed. */
  readonly attempts: number;
}

interface Waiting {
  delivery: Delivery;
  dueMs: number;
}

/**
 * The deliveries of one URL: in order in each lane, at most one of a lane at a time. The delivery that is retried
 * holds up its lane, not the others. Pure: no I/O, no timers; times are arguments.
 */
export class DeliveryQueue {
  readonly #lanes = new Map<string, Waiting[]>();
  /** Lanes whose first delivery is being sent. */
  readonly #sending = new Set<string>();
  readonly #limit: number;
  #pausedUntilMs = 0;
  #size = 0;

  /** @param limit most deliveries that are kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  get sending(): number {
    return this.#sending.size;
  }

  /** @returns the deliveries that are dropped for it: the oldest ones */
  add(delivery: Delivery): Delivery[] {
    const lane = this.#lanes.get(delivery.lane) ?? [];
    this.#lanes.set(delivery.lane, lane);
    lane.push({ delivery, dueMs: 0 });
    this.#size++;
    const dropped: Delivery[] = [];
    while (this.#size > this.#limit) {
      const oldest = this.#oldestWaiting();
      if (!oldest) break;
      dropped.push(oldest);
      this.#take(oldest);
    }
    return dropped;
  }

  /** The delivery to send now; its lane waits until it is settled by {@link delivered} or {@link failed}. */
  next(nowMs: number): Delivery | undefined {
    if (nowMs < this.#pausedUntilMs) return undefined;
    let first: Waiting | undefined;
    for (const { dueMs, delivery } of this.#heads())
      if (dueMs <= nowMs && (!first || delivery.key < first.delivery.key)) first = { dueMs, delivery };
    if (first) this.#sending.add(first.delivery.lane);
    return first?.delivery;
  }

  /** When {@link next} should be asked again, if nothing else happens. */
  nextDueMs(): number | undefined {
    let earliest: number | undefined;
    for (const { dueMs } of this.#heads()) earliest = Math.min(earliest ?? Infinity, dueMs);
    return earliest === undefined ? undefined : Math.max(earliest, this.#pausedUntilMs);
  }

  delivered(delivery: Delivery): void {
    this.#sending.delete(delivery.lane);
    this.#take(delivery);
  }

  /**
   * @param random from 0 to 1, for jitter
   * @param retryAfterMs what the receiver asks for: nothing is sent to it for so long
   * @returns the delivery as it is retried, or `undefined` if it has been given up
   */
  failed(delivery: Delivery, nowMs: number, random: number, retryAfterMs = 0): Delivery | undefined {
    this.#sending.delete(delivery.lane);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + retryAfterMs);
    const waiting = this.#lanes.get(delivery.lane)?.[0];
    const attempts = delivery.attempts + 1;
    const delayMs = retryDelayMs(attempts, random);
    if (!waiting || delayMs === undefined) {
      this.#take(delivery);
      return undefined;
    }
    waiting.delivery = { ...delivery, attempts };
    waiting.dueMs = nowMs + delayMs;
    return waiting.delivery;
  }

  /** Removes all deliveries. @returns what was in the queue */
  clear(): Delivery[] {
    const all = [...this.#lanes.values()].flat().map(({ delivery }) => delivery);
    this.#lanes.clear();
    this.#sending.clear();
    this.#size = 0;
    return all;
  }

  /** The first deliveries of the lanes that are not sending. */
  *#heads(): Iterable<Waiting> {
    for (const [lane, [head]] of this.#lanes) if (head && !this.#sending.has(lane)) yield head;
  }

  #oldestWaiting(): Delivery | undefined {
    let oldest: Delivery | undefined;
    for (const [lane, waiting] of this.#lanes) {
      const candidate = waiting[this.#sending.has(lane) ? 1 : 0]?.delivery;
      if (candidate && (!oldest || candidate.key < oldest.key)) oldest = candidate;
    }
    return oldest;
  }

  #take({ lane: name, key }: Delivery): void {
    const lane = this.#lanes.get(name);
    const index = lane?.findIndex(({ delivery }) => delivery.key === key) ?? -1;
    if (!lane || index < 0) return;
    lane.splice(index, 1);
    this.#size--;
    if (lane.length === 0) this.#lanes.delete(name);
  }
}
