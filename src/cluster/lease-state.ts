import type { GatewayError } from '../errors.ts';
import type { LeaseRecord } from './cluster-store.ts';

/**
 * A node's lease of a stream name as a pure state machine. Without Redis a lease is kept, unconfirmed, for the grace
 * time, because the stream itself needs no Redis.
 */
export type LeaseState =
  | { readonly phase: 'held'; readonly confirmedAtMs: number }
  /** Redis did not answer since the last confirmation. */
  | { readonly phase: 'unconfirmed'; readonly confirmedAtMs: number }
  | { readonly phase: 'ended' };

export type LeaseEvent =
  /** Redis has the lease in the name of this node. */
  | { readonly type: 'confirmed'; readonly atMs: number }
  /** Redis did not answer. */
  | { readonly type: 'unreachable'; readonly atMs: number }
  /** Another node has, or had meanwhile, the name with a higher epoch. */
  | { readonly type: 'superseded'; readonly by: LeaseRecord | undefined }
  /** This node cannot, or is not to, carry the stream any more. */
  | { readonly type: 'givenUp'; readonly reason: GatewayError }
  /** The stream has ended. */
  | { readonly type: 'released' };

export type LeaseEffect =
  | { readonly type: 'lose'; readonly cause: 'superseded'; readonly by: LeaseRecord | undefined }
  | { readonly type: 'lose'; readonly cause: 'grace-over' }
  | { readonly type: 'lose'; readonly cause: 'given-up'; readonly reason: GatewayError }
  /** Gives the name back in Redis. */
  | { readonly type: 'giveBack' };

export interface LeaseStep {
  readonly state: LeaseState;
  readonly effects: readonly LeaseEffect[];
}

export interface LeaseRules {
  /** Milliseconds for which a lease is kept without Redis; 0: no limit. */
  readonly graceMs: number;
}

const ENDED: LeaseState = { phase: 'ended' };

/** Times are of a monotonic clock. */
export function stepLease(state: LeaseState, event: LeaseEvent, { graceMs }: LeaseRules): LeaseStep {
  if (state.phase === 'ended') return { state, effects: [] };
  switch (event.type) {
    case 'confirmed':
      return { state: { phase: 'held', confirmedAtMs: event.atMs }, effects: [] };
    case 'unreachable': {
      const { confirmedAtMs } = state;
      if (graceMs > 0 && event.atMs - confirmedAtMs > graceMs)
        return { state: ENDED, effects: [{ type: 'lose', cause: 'grace-over' }] };
      return { state: { phase: 'unconfirmed', confirmedAtMs }, effects: [] };
    }
    case 'superseded':
      return { state: ENDED, effects: [{ type: 'lose', cause: 'superseded', by: event.by }] };
    case 'givenUp':
      return {
        state: ENDED,
        effects: [{ type: 'lose', cause: 'given-up', reason: event.reason }, { type: 'giveBack' }],
      };
    case 'released':
      return { state: ENDED, effects: [{ type: 'giveBack' }] };
  }
}
