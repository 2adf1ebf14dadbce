import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import {
  INITIAL_STATE,
  transition,
  type TransponderEvent,
  type TransponderState,
} from '../../../../src/outputs/push/transponder-state.ts';

const lost = new GatewayError('DESTINATION_LOST', 'lost');
const refused = new GatewayError('DESTINATION_REFUSED', 'refused');
const stopped = new GatewayError('TERMINATED', 'stopped');

const states = {
  connecting: { status: 'connecting', attempt: 1 },
  pushing: { status: 'pushing', attempt: 1 },
  retrying: { status: 'retrying', attempt: 1, lastFailure: lost },
  ended: { status: 'ended', attempt: 1, reason: stopped },
} satisfies Record<string, TransponderState>;

const events = {
  progress: { type: 'progress' },
  steady: { type: 'steady' },
  lost: { type: 'failed', error: lost },
  refused: { type: 'failed', error: refused },
  renew: { type: 'renew' },
  retry: { type: 'retry' },
  stop: { type: 'stop', reason: stopped },
} satisfies Record<string, TransponderEvent>;

/** Every pair of state and event: the status and attempt that follow, then the effects; `invalid` where it cannot happen. */
const withRestore: Record<keyof typeof states, Record<keyof typeof events, string>> = {
  connecting: {
    progress: 'pushing 1: watch-steadiness',
    steady: 'invalid',
    lost: 'retrying 1: cancel-timers disconnect schedule-retry',
    refused: 'ended 1: cancel-timers disconnect finish',
    renew: 'connecting 1: cancel-timers disconnect connect',
    retry: 'invalid',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  pushing: {
    progress: 'pushing 1:',
    steady: 'pushing 0:',
    lost: 'retrying 1: cancel-timers disconnect schedule-retry',
    refused: 'ended 1: cancel-timers disconnect finish',
    renew: 'connecting 1: cancel-timers disconnect connect',
    retry: 'invalid',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  retrying: {
    progress: 'invalid',
    steady: 'invalid',
    lost: 'invalid',
    refused: 'invalid',
    renew: 'invalid',
    retry: 'connecting 2: connect',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  ended: {
    progress: 'invalid',
    steady: 'invalid',
    lost: 'invalid',
    refused: 'invalid',
    renew: 'invalid',
    retry: 'invalid',
    stop: 'ended 1:',
  },
};

function outcome(
  state: TransponderState,
  event: TransponderEvent,
  rules: { enabled: boolean; attempts: number },
): string {
  const next = transition(state, event, rules);
  return next ? `${next.state.status} ${next.state.attempt}: ${next.effects.join(' ')}`.trim() : 'invalid';
}

t.test('every pair of state and event, with rtmp_push_restore', async (t) => {
  for (const [status, row] of Object.entries(withRestore)) {
    for (const [event, expected] of Object.entries(row)) {
      t.equal(
        outcome(states[status as keyof typeof states], events[event as keyof typeof events], {
          enabled: true,
          attempts: 3,
        }),
        expected,
        `${status} + ${event}`,
      );
    }
  }
});

t.test('without rtmp_push_restore every failure ends it', async (t) => {
  for (const status of ['connecting', 'pushing'] as const) {
    t.equal(
      outcome(states[status], events.lost, { enabled: false, attempts: 3 }),
      'ended 1: cancel-timers disconnect finish',
    );
  }
});

t.test('the number of consecutive reconnects is limited', async (t) => {
  const rules = { enabled: true, attempts: 3 };
  let state: TransponderState = INITIAL_STATE;
  let connections = 1;
  for (; state.status !== 'ended';) {
    state = transition(state, events.lost, rules)!.state;
    if (state.status !== 'retrying') break;
    state = transition(state, events.retry, rules)!.state;
    connections++;
  }
  t.equal(connections, 4, 'the first connection and three reconnects');
  t.match(state, { status: 'ended', reason: lost });
});

t.test('a server that accepts and drops does not reset the counter; steady pushing does', async (t) => {
  const rules = { enabled: true, attempts: 1 };
  const second = transition({ status: 'retrying', attempt: 0, lastFailure: lost }, events.retry, rules)!.state;
  const pushing = transition(second, events.progress, rules)!.state;
  t.match(transition(pushing, events.lost, rules)!.state, { status: 'ended' });
  const steady = transition(pushing, events.steady, rules)!.state;
  t.match(transition(steady, events.lost, rules)!.state, { status: 'retrying', attempt: 0 });
});

t.test('stopping twice keeps the first reason', async (t) => {
  const again = transition(states.ended, { type: 'stop', reason: lost }, { enabled: true, attempts: 1 })!;
  t.equal(again.state, states.ended);
});
