import type { GatewayError } from '../../errors.ts';
import type { LegState, PushReach } from './leg-state.ts';
import type { LegName } from '../../views/push-view.ts';

/** When the backup leg is connected. `hot`: always. `cold`: while the primary leg is lost. */
export type BackupMode = 'hot' | 'cold';

/** Which of its legs a transponder uses. */
export type TransponderState =
  /** There is no backup, or it cannot go on. */
  | { readonly phase: 'primary' }
  /** The primary pushes; a cold backup is closed. */
  | { readonly phase: 'guarded' }
  /** The primary does not push; a cold backup is opened unless it pushes soon. */
  | { readonly phase: 'waiting' }
  /** Both legs are open. */
  | { readonly phase: 'both' }
  /** The primary cannot go on. */
  | { readonly phase: 'backup' }
  | { readonly phase: 'ended'; readonly reason: GatewayError };

export type TransponderEvent =
  /** The primary leg pushes. */
  | { readonly type: 'primary-up' }
  /** The primary leg is lost and connects again. */
  | { readonly type: 'primary-down' }
  /** The primary leg has pushed without interruption for a while. */
  | { readonly type: 'primary-steady' }
  /** The primary leg cannot go on. */
  | { readonly type: 'primary-over'; readonly reason: GatewayError }
  /** The backup leg cannot go on. */
  | { readonly type: 'backup-over'; readonly reason: GatewayError }
  /** The primary leg has not pushed for `backupAfterMs`. */
  | { readonly type: 'overdue' }
  /** A client ended the push, or the stream has ended. */
  | { readonly type: 'stop'; readonly reason: GatewayError };

export type TransponderEffect =
  'open-backup' | 'close-backup' | 'start-delay' | 'cancel-delay' | 'stop-legs' | 'finish';

export interface TransponderTransition {
  readonly state: TransponderState;
  readonly effects: readonly TransponderEffect[];
}

/** The first state, with the effects that lead to it. The primary leg is connected in any case. */
export function initialState(mode: BackupMode | undefined): TransponderTransition {
  switch (mode) {
    case undefined:
      return { state: { phase: 'primary' }, effects: [] };
    case 'hot':
      return { state: { phase: 'both' }, effects: ['open-backup'] };
    case 'cold':
      return { state: { phase: 'waiting' }, effects: ['start-delay'] };
  }
}

/**
 * The next state and its effects; `undefined` for an event that cannot happen in this state. A transponder ends when
 * none of its legs can go on.
 *
 * @param mode `undefined`: there is no backup
 */
export function transition(
  state: TransponderState,
  event: TransponderEvent,
  mode: BackupMode | undefined,
): TransponderTransition | undefined {
  const stay: TransponderTransition = { state, effects: [] };
  if (state.phase === 'ended') return event.type === 'stop' ? stay : undefined;
  if (event.type === 'stop')
    return {
      state: { phase: 'ended', reason: event.reason },
      effects: [...(state.phase === 'waiting' ? (['cancel-delay'] as const) : []), 'stop-legs', 'finish'],
    };
  switch (state.phase) {
    case 'primary':
      switch (event.type) {
        case 'primary-over':
          return over(event.reason);
        case 'backup-over':
        case 'overdue':
          return undefined;
        default:
          return stay;
      }
    case 'guarded':
      switch (event.type) {
        case 'primary-down':
          return { state: { phase: 'waiting' }, effects: ['start-delay'] };
        case 'primary-over':
          return { state: { phase: 'backup' }, effects: ['open-backup'] };
        case 'backup-over':
        case 'overdue':
          return undefined;
        default:
          return stay;
      }
    case 'waiting':
      switch (event.type) {
        case 'primary-up':
          return { state: { phase: 'guarded' }, effects: ['cancel-delay'] };
        case 'primary-down':
          return stay;
        case 'overdue':
          return { state: { phase: 'both' }, effects: ['open-backup'] };
        case 'primary-over':
          return { state: { phase: 'backup' }, effects: ['cancel-delay', 'open-backup'] };
        case 'primary-steady':
        case 'backup-over':
          return undefined;
      }
      break;
    case 'both':
      switch (event.type) {
        // Not earlier: a primary that comes and goes would make viewers of the backup lose it each time.
        case 'primary-steady':
          return mode === 'cold' ? { state: { phase: 'guarded' }, effects: ['close-backup'] } : stay;
        case 'primary-over':
          return { state: { phase: 'backup' }, effects: [] };
        case 'backup-over':
          return { state: { phase: 'primary' }, effects: [] };
        case 'overdue':
          return undefined;
        default:
          return stay;
      }
    case 'backup':
      return event.type === 'backup-over' ? over(event.reason) : undefined;
  }
}

const over = (reason: GatewayError): TransponderTransition => ({
  state: { phase: 'ended', reason },
  effects: ['finish'],
});

/** The statuses of a leg from the best to the worst. */
const RANKS = ['pushing', 'connecting', 'retrying', 'idle', 'ended'] as const satisfies LegState['status'][];

/** The leg whose state is that of the whole push: one that pushes, if any does; otherwise the one that comes closest. */
export function leading<T extends { readonly status: LegState['status'] }>(legs: readonly [T, ...T[]]): T {
  return legs.reduce((best, leg) => (RANKS.indexOf(leg.status) < RANKS.indexOf(best.status) ? leg : best));
}

/** The status of a push in this state. */
export function statusOf(
  state: TransponderState,
  legs: readonly [{ readonly status: LegState['status'] }, ...{ readonly status: LegState['status'] }[]],
): Exclude<LegState['status'], 'idle'> {
  if (state.phase === 'ended') return 'ended';
  const { status } = leading(legs);
  // The leg that goes on next has not begun yet.
  return status === 'idle' || status === 'ended' ? 'connecting' : status;
}

/** How far the legs that are in use have come; `undefined`: the push has ended. */
export function reachOf(
  state: TransponderState,
  legs: readonly { readonly reach: PushReach | undefined }[],
): PushReach | undefined {
  if (state.phase === 'ended') return undefined;
  const reaches = legs.map(({ reach }) => reach).filter((reach) => reach !== undefined);
  if (reaches.length === 0 || reaches.includes('connecting')) return 'connecting';
  return reaches.includes('held') ? 'held' : 'pushing';
}

/** What a change of a leg means for the transponder. */
export function eventOf(name: LegName, state: LegState): TransponderEvent | undefined {
  if (state.status === 'ended')
    return { type: name === 'primary' ? 'primary-over' : 'backup-over', reason: state.reason };
  if (name === 'backup') return undefined;
  return { type: state.status === 'pushing' ? 'primary-up' : 'primary-down' };
}
