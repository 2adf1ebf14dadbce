import { mock } from 'node:test';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import {
  nextOverloadState,
  NOT_OVERLOADED,
  type LoadSample,
  type OverloadState,
} from '../../../src/runtime/overload-state.ts';
import { OverloadMonitor, SAMPLE_MS } from '../../../src/runtime/overload.ts';

const IDLE: LoadSample = { loopDelayMs: 1, cpuShare: 0.1, workers: [{ delayMs: 3, cpuShare: 0.1 }] };

/** The state after one sample a second. */
function after(samples: readonly LoadSample[], state: OverloadState = NOT_OVERLOADED): OverloadState {
  return samples.reduce((before, sample, second) => nextOverloadState(before, sample, second * 1000), state);
}
const times = (count: number, sample: Partial<LoadSample>): LoadSample[] =>
  new Array<LoadSample>(count).fill({ ...IDLE, ...sample });

t.test('each limit, exceeded for three seconds, means overload', async (t) => {
  const cases: [Partial<LoadSample>, string][] = [
    [{ loopDelayMs: 101 }, 'its event loop is 101 ms late'],
    [{ cpuShare: 0.97 }, 'its main thread uses 97 % of a core'],
    [{ workers: [IDLE.workers[0]!, { delayMs: 501, cpuShare: 0.1 }] }, 'media packets wait 501 ms'],
    [{ workers: [{ delayMs: 3, cpuShare: 0.95 }] }, 'a media worker uses 95 % of a core'],
  ];
  for (const [sample, reason] of cases) {
    t.notOk(after(times(3, sample)).overloaded, 'not yet after two seconds');
    t.match(after(times(4, sample)), { overloaded: true, reason });
  }
});

t.test('values at the limits are no overload', async (t) => {
  const sample = { loopDelayMs: 100, cpuShare: 0.9, workers: [{ delayMs: 500, cpuShare: 0.9 }] };
  t.strictSame(after(times(10, sample)), NOT_OVERLOADED);
});

t.test('a peak that ends begins the count again', async (t) => {
  const peak = times(3, { cpuShare: 1 });
  t.notOk(after([...peak, IDLE, ...peak]).overloaded);
});

t.test('recovery takes five seconds below lower limits', async (t) => {
  const overloaded = after(times(4, { cpuShare: 1 }));
  t.ok(after(times(60, { cpuShare: 0.85 }), overloaded).overloaded, 'between the limits it stays overloaded');
  t.ok(after(times(5, {}), overloaded).overloaded, 'not yet after four seconds');
  t.strictSame(after(times(6, {}), overloaded), NOT_OVERLOADED);
  t.ok(after([...times(5, {}), ...times(1, { loopDelayMs: 60 }), ...times(5, {})], overloaded).overloaded, 'a relapse');
});

t.test('the monitor refuses while the gateway is overloaded', async (t) => {
  let [nowMs, cpuMs, share] = [0, 0, 1];
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const monitor = new OverloadMonitor({
    workers: () => [],
    logger: silentLogger,
    now: () => nowMs,
    cpuMs: () => cpuMs,
  });
  t.teardown(() => monitor.close());
  const changes: [boolean, string][] = [];
  monitor.on('change', (...change) => changes.push(change));
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      nowMs += SAMPLE_MS;
      cpuMs += SAMPLE_MS * share;
      mock.timers.tick(SAMPLE_MS);
    }
  };
  pass(3);
  t.doesNotThrow(() => monitor.check());
  t.equal(monitor.reason, '');
  pass(1);
  t.throws(() => monitor.check(), {
    code: 'OVERLOADED',
    message: /^The gateway is overloaded: its main thread uses 100 % of a core\. Try again/,
  });
  share = 0.2;
  pass(6);
  t.doesNotThrow(() => monitor.check());
  t.strictSame(changes, [
    [true, 'its main thread uses 100 % of a core'],
    [false, ''],
  ]);
});
