import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import {
  nextRecorderState,
  type RecorderEffect,
  type RecorderEvent,
  type RecorderState,
} from '../../../../src/outputs/record/recorder-state.ts';

const error = new GatewayError('DISK_FULL', 'full');
const reason = new GatewayError('STREAM_STOPPED', 'stopped');
const waiting: RecorderState = { status: 'waiting' };
const recording: RecorderState = { status: 'recording' };
const ended: RecorderState = { status: 'ended', reason, failed: false };
const stopped: RecorderState = { status: 'ended', reason, failed: false };
const failed: RecorderState = { status: 'ended', reason: error, failed: true };
const EVENTS: Record<RecorderEvent['type'], RecorderEvent> = {
  media: { type: 'media' },
  split: { type: 'split' },
  failed: { type: 'failed', error },
  stop: { type: 'stop', reason },
};

const TABLE: readonly (readonly [RecorderState, RecorderEvent['type'], RecorderState, readonly RecorderEffect[]])[] = [
  [waiting, 'media', recording, ['open']],
  [waiting, 'split', waiting, []],
  [waiting, 'failed', failed, ['finish']],
  [waiting, 'stop', stopped, ['finish']],
  [recording, 'media', recording, []],
  [recording, 'split', waiting, ['close']],
  [recording, 'failed', failed, ['close', 'finish']],
  [recording, 'stop', stopped, ['close', 'finish']],
  [ended, 'media', ended, []],
  [ended, 'split', ended, []],
  [ended, 'failed', ended, []],
  [ended, 'stop', ended, []],
];

for (const [state, event, next, effects] of TABLE)
  await t.test(`${state.status} and ${event}`, async (t) =>
    t.strictSame(nextRecorderState(state, EVENTS[event]), { state: next, effects }),
  );
