import { ANONYMOUS } from '../access/open-access.ts';
import { GatewayError } from '../errors.ts';
import { clientOf } from '../net/client-slots.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { limitHits, limitReached } from '../observe/limits.ts';
import type { RoomLimits } from './room-limits.ts';

/** What is kept of all rooms. */
export interface KeptObjects {
  readonly objects: number;
  /** Of their properties as JSON. */
  readonly bytes: number;
  /** The disk has less free space than `rooms_min_free_mb`. */
  readonly isDiskFull: boolean;
}

/** Who makes an object persistent. */
export interface KeepingClient {
  readonly principal: { readonly id: string };
  readonly ip?: string | undefined;
}

/** Clients whose numbers are remembered. */
const MAX_CLIENTS = 10_000;
const DAY_S = 86_400;

/** Bounds what clients make the gateway keep. Checked by the process of the client, before an entry is made of it. */
export class PersistenceLimits {
  readonly #limits: RoomLimits;
  readonly #kept: () => KeptObjects;
  readonly #now: () => number;
  /** By principal and by address, the one that was used last at the end. */
  readonly #buckets = new Map<string, TokenBucket>();

  /** @param now milliseconds of a monotonic clock */
  constructor(limits: RoomLimits, kept: () => KeptObjects, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#kept = kept;
    this.#now = now;
  }

  /**
   * A client makes an object persistent.
   *
   * @throws {GatewayError} LIMIT_REACHED, RATE_LIMITED or DISK_FULL
   */
  checkNew({ principal, ip }: KeepingClient): void {
    const { persistentObjects, persistentPerDay } = this.#limits;
    if (this.#kept().objects >= persistentObjects)
      throw limitReached(
        'rooms_max_persistent_objects',
        `The rooms already keep ${persistentObjects} persistent objects (rooms_max_persistent_objects). ` +
          'Connect to the object without persistence, or delete objects that are not used.',
      );
    this.checkGrowth();
    // All anonymous clients have the same id.
    const keys = principal.id === ANONYMOUS ? [] : [`principal ${principal.id}`];
    if (ip !== undefined) keys.push(`address ${clientOf(ip)}`);
    // Of both, also if the first one refuses: who asks again and again gains nothing.
    if (keys.map((key) => this.#take(key)).every(Boolean)) return;
    limitHits.count('rooms_persistent_objects_per_day');
    throw new GatewayError(
      'RATE_LIMITED',
      `A client makes at most ${persistentPerDay} objects persistent in a day ` +
        '(rooms_persistent_objects_per_day). Connect to the object without persistence, or try again later.',
      { retryAfterS: Math.ceil(DAY_S / persistentPerDay) },
    );
  }

  /**
   * A client sets a property of a persistent object.
   *
   * @throws {GatewayError} LIMIT_REACHED or DISK_FULL
   */
  checkGrowth(): void {
    const { persistentBytes, minFreeBytes } = this.#limits;
    const { bytes, isDiskFull } = this.#kept();
    const megabytes = (value: number): number => value / 2 ** 20;
    if (bytes >= persistentBytes)
      throw limitReached(
        'rooms_max_persistent_mb',
        `The persistent objects of all rooms have ${megabytes(persistentBytes)} MB together ` +
          '(rooms_max_persistent_mb). Delete properties, or objects that are not used.',
      );
    if (!isDiskFull) return;
    limitHits.count('rooms_min_free_mb');
    throw new GatewayError(
      'DISK_FULL',
      `The disk of state_dir has less free space than ${megabytes(minFreeBytes)} MB (rooms_min_free_mb), so ` +
        'persistent objects cannot grow. Make room on it.',
    );
  }

  #take(key: string): boolean {
    const perDay = this.#limits.persistentPerDay;
    const bucket = this.#buckets.get(key) ?? new TokenBucket({ burst: perDay, perSecond: perDay / DAY_S });
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_CLIENTS) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket.take(this.#now());
  }
}
