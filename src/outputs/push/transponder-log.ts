import type { ErrorCode, GatewayError } from '../../errors.ts';
import type { TransponderState } from './transponder-state.ts';

/** A line of the log about a transponder. */
export interface TransponderLogLine {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly fields: {
    readonly status: string;
    readonly attempt: number;
    readonly code?: string;
    readonly reason?: string;
  };
}

/** Reasons to end that are not faults of the destination or of the gateway. */
const ORDINARY_ENDS: ReadonlySet<ErrorCode> = new Set([
  'TERMINATED',
  'STREAM_STOPPED',
  'PUBLISHER_LOST',
  'SHUTTING_DOWN',
]);

/** Why the transponder does not push at the moment, or why it has ended. */
export function failureOf(state: TransponderState): GatewayError | undefined {
  switch (state.status) {
    case 'connecting':
    case 'retrying':
      return state.lastFailure;
    case 'pushing':
      return undefined;
    case 'ended':
      return state.reason;
  }
}

/** @param hasPushed whether an earlier connection has pushed */
export function describeTransition(
  before: TransponderState,
  after: TransponderState,
  hasPushed: boolean,
): TransponderLogLine {
  const { status, attempt } = after;
  const failure = failureOf(after);
  const fields = { status, attempt, ...(failure && { code: failure.code, reason: failure.message }) };
  switch (after.status) {
    case 'connecting':
      return { level: 'info', message: 'connecting to the destination again', fields };
    case 'pushing':
      return { level: 'info', message: hasPushed ? 'pushing again' : 'pushing', fields };
    case 'retrying':
      return {
        level: 'warn',
        message: before.status === 'pushing' ? 'destination lost, will reconnect' : 'destination failed, will retry',
        fields,
      };
    case 'ended':
      return { level: ORDINARY_ENDS.has(after.reason.code) ? 'info' : 'warn', message: 'push ended', fields };
  }
}
