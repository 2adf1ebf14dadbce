import type { Logger } from '../observe/logger.ts';
import type { Clock } from '../runtime/clock.ts';
import { DeliveryQueue, type Delivery } from './delivery-queue.ts';
import type { Sender } from './webhook-sender.ts';

/** Requests to one URL at the same time, each of another stream. A slow receiver does not get more connections. */
const MAX_SENDING = 8;

export type DeliveryResult = 'delivered' | 'retried' | 'given_up' | 'gone';

export interface EndpointOptions {
  readonly send: Sender;
  /** Most deliveries that wait. */
  readonly limit: number;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  /** With the host of the URL; its path and query may be secret. */
  readonly logger: Logger;
  /** A delivery is no longer kept, or has failed once more. */
  readonly onRemoved: (delivery: Delivery) => void;
  readonly onRetried: (delivery: Delivery) => void;
  readonly onDropped: () => void;
  readonly onResult: (result: DeliveryResult) => void;
}

/** Delivers the events of one URL: sends what is due, retries, and stops for good after 410. */
export class WebhookEndpoint {
  readonly #options: EndpointOptions;
  readonly #queue: DeliveryQueue;
  readonly #abort = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  #cancelTimer: (() => void) | undefined;
  #disabled = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#queue = new DeliveryQueue(options.limit);
  }

  /** False after the receiver has answered 410, until the gateway is restarted. */
  get enabled(): boolean {
    return !this.#disabled;
  }

  get queued(): number {
    return this.#queue.size;
  }

  add(delivery: Delivery): void {
    if (this.#disabled) return;
    for (const dropped of this.#queue.add(delivery)) {
      this.#options.onRemoved(dropped);
      this.#options.onDropped();
    }
    this.#sendDue();
  }

  /** Waits until nothing is due and nothing is being sent. */
  async settle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  /** Aborts what is being sent. It stays in the store. Idempotent. */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#abort.abort();
    await this.settle();
  }

  #sendDue(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#abort.signal.aborted) return;
    const { clock } = this.#options;
    while (this.#queue.sending < MAX_SENDING) {
      const delivery = this.#queue.next(clock.now());
      if (!delivery) break;
      const sending = this.#send(delivery).finally(() => this.#inFlight.delete(sending));
      this.#inFlight.add(sending);
    }
    // Otherwise the end of a request continues.
    if (this.#queue.sending >= MAX_SENDING) return;
    const dueMs = this.#queue.nextDueMs();
    if (dueMs !== undefined) this.#cancelTimer = clock.after(dueMs - clock.now(), () => this.#sendDue());
  }

  async #send(delivery: Delivery): Promise<void> {
    const { send, clock, random, logger, onRemoved, onRetried, onResult } = this.#options;
    const sent = await send(delivery, this.#abort.signal);
    if (this.#disabled) return;
    switch (sent.result) {
      case 'delivered':
        this.#queue.delivered(delivery);
        onRemoved(delivery);
        onResult('delivered');
        break;
      case 'gone':
        this.#disable();
        break;
      case 'failed': {
        // Aborted by close(): not a failure of the receiver.
        if (this.#abort.signal.aborted) return;
        const retried = this.#queue.failed(delivery, clock.now(), random(), sent.retryAfterMs);
        if (retried) onRetried(retried);
        else onRemoved(delivery);
        onResult(retried ? 'retried' : 'given_up');
        logger.warn(
          { id: delivery.id, attempts: delivery.attempts + 1, reason: sent.reason },
          retried ? 'a webhook was not accepted and will be retried' : 'a webhook was not accepted and is given up',
        );
        break;
      }
      default:
        sent satisfies never;
    }
    this.#sendDue();
  }

  #disable(): void {
    const { logger, onRemoved, onResult } = this.#options;
    this.#disabled = true;
    this.#cancelTimer?.();
    const removed = this.#queue.clear();
    for (const delivery of removed) onRemoved(delivery);
    onResult('gone');
    logger.error(
      { removed: removed.length },
      'the receiver of webhooks answered 410: it gets no further events until the gateway is restarted',
    );
  }
}
