import { clientOf } from '../net/client-slots.ts';
import { limitHits } from '../observe/limits.ts';

const WINDOW_MS = 60_000;
/** Clients whose failures are remembered. */
const MAX_CLIENTS = 10_000;

interface Failures {
  readonly since: number;
  count: number;
}

/** Counts wrong credentials by the address that they come from, within a minute. */
export class FailedLogins {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** By client, the one that began first at the front. */
  readonly #failures = new Map<string, Failures>();

  /** @param perMinute wrong credentials of one address (`max_failed_logins_per_minute`) */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Milliseconds for which unknown credentials of this address must be refused without a look at them; 0: none. */
  waitMs(address: string): number {
    const failures = this.#failures.get(clientOf(address));
    if (!failures || failures.count < this.#perMinute) return 0;
    const waitMs = Math.max(0, failures.since + WINDOW_MS - this.#now());
    if (waitMs > 0) limitHits.count('max_failed_logins_per_minute');
    return waitMs;
  }

  add(address: string): void {
    const client = clientOf(address);
    const failures = this.#failures.get(client);
    if (failures && this.#now() - failures.since < WINDOW_MS) {
      failures.count++;
      return;
    }
    this.#failures.delete(client);
    this.#failures.set(client, { since: this.#now(), count: 1 });
    if (this.#failures.size > MAX_CLIENTS) this.#failures.delete(this.#failures.keys().next().value!);
  }
}
