import { mock } from 'node:test';
import t from 'tap';
import type { Test } from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Drain, DRAIN_POLL_MS } from '../../../src/runtime/drain.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

function setUp(t: Test, timeoutMs: number) {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const state = { streams: 1, begun: 0, finished: false };
  const drain = new Drain({
    streams: () => state.streams,
    timeoutMs,
    onBegin: () => state.begun++,
    logger: silentLogger,
  });
  void drain.finished.then(() => (state.finished = true));
  t.teardown(() => drain.close());
  return { drain, state };
}

t.test('refuses new streams and waits for those that run', async (t) => {
  const { drain, state } = setUp(t, 0);
  t.doesNotThrow(() => drain.check());
  drain.begin();
  drain.begin();
  t.equal(state.begun, 1);
  t.throws(() => drain.check(), { code: 'SHUTTING_DOWN' });
  mock.timers.tick(86_400_000);
  await settled();
  t.equal(state.finished, false, 'without a limit');
  state.streams = 0;
  mock.timers.tick(DRAIN_POLL_MS);
  await settled();
  t.equal(state.finished, true);
});

t.test('streams move unless the last order says that they do not', async (t) => {
  const { drain } = setUp(t, 0);
  t.notOk(drain.moving);
  drain.begin(false);
  t.notOk(drain.moving);
  drain.begin();
  t.notOk(drain.moving, 'a signal does not change it');
  drain.begin(true);
  t.ok(drain.moving);
});

t.test('streams move by default', async (t) => {
  const { drain } = setUp(t, 0);
  drain.begin();
  t.ok(drain.moving);
});

t.test('ends at its limit although a stream runs', async (t) => {
  const { drain, state } = setUp(t, 60_000);
  drain.begin();
  mock.timers.tick(59_999);
  await settled();
  t.equal(state.finished, false);
  mock.timers.tick(1);
  await settled();
  t.equal(state.finished, true);
});

t.test('close ends the wait', async (t) => {
  const { drain, state } = setUp(t, 1000);
  drain.begin();
  drain.close();
  state.streams = 0;
  mock.timers.tick(10_000);
  await settled();
  t.equal(state.finished, false);
});
