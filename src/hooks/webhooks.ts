import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { RecordSet, Store } from '../store/store.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Delivery } from './delivery-queue.ts';
import { laneOf, matchesEvent, type EventType, type GatewayEvent } from './events.ts';
import { WebhookEndpoint } from './webhook-endpoint.ts';
import type { Sender } from './webhook-sender.ts';
import { SerialWork } from '../runtime/async.ts';

const NAMESPACE = 'webhooks';
/** Events that wait for one URL. */
const QUEUE_LIMIT = 10_000;
/** What receivers have not taken by then stays in the store. */
const CLOSE_WAIT_MS = 2000;
/** Enough for milliseconds since 1970 until the year 33658. */
const KEY_DIGITS = 15;

const RecordSchema = z.object({
  /** {@link endpointId}: a URL may contain a secret. */
  endpoint: z.string(),
  id: z.string(),
  lane: z.string(),
  body: z.string(),
  attempts: z.int(),
});
type WebhookRecord = z.output<typeof RecordSchema>;

export interface WebhooksOptions {
  readonly urls: readonly string[];
  /** Patterns of the events that are sent. */
  readonly events: readonly string[];
  readonly createSender: (url: URL) => Sender;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly queueLimit?: number;
  /** Milliseconds that {@link Webhooks.close} gives to receivers. */
  readonly closeWaitMs?: number;
}

/**
 * Delivers events to each URL at least once, in order for each stream. Deliveries are kept in memory, and in the
 * store from the event until the receiver has taken them.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #records: RecordSet<WebhookRecord>;
  readonly #endpoints = new Map<string, WebhookEndpoint>();
  /** Writes follow each other, so that a record is not deleted before it is written. */
  readonly #writes = new SerialWork();
  #lastKeyMs = 0;
  #dropped = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: WebhooksOptions, records: RecordSet<WebhookRecord>) {
    this.#options = options;
    this.#records = records;
    this.#createEndpoints();
  }

  /** Continues with what an earlier run of the gateway has left. */
  static async create(options: WebhooksOptions): Promise<Webhooks> {
    const records = options.store.records(NAMESPACE, RecordSchema);
    const webhooks = new Webhooks(options, records);
    await webhooks.#load();
    return webhooks;
  }

  /** Whether an event is among those that were chosen. */
  sends(type: EventType): boolean {
    return this.#options.events.some((pattern) => matchesEvent(pattern, type));
  }

  /** Queues an event for all URLs. Events after {@link close} are ignored. */
  publish(event: GatewayEvent): void {
    if (this.#closing || !this.sends(event.type)) return;
    const message = { id: `msg_${randomUUID()}`, lane: laneOf(event), body: JSON.stringify(event), attempts: 0 };
    for (const [endpoint, deliverer] of this.#endpoints) {
      if (!deliverer.enabled) continue;
      const delivery = { key: this.#nextKey(), ...message };
      this.#put(endpoint, delivery);
      deliverer.add(delivery);
    }
  }

  /** Gives receivers a moment to take what is due. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const endpoints = [...this.#endpoints.values()];
    const { closeWaitMs = CLOSE_WAIT_MS } = this.#options;
    const late = new AbortController();
    await Promise.race([
      Promise.all(endpoints.map((endpoint) => endpoint.settle())),
      sleep(closeWaitMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
    await this.#writes.idle();
  }

  #createEndpoints(): void {
    const { urls, createSender, clock, random, logger, metrics, queueLimit = QUEUE_LIMIT } = this.#options;
    const results = metrics.labelledCounter(
      'gateway_webhook_deliveries_total',
      'Attempts to deliver a webhook, by result.',
      'result',
    );
    metrics.gauge('gateway_webhook_queue', 'Webhooks that wait for their receivers.', () =>
      [...this.#endpoints.values()].reduce((sum, { queued }) => sum + queued, 0),
    );
    metrics.total(
      'gateway_webhooks_dropped_total',
      'Webhooks that were dropped because too many waited for their receiver.',
      () => this.#dropped,
    );
    for (const text of new Set(urls)) {
      const url = new URL(text);
      const id = endpointId(text);
      const endpoint = new WebhookEndpoint({
        send: createSender(url),
        limit: queueLimit,
        clock,
        random,
        logger: logger.child({ receiver: url.host }),
        onRemoved: ({ key }) => this.#write(async () => void (await this.#records.delete(key))),
        onRetried: (delivery) => this.#put(id, delivery),
        onDropped: () => this.#dropped++,
        onResult: (result) => results.inc(result),
      });
      this.#endpoints.set(id, endpoint);
    }
  }

  /** Everything that was left is due at once: how long the receiver was unavailable is not known. */
  async #load(): Promise<void> {
    let after: string | undefined;
    let removed = 0;
    for (;;) {
      const batch = await this.#records.list(after === undefined ? {} : { after });
      for (const { key, value } of batch) {
        const { endpoint, ...delivery } = value;
        this.#lastKeyMs = Number(key);
        const found = this.#endpoints.get(endpoint);
        if (found?.enabled) found.add({ key, ...delivery });
        else {
          removed++;
          await this.#records.delete(key);
        }
      }
      after = batch.at(-1)?.key;
      if (after === undefined) break;
    }
    if (removed > 0)
      this.#options.logger.warn({ removed }, 'removed stored webhooks whose URL is not in webhook_urls or answers 410');
  }

  /** Keys in the order of the events, even within a millisecond and when the clock is set back. */
  #nextKey(): string {
    this.#lastKeyMs = Math.max(this.#options.clock.date(), this.#lastKeyMs + 1);
    return String(this.#lastKeyMs).padStart(KEY_DIGITS, '0');
  }

  #put(endpoint: string, { key, ...delivery }: Delivery): void {
    this.#write(async () => void (await this.#records.put(key, { endpoint, ...delivery })));
  }

  #write(run: () => Promise<void>): void {
    this.#writes
      .run(run)
      .catch((error: unknown) => this.#options.logger.error({ err: error }, 'a webhook could not be stored'));
  }
}

const endpointId = (url: string): string => createHash('sha256').update(url).digest('base64url').slice(0, 22);
