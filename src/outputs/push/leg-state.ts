import type { GatewayError } from '../../errors.ts';
import { backoffMs, type Backoff } from '../../runtime/async.ts';

/** The states of a leg: `idle → connecting → pushing → (retrying → connecting)* → ended`. */
export type LegState =
  /** Nothing is connected: a cold backup that is not needed. */
  | { readonly status: 'idle'; readonly attempt: 0 }
  | { readonly status: 'connecting'; readonly attempt: number; readonly lastFailure?: GatewayError }
  | { readonly status: 'pushing'; readonly attempt: number }
  | {
      readonly status: 'retrying';
      readonly attempt: number;
      readonly lastFailure: GatewayError;
      /** The next connection does not count as an attempt: the server still holds the name for the previous one. */
      readonly free: boolean;
    }
  | { readonly status: 'ended'; readonly attempt: number; readonly reason: GatewayError };

/**
 * How far a leg, or a push, has come. `pushing`: its destination receives frames. `held`: there are frames to send, and
 * the server refuses the name, which an earlier connection holds.
 */
export type PushReach = 'connecting' | 'held' | 'pushing';

export type LegEvent =
  /** An idle leg is needed. */
  | { readonly type: 'open' }
  /** The leg is no longer needed, but may be again. */
  | { readonly type: 'close' }
  /** The destination has accepted the publish and taken media. */
  | { readonly type: 'progress' }
  /** It has pushed without interruption for {@link STEADY_AFTER_MS}. */
  | { readonly type: 'steady' }
  /**
   * The connection was lost, or could not be made. `nameHeld`: the server holds the name for a connection of this leg
   * that was lost a moment ago.
   */
  | { readonly type: 'failed'; readonly error: GatewayError; readonly nameHeld: boolean }
  /** The connection cannot carry what follows; a new one can. */
  | { readonly type: 'renew' }
  /** A replacement, which the server has asked for, pushes. */
  | { readonly type: 'replaced' }
  /** The connection was lost while its replacement was being made. */
  | { readonly type: 'overtaken' }
  /** The delay before the next attempt is over. */
  | { readonly type: 'retry' }
  /** The push has ended. */
  | { readonly type: 'stop'; readonly reason: GatewayError };

export type LegEffect =
  | 'connect'
  | 'disconnect'
  /** Close the connection and go on with its replacement. */
  | 'adopt'
  | 'watch-steadiness'
  | 'schedule-retry'
  | 'cancel-timers'
  | 'finish';

export interface LegTransition {
  readonly state: LegState;
  readonly effects: readonly LegEffect[];
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

/**
 * How long a server may hold the name of a connection that was lost before its refusals count as attempts: servers that
 * wait for TCP need minutes.
 */
export const NAME_HELD_MS = 300_000;

/** Longest time between attempts to get a name back that the server still holds, in milliseconds. */
const NAME_RETRY_MS = 5000;

export const IDLE: LegState = { status: 'idle', attempt: 0 };
export const CONNECTING: LegState = { status: 'connecting', attempt: 0 };

const STAY: readonly LegEffect[] = [];

/**
 * The next state and its effects; `undefined` for an event that cannot happen in this state. `attempt` counts
 * reconnects since pushing was last steady.
 */
export function transition(state: LegState, event: LegEvent, rules: RetryRules): LegTransition | undefined {
  switch (state.status) {
    case 'idle':
      switch (event.type) {
        case 'open':
          return { state: { ...CONNECTING }, effects: ['connect'] };
        case 'close':
          return { state, effects: STAY };
        case 'stop':
          return end(state, event.reason);
        default:
          return undefined;
      }
    case 'connecting':
    case 'pushing':
      return transitionOpen(state, event, rules);
    case 'retrying':
      switch (event.type) {
        case 'retry':
          return {
            state: {
              status: 'connecting',
              attempt: state.attempt + (state.free ? 0 : 1),
              lastFailure: state.lastFailure,
            },
            effects: ['connect'],
          };
        case 'open':
          return { state, effects: STAY };
        case 'close':
          return { state: IDLE, effects: ['cancel-timers', 'disconnect'] };
        case 'stop':
          return end(state, event.reason);
        default:
          return undefined;
      }
    case 'ended':
      // Stopping twice is allowed. Any other event would mean that something outlived its leg.
      return event.type === 'stop' ? { state, effects: STAY } : undefined;
  }
}

function transitionOpen(
  state: Extract<LegState, { status: 'connecting' | 'pushing' }>,
  event: LegEvent,
  rules: RetryRules,
): LegTransition | undefined {
  const isPushing = state.status === 'pushing';
  switch (event.type) {
    case 'open':
      return { state, effects: STAY };
    case 'close':
      return { state: IDLE, effects: ['cancel-timers', 'disconnect'] };
    case 'progress':
      return isPushing
        ? { state, effects: STAY }
        : { state: { status: 'pushing', attempt: state.attempt }, effects: ['watch-steadiness'] };
    case 'steady':
      return isPushing ? { state: { status: 'pushing', attempt: 0 }, effects: STAY } : undefined;
    case 'renew':
      return {
        state: { status: 'connecting', attempt: state.attempt },
        effects: ['cancel-timers', 'disconnect', 'connect'],
      };
    case 'replaced':
      return isPushing ? { state, effects: ['adopt'] } : undefined;
    case 'overtaken':
      return isPushing
        ? { state: { status: 'connecting', attempt: state.attempt }, effects: ['cancel-timers', 'adopt'] }
        : undefined;
    case 'failed': {
      const { error, nameHeld } = event;
      const isRetried = nameHeld || (rules.enabled && error.retryable && state.attempt < rules.attempts);
      return isRetried
        ? {
            state: { status: 'retrying', attempt: state.attempt, lastFailure: error, free: nameHeld },
            effects: ['cancel-timers', 'disconnect', 'schedule-retry'],
          }
        : end(state, error);
    }
    case 'retry':
      return undefined;
    case 'stop':
      return end(state, event.reason);
  }
}

const end = ({ attempt }: LegState, reason: GatewayError): LegTransition => ({
  state: { status: 'ended', attempt, reason },
  effects: ['cancel-timers', 'disconnect', 'finish'],
});

/** Why a leg in this state does not push. */
export function failureOf(state: LegState): GatewayError | undefined {
  switch (state.status) {
    case 'connecting':
    case 'retrying':
      return state.lastFailure;
    case 'idle':
    case 'pushing':
      return undefined;
    case 'ended':
      return state.reason;
  }
}

/** How long a leg in this state waits before it connects again. @param random from 0 to 1 */
export function retryDelayMs(state: LegState, backoff: Backoff, random: number): number {
  const delayMs = backoffMs(backoff, state.attempt, random);
  return state.status === 'retrying' && state.free ? Math.min(delayMs, NAME_RETRY_MS) : delayMs;
}

/**
 * How far a leg in this state has come; `undefined`: it is idle, or has ended.
 *
 * @param media whether there are frames to send, and whether the connection sends them
 */
export function reachOf(
  state: LegState,
  media: { readonly canSend: boolean; readonly sends: boolean },
): PushReach | undefined {
  switch (state.status) {
    case 'idle':
    case 'ended':
      return undefined;
    case 'retrying':
      return state.free && media.canSend ? 'held' : 'connecting';
    case 'connecting':
      return 'connecting';
    case 'pushing':
      return media.sends ? 'pushing' : 'connecting';
  }
}
