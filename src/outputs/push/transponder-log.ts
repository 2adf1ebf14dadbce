import type { ErrorCode, GatewayError } from '../../errors.ts';
import { failureOf, type LegState } from './leg-state.ts';

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

/**
 * @param hasPushed whether an earlier connection has pushed
 * @param isOneOfTwo whether there is another leg; the end of the only one is the end of the push
 */
export function describeLeg(
  before: LegState,
  after: LegState,
  hasPushed: boolean,
  isOneOfTwo: boolean,
): TransponderLogLine | undefined {
  const { status, attempt } = after;
  const failure = failureOf(after);
  const fields = { status, attempt, ...reasonOf(failure) };
  switch (after.status) {
    case 'idle':
      return { level: 'info', message: 'backup closed: the primary pushes steadily', fields };
    case 'connecting':
      return {
        level: 'info',
        message: before.status === 'idle' ? 'connecting to the backup' : 'connecting to the destination again',
        fields,
      };
    case 'pushing':
      return { level: 'info', message: hasPushed ? 'pushing again' : 'pushing', fields };
    case 'retrying':
      return {
        level: 'warn',
        message: before.status === 'pushing' ? 'destination lost, will reconnect' : 'destination failed, will retry',
        fields,
      };
    case 'ended':
      return isOneOfTwo ? { level: 'warn', message: 'this leg cannot go on', fields } : undefined;
  }
}

export const describeEnd = (reason: GatewayError, attempt: number): TransponderLogLine => ({
  level: ORDINARY_ENDS.has(reason.code) ? 'info' : 'warn',
  message: 'push ended',
  fields: { status: 'ended', attempt, ...reasonOf(reason) },
});

const reasonOf = (failure: GatewayError | undefined): { code?: string; reason?: string } =>
  failure ? { code: failure.code, reason: failure.message } : {};
