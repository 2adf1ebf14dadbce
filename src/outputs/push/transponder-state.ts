import type { GatewayError } from '../../errors.ts';

/**
 * The life of a transponder as a pure function: `connecting → pushing → (retrying → connecting)* → ended`
 * (rest-push.md, "State of a transponder").
 */
export type TransponderState =
  | { readonly status: 'connecting'; readonly attempt: number; readonly lastFailure?: GatewayError }
  | { readonly status: 'pushing'; readonly attempt: number }
  | { readonly status: 'retrying'; readonly attempt: number; readonly lastFailure: GatewayError }
  | { readonly status: 'ended'; readonly attempt: number; readonly reason: GatewayError };

export type TransponderEvent =
  /** The destination has accepted the publish and taken media. */
  | { readonly type: 'progress' }
  /** It has been pushing without a break for long enough. */
  | { readonly type: 'steady' }
  /** The connection, or the attempt to make one, is over. */
  | { readonly type: 'failed'; readonly error: GatewayError }
  /** The connection is well, but cannot carry what comes now: another one can. */
  | { readonly type: 'renew' }
  /** The time before the next attempt is over. */
  | { readonly type: 'retry' }
  /** It shall end: somebody asked for it, or the stream is over. */
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

/** How long it must push before its attempts count from 0 again: a server that accepts and drops must not be stormed. */
export const STEADY_AFTER_MS = 30_000;

export const INITIAL_STATE: TransponderState = { status: 'connecting', attempt: 0 };

const STAY: readonly TransponderEffect[] = [];

/** What follows from an event; `undefined` if it cannot happen in that state. `attempt` counts reconnects since pushing was last steady. */
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
      // Being stopped twice is no mistake; anything else would mean that something outlived its transponder.
      return event.type === 'stop' ? { state, effects: STAY } : undefined;
  }
}

const end = ({ attempt }: TransponderState, reason: GatewayError): Transition => ({
  state: { status: 'ended', attempt, reason },
  effects: ['cancel-timers', 'disconnect', 'finish'],
});
