import { mock } from 'node:test';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import {
  nextOverloadState,
  NOT_OVERLOADED,
  type LoadSample,
  type OverloadState,
  type WorkerLoad,
} from '../../../src/runtime/overload-state.ts';
import { OverloadMonitor, SAMPLE_MS } from '../../../src/runtime/overload.ts';

const WORKER: WorkerLoad = { delayMs: 3, cpuShare: 0.1, pausedTracks: 0 };
const IDLE: LoadSample = { loopDelayMs: 1, busyShare: 0.1, workers: [WORKER] };

/** The state after one sample a second. */
function after(samples: readonly LoadSample[], state: OverloadState = NOT_OVERLOADED): OverloadState {
  return samples.reduce((before, sample, second) => nextOverloadState(before, sample, second * 1000), state);
}
const times = (count: number, sample: Partial<LoadSample>): LoadSample[] =>
  new Array<LoadSample>(count).fill({ ...IDLE, ...sample });

t.test('each limit, exceeded for three seconds, means overload', async (t) => {
  const cases: [Partial<LoadSample>, string][] = [
    [{ loopDelayMs: 101 }, 'its event loop is 101 ms late'],
    [{ busyShare: 0.97 }, 'its event loop is busy 97 % of the time'],
    [{ workers: [WORKER, { ...WORKER, delayMs: 501 }] }, 'media packets wait 501 ms'],
    [{ workers: [{ ...WORKER, cpuShare: 0.95 }] }, 'a media worker uses 95 % of a core'],
    [{ workers: [WORKER, { ...WORKER, pausedTracks: 4 }] }, 'video of 4 streams is paused'],
  ];
  for (const [sample, reason] of cases) {
    t.notOk(after(times(3, sample)).overloaded, 'not yet after two seconds');
    t.match(after(times(4, sample)), { overloaded: true, reason });
  }
});

t.test('values at the limits are no overload', async (t) => {
  const sample = { loopDelayMs: 100, busyShare: 0.95, workers: [{ ...WORKER, delayMs: 500, cpuShare: 0.9 }] };
  t.strictSame(after(times(10, sample)), NOT_OVERLOADED);
});

t.test('a peak that ends begins the count again', async (t) => {
  const peak = times(3, { busyShare: 1 });
  t.notOk(after([...peak, IDLE, ...peak]).overloaded);
});

t.test('recovery takes five seconds below lower limits', async (t) => {
  const overloaded = after(times(4, { busyShare: 1 }));
  t.ok(after(times(60, { busyShare: 0.9 }), overloaded).overloaded, 'between the limits it stays overloaded');
  t.ok(after(times(5, {}), overloaded).overloaded, 'not yet after four seconds');
  t.strictSame(after(times(6, {}), overloaded), NOT_OVERLOADED);
  t.ok(after([...times(5, {}), ...times(1, { loopDelayMs: 60 }), ...times(5, {})], overloaded).overloaded, 'a relapse');
});

t.test('the monitor refuses while the gateway is overloaded', async (t) => {
  let [nowMs, busyMs, share] = [0, 0, 1];
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const monitor = new OverloadMonitor({
    workers: () => [],
    logger: silentLogger,
    now: () => nowMs,
    busyMs: () => busyMs,
  });
  t.teardown(() => monitor.close());
  // The gateway starts, which does not count.
  nowMs += 10 * SAMPLE_MS;
  busyMs += 10 * SAMPLE_MS;
  mock.timers.tick(10 * SAMPLE_MS);
  t.doesNotThrow(() => monitor.check());
  monitor.start();
  const changes: [boolean, string][] = [];
  monitor.on('change', (...change) => changes.push(change));
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      nowMs += SAMPLE_MS;
      busyMs += SAMPLE_MS * share;
      mock.timers.tick(SAMPLE_MS);
    }
  };
  pass(3);
  t.doesNotThrow(() => monitor.check());
  t.equal(monitor.reason, '');
  pass(1);
  t.throws(() => monitor.check(), {
    code: 'OVERLOADED',
    message: /^The gateway is overloaded: its event loop is busy 100 % of the time\. Try again/,
  });
  share = 0.2;
  pass(6);
  t.doesNotThrow(() => monitor.check());
  t.strictSame(changes, [
    [true, 'its event loop is busy 100 % of the time'],
    [false, ''],
  ]);
});
