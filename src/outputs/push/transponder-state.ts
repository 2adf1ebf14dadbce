import type { GatewayError } from '../../errors.ts';

/** The states of a transponder: `connecting → pushing → (retrying → connecting)* → ended`. */
export type TransponderState =
  | { readonly status: 'connecting'; readonly attempt: number; readonly lastFailure?: GatewayError }
  | { readonly status: 'pushing'; readonly attempt: number }
  | { readonly status: 'retrying'; readonly attempt: number; readonly lastFailure: GatewayError }
  | { readonly status: 'ended'; readonly attempt: number; readonly reason: GatewayError };

export type TransponderEvent =
  /** The destination has accepted the publish and taken media. */
  | { readonly type: 'progress' }
  /** It has pushed without interruption for {@link STEADY_AFTER_MS}. */
  | { readonly type: 'steady' }
  /** The connection was lost, or could not be made. */
  | { readonly type: 'failed'; readonly error: GatewayError }
  /** The connection cannot carry what follows; a new one can. */
  | { readonly type: 'renew' }
  /** The delay before the next attempt is over. */
  | { readonly type: 'retry' }
  /** A client ended the push, or the stream has ended. */
  | { readonly type: 'stop'; readonly reason: GatewayError };

export type TransponderEffect =
  'connect' | 'disconnect' | 'watch-steadiness' | 'schedule-retry' | 'cancel-timers' | 'finish';

export interface Transition {
  readonly state: TransponderState;
  readonly effects: readonly TransponderEffect[];
}

export interface RetryRules {
  /** `rtmp_push_restore` */
  readonly enabled: boolean;
  /** `rtmp_push_restore_attempts`: reconnects in a row. */
  readonly attempts: number;
}

/**
 * How long it must push before attempts are counted from 0 again. A server that accepts and drops connections must not
 * be flooded with them.
 */
export const STEADY_AFTER_MS = 30_000;

export const INITIAL_STATE: TransponderState = { status: 'connecting', attempt: 0 };

const STAY: readonly TransponderEffect[] = [];

/**
 * The next state and its effects; `undefined` for an event that cannot happen in this state. `attempt` counts
 * reconnects since pushing was last steady.
 */
export function transition(
  state: TransponderState,
  event: TransponderEvent,
  rules: RetryRules,
): Transition | undefined {
  switch (state.status) {
    case 'connecting':
    case 'pushing':
      switch (event.type) {
        case 'progress':
          return state.status === 'pushing'
            ? { state, effects: STAY }
            : { state: { status: 'pushing', attempt: state.attempt }, effects: ['watch-steadiness'] };
        case 'steady':
          return state.status === 'pushing' ? { state: { status: 'pushing', attempt: 0 }, effects: STAY } : undefined;
        case 'renew':
          return {
            state: { status: 'connecting', attempt: state.attempt },
            effects: ['cancel-timers', 'disconnect', 'connect'],
          };
        case 'failed':
          return rules.enabled && event.error.retryable && state.attempt < rules.attempts
            ? {
                state: { status: 'retrying', attempt: state.attempt, lastFailure: event.error },
                effects: ['cancel-timers', 'disconnect', 'schedule-retry'],
              }
            : end(state, event.error);
        case 'retry':
          return undefined;
        case 'stop':
          return end(state, event.reason);
      }
      break;
    case 'retrying':
      switch (event.type) {
        case 'retry':
          return {
            state: { status: 'connecting', attempt: state.attempt + 1, lastFailure: state.lastFailure },
            effects: ['connect'],
          };
        case 'stop':
          return end(state, event.reason);
        case 'progress':
        case 'steady':
        case 'renew':
        case 'failed':
          return undefined;
      }
      break;
    case 'ended':
      // Stopping twice is allowed. Any other event would mean that something outlived its transponder.
      return event.type === 'stop' ? { state, effects: STAY } : undefined;
  }
}

const end = ({ attempt }: TransponderState, reason: GatewayError): Transition => ({
  state: { status: 'ended', attempt, reason },
  effects: ['cancel-timers', 'disconnect', 'finish'],
});
