import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { Secret } from '../net/secret.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Store } from '../store/store.ts';
import { systemClock } from '../runtime/clock.ts';
import { EVENT_TYPES, matchesEvent, type GatewayEvent } from './events.ts';
import { observeCalls, observeRegistrations, type ObservedCalls, type ObservedRegistrations } from './observe-calls.ts';
import {
  gatewayStarted,
  gatewayStopping,
  nodeDraining,
  observePushes,
  observeRecordings,
  observeRooms,
  observeStreams,
  type ObservedPushes,
  type ObservedRecordings,
  type ObservedRooms,
  type ObservedStreams,
} from './observe-gateway.ts';
import { createSender } from './webhook-sender.ts';
import { Webhooks } from './webhooks.ts';

type HookSettings = Pick<Settings, 'webhook_urls' | 'webhook_secret' | 'webhook_events' | 'destination_allow_networks'>;

export interface GatewayHooksOptions {
  readonly settings: HookSettings;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly version: string;
  /** Gets every event, also without `webhook_urls`. */
  readonly onEvent?: (event: GatewayEvent) => void;
  readonly logger: Logger;
}

/** Tells application servers, and the console, what happens in the gateway. */
export class GatewayHooks {
  readonly #webhooks: Webhooks | undefined;
  readonly #version: string;
  readonly #onEvent: (event: GatewayEvent) => void;

  private constructor(
    webhooks: Webhooks | undefined,
    { version, onEvent = () => undefined }: Pick<GatewayHooksOptions, 'version' | 'onEvent'>,
  ) {
    this.#webhooks = webhooks;
    this.#version = version;
    this.#onEvent = onEvent;
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  static async create({ settings, onEvent, ...parts }: GatewayHooksOptions): Promise<GatewayHooks> {
    const { webhook_urls: urls, webhook_events: events, destination_allow_networks: allowNetworks } = settings;
    const { version } = parts;
    const own = { version, ...(onEvent && { onEvent }) };
    if (urls.length === 0) return new GatewayHooks(undefined, own);
    checkPatterns(events);
    const secret = new Secret(settings.webhook_secret);
    const webhooks = await Webhooks.create({
      ...parts,
      urls,
      events,
      createSender: (url) => createSender({ url, secret, allowNetworks, version, now: systemClock.date }),
      clock: systemClock,
      random: Math.random,
    });
    return new GatewayHooks(webhooks, own);
  }

  /** To be called after the pushes listen to the streams, so that the pushes of a stream end before it. */
  observe(streams: ObservedStreams, pushes: ObservedPushes, recordings?: ObservedRecordings): void {
    observeStreams(streams, this.#publish, this.#webhooks?.sends('stream.stalled') ?? false);
    observePushes(pushes, this.#publish);
    if (recordings) observeRecordings(recordings, this.#publish);
  }

  observeRooms(rooms: ObservedRooms): void {
    observeRooms(rooms, this.#publish);
  }

  observeCalls(calls: ObservedCalls): void {
    if (this.#webhooks) observeCalls(calls, this.#publish);
  }

  observeRegistrations(registrations: ObservedRegistrations): void {
    observeRegistrations(registrations, this.#publish);
  }

  started(): void {
    this.#publish(gatewayStarted(this.#version));
  }

  /** @param streams that run */
  draining(streams: number): void {
    this.#publish(nodeDraining(this.#version, streams));
  }

  stopping(): void {
    this.#publish(gatewayStopping(this.#version));
  }

  /** To be called after the streams and pushes have ended. Idempotent. */
  async close(): Promise<void> {
    await this.#webhooks?.close();
  }

  readonly #publish = (event: GatewayEvent): void => {
    this.#webhooks?.publish(event);
    this.#onEvent(event);
  };
}

function checkPatterns(patterns: readonly string[]): void {
  for (const pattern of patterns)
    if (!EVENT_TYPES.some((type) => matchesEvent(pattern, type)))
      throw new GatewayError(
        'SETTINGS_INVALID',
        `webhook_events: there is no event ${pattern}. Events are ${EVENT_TYPES.join(', ')}; push.* stands for all that begin with push.`,
      );
}
