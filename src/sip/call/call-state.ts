/** WCS's states of a call, as a pure state machine. */
export type CallStatus =
  /** Queued, resolving or registering. */
  | 'PENDING'
  | 'TRYING'
  | 'RING'
  /** Ringing, with media of the other side. */
  | 'RING_MEDIA'
  | 'SESSION_PROGRESS'
  | 'ESTABLISHED'
  | 'HOLD'
  | 'FINISH'
  | 'BUSY'
  | 'FAILED';

export type CallEvent =
  | { readonly type: 'provisional'; readonly status: number; readonly hasMedia: boolean }
  /** Answered, and media flows. */
  | { readonly type: 'established' }
  | { readonly type: 'held'; readonly isHeld: boolean }
  /** @param status of the answer that ended it, if there is one; `isFailure`: neither side has hung up */
  | { readonly type: 'ended'; readonly status: number | undefined; readonly isFailure: boolean };

const OVER: ReadonlySet<CallStatus> = new Set(['FINISH', 'BUSY', 'FAILED']);
/** States before the answer only follow each other. */
const ORDER: readonly CallStatus[] = ['PENDING', 'TRYING', 'SESSION_PROGRESS', 'RING', 'RING_MEDIA'];
const BUSY = new Set([486, 600]);

export const isOver = (status: CallStatus): boolean => OVER.has(status);

/** Events that mean nothing in a state change nothing. */
export function stepCall(status: CallStatus, event: CallEvent): CallStatus {
  if (isOver(status)) return status;
  switch (event.type) {
    case 'provisional': {
      const next = provisional(event.status, event.hasMedia);
      return ORDER.includes(status) && ORDER.indexOf(next) > ORDER.indexOf(status) ? next : status;
    }
    case 'established':
      return ORDER.includes(status) ? 'ESTABLISHED' : status;
    case 'held':
      if (status === 'ESTABLISHED' && event.isHeld) return 'HOLD';
      return status === 'HOLD' && !event.isHeld ? 'ESTABLISHED' : status;
    case 'ended':
      if (!event.isFailure) return 'FINISH';
      return event.status !== undefined && BUSY.has(event.status) ? 'BUSY' : 'FAILED';
  }
}

function provisional(status: number, hasMedia: boolean): CallStatus {
  if (status === 100) return 'TRYING';
  if (hasMedia) return 'RING_MEDIA';
  return status === 180 ? 'RING' : 'SESSION_PROGRESS';
}
