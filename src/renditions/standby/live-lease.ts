import { EventEmitter } from 'node:events';
import { toGatewayError, type GatewayError } from '../../errors.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { RenditionLease } from '../encoder-pool.ts';
import type { Rendition } from '../rendition.ts';
import { backoffMs, type Backoff } from '../../runtime/async.ts';

/** Of a rendition that cannot be had. */
const RETRIES: Backoff = { intervalMs: 1000, capMs: 30_000 };

/** Leases the rendition of a stream; rejects with a {@link GatewayError} if it cannot be had. */
export type AcquireRendition = (stream: LiveStream) => Promise<RenditionLease>;

export interface LiveLeaseEvents {
  /** A stream of the name is live, and its rendition runs. */
  attached: [rendition: Rendition];
  detached: [];
  /** The stream has a publisher, or has lost it, or has ended. */
  publisher: [];
  /** The rendition could not be had, or has failed. It is tried again while the stream is live. */
  failed: [error: GatewayError];
}

/** The live rendition of a stream name, leased while a stream of this name is live. */
export class LiveLease extends EventEmitter<LiveLeaseEvents> {
  readonly #name: string;
  readonly #registry: StreamRegistry;
  readonly #lease: AcquireRendition;
  readonly #onStarted = (stream: LiveStream): void => {
    if (stream.name !== this.#name) return;
    this.#follow(stream);
    void this.#acquire(stream).catch((error: unknown) => this.#retry(stream, error));
  };
  readonly #onEnded = (): void => this.#leave();
  readonly #onPublisher = (): void => void this.emit('publisher');
  readonly #onFailed = (error: GatewayError): void => {
    const stream = this.#stream;
    this.#release();
    if (stream) this.#retry(stream, error);
  };
  #stream: LiveStream | undefined;
  #current: RenditionLease | undefined;
  #retries = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #releasing: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(name: string, registry: StreamRegistry, lease: AcquireRendition) {
    super();
    this.#name = name;
    this.#registry = registry;
    this.#lease = lease;
  }

  /**
   * Waits for the rendition if a stream of the name is live.
   *
   * @throws {GatewayError} if it cannot be had
   */
  async start(): Promise<void> {
    this.#registry.on('started', this.#onStarted);
    const stream = this.#registry.find(this.#name);
    if (!stream) return;
    this.#follow(stream);
    await this.#acquire(stream);
  }

  /** The stream of the name, if there is one. */
  get stream(): LiveStream | undefined {
    return this.#stream;
  }

  /** Emits nothing. Waits until the rendition is released. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.removeAllListeners();
    this.#registry.off('started', this.#onStarted);
    this.#leave();
    await this.#releasing;
  }

  #follow(stream: LiveStream): void {
    this.#stream = stream;
    stream.on('published', this.#onPublisher);
    stream.on('lost', this.#onPublisher);
    stream.on('ended', this.#onEnded);
    this.emit('publisher');
  }

  #leave(): void {
    const stream = this.#stream;
    if (!stream) return;
    this.#stream = undefined;
    stream.off('published', this.#onPublisher);
    stream.off('lost', this.#onPublisher);
    stream.off('ended', this.#onEnded);
    clearTimeout(this.#retryTimer);
    this.#retries = 0;
    this.#release();
    this.emit('publisher');
  }

  async #acquire(stream: LiveStream): Promise<void> {
    const lease = await this.#lease(stream);
    if (this.#closed || this.#stream !== stream) return void (await lease.release());
    this.#current = lease;
    lease.rendition.on('failed', this.#onFailed);
    this.emit('attached', lease.rendition);
  }

  #retry(stream: LiveStream, thrown: unknown): void {
    if (this.#closed || this.#stream !== stream) return;
    this.emit('failed', toGatewayError(thrown));
    this.#retryTimer = setTimeout(
      () => this.#acquire(stream).catch((error: unknown) => this.#retry(stream, error)),
      backoffMs(RETRIES, this.#retries++),
    );
  }

  #release(): void {
    const lease = this.#current;
    if (!lease) return;
    this.#current = undefined;
    lease.rendition.off('failed', this.#onFailed);
    this.#releasing = Promise.allSettled([this.#releasing, lease.release()]);
    this.emit('detached');
  }
}
