import { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import { limitReached } from '../../observe/limits.ts';

/** What one push holds: its stream, and one or two destinations. */
interface Holder {
  readonly streamName: string;
  readonly keys: readonly string[];
  /** Set when the push has ended; resolves when its connections are closed. */
  closed?: Promise<void>;
}

export interface PushSlotLimits {
  /** `max_transponders` */
  readonly maxTransponders: number;
  /** `max_transponders_per_stream` */
  readonly maxPerStream: number;
}

/** The place of one push. */
export interface PushSlot {
  /** The push has ended; the slot is free when `closed` resolves. */
  ended(closed: Promise<void>): void;
  /** Idempotent. */
  release(): void;
}

/** Which pushes go where: no stream is pushed twice to the same destination, and their number is limited. */
export class PushSlots {
  readonly #limits: PushSlotLimits;
  readonly #holders = new Map<string, Holder>();

  constructor(limits: PushSlotLimits) {
    this.#limits = limits;
  }

  /** The end of a push that has ended but whose connections are still being closed, if there is one. */
  closing(streamName: string, destinations: readonly Destination[]): Promise<void> | undefined {
    const holders = keysOf(streamName, destinations).map((key) => this.#holders.get(key));
    return holders.find((holder) => holder?.closed !== undefined)?.closed;
  }

  /** Whether a push runs, or is being started. */
  isTaken(streamName: string, destination: Destination): boolean {
    const [key] = keysOf(streamName, [destination]);
    const holder = this.#holders.get(key!);
    return holder !== undefined && !holder.closed;
  }

  /** @throws {GatewayError} TRANSPONDER_EXISTS, INVALID_REQUEST or LIMIT_REACHED */
  reserve(streamName: string, destinations: readonly Destination[]): PushSlot {
    const keys = keysOf(streamName, destinations);
    if (new Set(keys).size < keys.length)
      throw new GatewayError(
        'INVALID_REQUEST',
        'backupUrl leads to the same place as rtmpUrl. Use another server, application or stream name for the backup.',
      );
    const present = destinations.find((_, index) => this.#holders.has(keys[index]!));
    if (present)
      throw new GatewayError(
        'TRANSPONDER_EXISTS',
        `Stream ${streamName} is already pushed to ${present.redacted}. Terminate that push first, or find it with /push/find.`,
      );
    this.#checkLimits(streamName);
    const holder: Holder = { streamName, keys };
    for (const key of keys) this.#holders.set(key, holder);
    const release = (): void => {
      for (const key of keys) if (this.#holders.get(key) === holder) this.#holders.delete(key);
    };
    return {
      ended: (closed) => {
        holder.closed = closed.then(release);
      },
      release,
    };
  }

  #checkLimits(streamName: string): void {
    const { maxTransponders, maxPerStream } = this.#limits;
    const holders = [...new Set(this.#holders.values())];
    if (holders.length >= maxTransponders)
      throw limitReached(
        'max_transponders',
        `The gateway already runs ${holders.length} pushes (max_transponders). Terminate one first.`,
      );
    const ofStream = holders.filter((holder) => holder.streamName === streamName && !holder.closed).length;
    if (ofStream >= maxPerStream)
      throw limitReached(
        'max_transponders_per_stream',
        `Stream ${streamName} already has ${ofStream} pushes (max_transponders_per_stream). Terminate one first.`,
      );
  }
}

/** Two destinations are the same when they name the same place on the server, however the URL is written. */
const keysOf = (source: string, destinations: readonly Destination[]): string[] =>
  destinations.map(({ scheme, host, port, app, streamName }) =>
    JSON.stringify([
      source,
      ...[scheme, host.toLowerCase(), port, app.reveal().replace(/\/+(?=\?|$)/, ''), streamName.reveal()],
    ]),
  );
