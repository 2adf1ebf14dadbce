import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import {
  initialState,
  leading,
  reachOf,
  statusOf,
  transition,
  type BackupMode,
  type TransponderEvent,
  type TransponderState,
} from '../../../../src/outputs/push/transponder-state.ts';

const refused = new GatewayError('DESTINATION_REFUSED', 'refused');
const stopped = new GatewayError('TERMINATED', 'stopped');

const states = {
  primary: { phase: 'primary' },
  guarded: { phase: 'guarded' },
  waiting: { phase: 'waiting' },
  both: { phase: 'both' },
  backup: { phase: 'backup' },
  ended: { phase: 'ended', reason: stopped },
} satisfies Record<string, TransponderState>;

const events = {
  up: { type: 'primary-up' },
  down: { type: 'primary-down' },
  steady: { type: 'primary-steady' },
  primaryOver: { type: 'primary-over', reason: refused },
  backupOver: { type: 'backup-over', reason: refused },
  overdue: { type: 'overdue' },
  stop: { type: 'stop', reason: stopped },
} satisfies Record<string, TransponderEvent>;

/** Every pair of state and event with a cold backup: the phase that follows, then the effects; `invalid` where it cannot happen. */
const cold: Record<keyof typeof states, Record<keyof typeof events, string>> = {
  primary: {
    up: 'primary:',
    down: 'primary:',
    steady: 'primary:',
    primaryOver: 'ended: finish',
    backupOver: 'invalid',
    overdue: 'invalid',
    stop: 'ended: stop-legs finish',
  },
  guarded: {
    up: 'guarded:',
    down: 'waiting: start-delay',
    steady: 'guarded:',
    primaryOver: 'backup: open-backup',
    backupOver: 'invalid',
    overdue: 'invalid',
    stop: 'ended: stop-legs finish',
  },
  waiting: {
    up: 'guarded: cancel-delay',
    down: 'waiting:',
    steady: 'invalid',
    primaryOver: 'backup: cancel-delay open-backup',
    backupOver: 'invalid',
    overdue: 'both: open-backup',
    stop: 'ended: cancel-delay stop-legs finish',
  },
  both: {
    up: 'both:',
    down: 'both:',
    steady: 'guarded: close-backup',
    primaryOver: 'backup:',
    backupOver: 'primary:',
    overdue: 'invalid',
    stop: 'ended: stop-legs finish',
  },
  backup: {
    up: 'invalid',
    down: 'invalid',
    steady: 'invalid',
    primaryOver: 'invalid',
    backupOver: 'ended: finish',
    overdue: 'invalid',
    stop: 'ended: stop-legs finish',
  },
  ended: {
    up: 'invalid',
    down: 'invalid',
    steady: 'invalid',
    primaryOver: 'invalid',
    backupOver: 'invalid',
    overdue: 'invalid',
    stop: 'ended:',
  },
};

function outcome(state: TransponderState, event: TransponderEvent, mode?: BackupMode): string {
  const next = transition(state, event, mode);
  return next ? `${next.state.phase}: ${next.effects.join(' ')}`.trim() : 'invalid';
}

t.test('every pair of state and event', async (t) => {
  for (const [phase, row] of Object.entries(cold))
    for (const [event, expected] of Object.entries(row)) {
      const pair = [states[phase as keyof typeof states], events[event as keyof typeof events]] as const;
      t.equal(outcome(...pair, 'cold'), expected, `cold: ${phase} + ${event}`);
      // A hot backup stays open when the primary is steady; everything else is the same.
      const hot = phase === 'both' && event === 'steady' ? 'both:' : expected;
      t.equal(outcome(...pair, 'hot'), hot, `hot: ${phase} + ${event}`);
    }
});

t.test('the first state', async (t) => {
  t.match(initialState(undefined), { state: { phase: 'primary' }, effects: [] });
  t.match(initialState('hot'), { state: { phase: 'both' }, effects: ['open-backup'] });
  t.match(initialState('cold'), { state: { phase: 'waiting' }, effects: ['start-delay'] }, 'it may never connect');
});

t.test('it ends with the reason of the leg that was the last', async (t) => {
  const lost = new GatewayError('DESTINATION_LOST', 'lost');
  const half = transition(states.both, events.primaryOver, 'hot')!.state;
  t.match(transition(half, { type: 'backup-over', reason: lost }, 'hot'), { state: { phase: 'ended', reason: lost } });
  const stop = transition(states.ended, { type: 'stop', reason: lost }, 'hot')!;
  t.equal(stop.state, states.ended, 'stopping twice keeps the first reason');
});

t.test('the status of the push is that of its best leg, and of the primary when both are the same', async (t) => {
  const best = (...statuses: ('idle' | 'connecting' | 'pushing' | 'retrying' | 'ended')[]) => {
    const legs = statuses.map((status, index) => ({ status, index }));
    return legs.indexOf(leading(legs as [(typeof legs)[0], ...typeof legs]));
  };
  t.equal(best('retrying', 'pushing'), 1);
  t.equal(best('pushing', 'pushing'), 0);
  t.equal(best('retrying', 'idle'), 0);
  t.equal(best('ended', 'retrying'), 1);
  t.equal(best('connecting', 'retrying'), 0);
  t.equal(best('ended', 'ended'), 0);
});

const running = { phase: 'both' } as const;
const over = { phase: 'ended', reason: new GatewayError('TERMINATED', 'stopped') } as const;

t.test('the status of a push is that of its best leg, and never that of one which does not go on', async (t) => {
  const status = (...legs: ('idle' | 'connecting' | 'pushing' | 'retrying' | 'ended')[]) =>
    statusOf(running, legs.map((each) => ({ status: each })) as unknown as Parameters<typeof statusOf>[1]);
  t.equal(status('retrying', 'pushing'), 'pushing');
  t.equal(status('retrying', 'connecting'), 'connecting');
  t.equal(status('ended', 'idle'), 'connecting');
  t.equal(statusOf(over, [{ status: 'pushing' }]), 'ended');
});

t.test('a push has come as far as all of its legs that are in use', async (t) => {
  const reach = (...legs: ('connecting' | 'held' | 'pushing' | undefined)[]) =>
    reachOf(
      running,
      legs.map((each) => ({ reach: each })),
    );
  t.equal(reach('pushing', undefined), 'pushing');
  t.equal(reach('pushing', 'held'), 'held');
  t.equal(reach('pushing', 'connecting'), 'connecting');
  t.equal(reach(undefined, undefined), 'connecting');
  t.equal(reachOf(over, [{ reach: 'pushing' }]), undefined);
});
