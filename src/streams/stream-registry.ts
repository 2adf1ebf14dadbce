import { EventEmitter } from 'node:events';
import { GatewayError } from '../errors.ts';
import { limitReached } from '../observe/limits.ts';
import { LiveStream, type Publisher } from './live-stream.ts';

export interface StreamRegistryEvents {
  /** A stream of a new name is live. Not emitted when a publisher returns. */
  started: [stream: LiveStream];
  ended: [stream: LiveStream, reason: GatewayError];
}

export interface StreamRegistryOptions {
  /** Milliseconds in which a lost publisher may return. */
  readonly resumeWindowMs: number;
  /** Maximum number of streams at the same time. */
  readonly maxStreams: number;
}

/** A name that is reserved for a publisher that is still connecting. */
export interface NameReservation {
  /**
   * Makes the publisher the sender of the stream of this name.
   *
   * @throws {GatewayError} as {@link StreamRegistry.check}
   */
  publish(publisher: Publisher): LiveStream;
  /** Gives the name back. Idempotent, and without effect after {@link publish}. */
  release(): void;
}

/** All live streams by name: the hub between publishers and consumers. */
export class StreamRegistry extends EventEmitter<StreamRegistryEvents> {
  readonly #streams = new Map<string, LiveStream>();
  readonly #windows = new WeakMap<LiveStream, NodeJS.Timeout>();
  readonly #reserved = new Set<string>();
  readonly #options: StreamRegistryOptions;
  #closedBy: GatewayError | undefined;

  constructor(options: StreamRegistryOptions) {
    super();
    // Each push with standby listens.
    this.setMaxListeners(0);
    this.#options = options;
  }

  get size(): number {
    return this.#streams.size;
  }

  find(name: string): LiveStream | undefined {
    return this.#streams.get(name);
  }

  list(): LiveStream[] {
    return [...this.#streams.values()];
  }

  /**
   * Checks that a publisher may take this name now.
   *
   * @param replaces the present publisher, if the new one may take its place
   * @throws {GatewayError} STREAM_NAME_IN_USE or LIMIT_REACHED; after {@link close} its reason
   */
  check(name: string, resumeKey?: string, replaces?: Publisher): void {
    if (this.#closedBy) throw this.#closedBy;
    const present = this.#streams.get(name);
    if (this.#reserved.has(name)) throw nameInUse(name);
    if (!present) {
      if (this.#streams.size + this.#reserved.size >= this.#options.maxStreams)
        throw limitReached(
          'max_streams',
          `The gateway already carries ${this.#options.maxStreams} streams (max_streams). Try again when one has ended.`,
        );
      return;
    }
    const isFree = !present.publisher || (present.publisher === replaces && resumeKey !== undefined);
    if (!isFree || present.resumeKey !== resumeKey) throw nameInUse(name);
  }

  /** Whether a publisher with this key would continue a stream that is held for it. */
  resumable(name: string, resumeKey?: string): boolean {
    const held = this.#streams.get(name);
    return held !== undefined && !held.publisher && held.resumeKey === resumeKey;
  }

  /**
   * Reserves the name for a publisher while it connects, so that one of two simultaneous requests wins. If a stream
   * that is held for a lost publisher ends meanwhile, the reservation starts a new stream.
   *
   * @throws {GatewayError} as {@link check}
   */
  reserve(name: string, resumeKey?: string, replaces?: Publisher): NameReservation {
    this.check(name, resumeKey, replaces);
    this.#reserved.add(name);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#reserved.delete(name);
    };
    return {
      publish: (publisher) => {
        if (!held) throw new Error(`the reservation of ${name} has been released or used`);
        release();
        return this.publish(name, publisher, resumeKey, replaces);
      },
      release,
    };
  }

  /**
   * Makes the publisher the sender of a new stream of this name, or of the one that is held for it, or of the one of the
   * publisher that it replaces, which is lost.
   *
   * @throws {GatewayError} as {@link check}
   */
  publish(name: string, publisher: Publisher, resumeKey?: string, replaces?: Publisher): LiveStream {
    this.check(name, resumeKey, replaces);
    const present = this.#streams.get(name);
    if (present?.publisher) this.lose(present, present.publisher);
    const held = this.#streams.get(name);
    if (held) {
      clearTimeout(this.#windows.get(held));
      held.attach(publisher);
      return held;
    }
    const stream = new LiveStream(name, resumeKey);
    this.#streams.set(name, stream);
    stream.attach(publisher);
    this.emit('started', stream);
    return stream;
  }

  /** The publisher was lost without a stop: holds its stream for the resume window, then ends it. */
  lose(stream: LiveStream, publisher: Publisher): void {
    if (stream.publisher !== publisher) return;
    if (this.#options.resumeWindowMs === 0) return this.end(stream, lost());
    stream.lose(this.#options.resumeWindowMs);
    this.#windows.set(
      stream,
      setTimeout(() => this.end(stream, lost()), this.#options.resumeWindowMs),
    );
  }

  /** Ends a stream and the session of its publisher. Idempotent. */
  end(stream: LiveStream, reason: GatewayError): void {
    if (this.#streams.get(stream.name) !== stream) return;
    clearTimeout(this.#windows.get(stream));
    this.#streams.delete(stream.name);
    stream.end(reason);
    this.emit('ended', stream, reason);
  }

  /** Ends all streams, and refuses further ones with the same reason. Idempotent. */
  close(reason: GatewayError): void {
    this.#closedBy ??= reason;
    for (const stream of this.list()) this.end(stream, reason);
  }
}

const nameInUse = (name: string): GatewayError =>
  new GatewayError(
    'STREAM_NAME_IN_USE',
    `Stream name is already in use: ${name}. Publish under another name, or stop the other publisher.`,
  );
const lost = (): GatewayError =>
  new GatewayError('PUBLISHER_LOST', 'The publisher was lost and did not return in time.');
