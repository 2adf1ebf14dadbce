import { ClientSlots, type SlotLimits } from '../net/client-slots.ts';
import { limitReached } from '../observe/limits.ts';

/** Sessions that are not connected yet: of one client address, and of all clients. */
export type PendingSessionLimits = SlotLimits;

/**
 * Counts sessions from their offer until they are connected, so that offers without media cannot take all resources.
 */
export class PendingSessions {
  readonly #limits: PendingSessionLimits;
  readonly #slots: ClientSlots;

  constructor(limits: PendingSessionLimits) {
    this.#limits = limits;
    this.#slots = new ClientSlots(limits);
  }

  get size(): number {
    return this.#slots.size;
  }

  /**
   * Takes a slot for a session that is about to connect.
   *
   * @param clientAddress IP address of the client; without one only the total counts
   * @returns how to free the slot: when the session is connected or over. Idempotent
   * @throws {GatewayError} LIMIT_REACHED
   */
  enter(clientAddress?: string): () => void {
    this.check(clientAddress);
    return this.#slots.take(clientAddress);
  }

  /**
   * Refuses a client without a free slot, before its offer is parsed.
   *
   * @throws {GatewayError} LIMIT_REACHED
   */
  check(clientAddress?: string): void {
    const { perClient, total } = this.#limits;
    const full = this.#slots.full(clientAddress);
    if (full === 'perClient')
      throw limitReached(
        'max_pending_sessions_per_ip',
        `${perClient} sessions of this address are waiting for their connection (max_pending_sessions_per_ip). ` +
          'Try again in some seconds. Clients behind a reverse proxy share its address: name the proxy in ' +
          'trust_proxy, or raise the setting.',
      );
    if (full === 'total')
      throw limitReached(
        'max_pending_sessions',
        `${total} sessions are waiting for their connection (max_pending_sessions). Try again in some seconds.`,
      );
  }
}
