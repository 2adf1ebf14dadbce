import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import {
  CONNECTING,
  reachOf,
  retryDelayMs,
  transition,
  type LegEvent,
  type LegState,
} from '../../../../src/outputs/push/leg-state.ts';

const lost = new GatewayError('DESTINATION_LOST', 'lost');
const refused = new GatewayError('DESTINATION_REFUSED', 'refused');
const stopped = new GatewayError('TERMINATED', 'stopped');

const states = {
  idle: { status: 'idle', attempt: 0 },
  connecting: { status: 'connecting', attempt: 1 },
  pushing: { status: 'pushing', attempt: 1 },
  retrying: { status: 'retrying', attempt: 1, lastFailure: lost, free: false },
  ended: { status: 'ended', attempt: 1, reason: stopped },
} satisfies Record<string, LegState>;

const events = {
  open: { type: 'open' },
  close: { type: 'close' },
  progress: { type: 'progress' },
  steady: { type: 'steady' },
  lost: { type: 'failed', error: lost, nameHeld: false },
  refused: { type: 'failed', error: refused, nameHeld: false },
  held: { type: 'failed', error: lost, nameHeld: true },
  renew: { type: 'renew' },
  replaced: { type: 'replaced' },
  overtaken: { type: 'overtaken' },
  retry: { type: 'retry' },
  stop: { type: 'stop', reason: stopped },
} satisfies Record<string, LegEvent>;

/** Every pair of state and event: the status and attempt that follow, then the effects; `invalid` where it cannot happen. */
const withRestore: Record<keyof typeof states, Record<keyof typeof events, string>> = {
  idle: {
    open: 'connecting 0: connect',
    close: 'idle 0:',
    held: 'invalid',
    replaced: 'invalid',
    overtaken: 'invalid',
    progress: 'invalid',
    steady: 'invalid',
    lost: 'invalid',
    refused: 'invalid',
    renew: 'invalid',
    retry: 'invalid',
    stop: 'ended 0: cancel-timers disconnect finish',
  },
  connecting: {
    open: 'connecting 1:',
    close: 'idle 0: cancel-timers disconnect',
    held: 'retrying 1: cancel-timers disconnect schedule-retry',
    replaced: 'invalid',
    overtaken: 'invalid',
    progress: 'pushing 1: watch-steadiness',
    steady: 'invalid',
    lost: 'retrying 1: cancel-timers disconnect schedule-retry',
    refused: 'ended 1: cancel-timers disconnect finish',
    renew: 'connecting 1: cancel-timers disconnect connect',
    retry: 'invalid',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  pushing: {
    open: 'pushing 1:',
    close: 'idle 0: cancel-timers disconnect',
    held: 'retrying 1: cancel-timers disconnect schedule-retry',
    replaced: 'pushing 1: adopt',
    overtaken: 'connecting 1: cancel-timers adopt',
    progress: 'pushing 1:',
    steady: 'pushing 0:',
    lost: 'retrying 1: cancel-timers disconnect schedule-retry',
    refused: 'ended 1: cancel-timers disconnect finish',
    renew: 'connecting 1: cancel-timers disconnect connect',
    retry: 'invalid',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  retrying: {
    open: 'retrying 1:',
    close: 'idle 0: cancel-timers disconnect',
    held: 'invalid',
    replaced: 'invalid',
    overtaken: 'invalid',
    progress: 'invalid',
    steady: 'invalid',
    lost: 'invalid',
    refused: 'invalid',
    renew: 'invalid',
    retry: 'connecting 2: connect',
    stop: 'ended 1: cancel-timers disconnect finish',
  },
  ended: {
    open: 'invalid',
    close: 'invalid',
    held: 'invalid',
    replaced: 'invalid',
    overtaken: 'invalid',
    progress: 'invalid',
    steady: 'invalid',
    lost: 'invalid',
    refused: 'invalid',
    renew: 'invalid',
    retry: 'invalid',
    stop: 'ended 1:',
  },
};

function outcome(state: LegState, event: LegEvent, rules: { enabled: boolean; attempts: number }): string {
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
  let state: LegState = CONNECTING;
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
  const second = transition(
    { status: 'retrying', attempt: 0, lastFailure: lost, free: false },
    events.retry,
    rules,
  )!.state;
  const pushing = transition(second, events.progress, rules)!.state;
  t.match(transition(pushing, events.lost, rules)!.state, { status: 'ended' });
  const steady = transition(pushing, events.steady, rules)!.state;
  t.match(transition(steady, events.lost, rules)!.state, { status: 'retrying', attempt: 0 });
});

t.test('stopping twice keeps the first reason', async (t) => {
  const again = transition(states.ended, { type: 'stop', reason: lost }, { enabled: true, attempts: 1 })!;
  t.equal(again.state, states.ended);
});

t.test(
  'a name that the server still holds is tried again without counting, even without rtmp_push_restore',
  async (t) => {
    const rules = { enabled: false, attempts: 0 };
    let state: LegState = { status: 'connecting', attempt: 1 };
    for (let i = 0; i < 10; i++) {
      state = transition(state, events.held, rules)!.state;
      state = transition(state, events.retry, rules)!.state;
    }
    t.match(state, { status: 'connecting', attempt: 1 });
    t.match(transition(state, events.lost, rules)!.state, { status: 'ended' });
  },
);

const held = { ...states.retrying, free: true };

t.test('attempts to get a name back that the server holds come at least every five seconds', async (t) => {
  const backoff = { intervalMs: 20_000, capMs: 60_000 };
  t.equal(retryDelayMs(states.retrying, backoff, 1), 40_000);
  t.equal(retryDelayMs(held, backoff, 1), 5000);
  t.equal(retryDelayMs(held, { intervalMs: 100, capMs: 0 }, 1), 100);
});

t.test('a leg has come as far as its frames', async (t) => {
  const media = { canSend: true, sends: true };
  const none = { canSend: false, sends: false };
  t.strictSame(Object.fromEntries(Object.entries(states).map(([name, state]) => [name, reachOf(state, media)])), {
    idle: undefined,
    connecting: 'connecting',
    pushing: 'pushing',
    retrying: 'connecting',
    ended: undefined,
  });
  t.equal(reachOf(held, media), 'held');
  t.equal(reachOf(held, none), 'connecting');
  t.equal(reachOf(states.pushing, none), 'connecting');
});
