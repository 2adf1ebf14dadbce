import { mock } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { PROBE_MS, WorkerProbe } from '../../../src/webrtc/worker-probe.ts';

interface Usage {
  readonly ru_utime: number;
  readonly ru_stime: number;
}

/** A worker whose answers the test gives. */
function create(isBusy = () => true) {
  const answers: PromiseWithResolvers<Usage>[] = [];
  const getResourceUsage = (): Promise<Usage> => {
    answers.push(Promise.withResolvers<Usage>());
    return answers.at(-1)!.promise;
  };
  const probe = new WorkerProbe({ worker: { pid: 1, getResourceUsage } as never, isBusy, logger: silentLogger });
  return { probe, answers };
}

t.beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }));
t.afterEach(() => mock.timers.reset());

t.test('video is dropped and counted while an answer is overdue', async (t) => {
  const { probe, answers } = create();
  t.teardown(() => probe.close());
  const sentMs = 50_000;
  const clock = mock.method(performance, 'now', () => sentMs);
  t.teardown(() => clock.mock.restore());
  t.notOk(probe.drops(sentMs), 'nothing is known yet');
  mock.timers.tick(PROBE_MS);
  t.notOk(probe.drops(sentMs + 900));
  t.ok(probe.drops(sentMs + 1100));
  t.ok(probe.drops(sentMs + 1200));
  t.equal(probe.dropped, 2);
  answers[0]!.resolve({ ru_utime: 10, ru_stime: 5 });
  await answers[0]!.promise;
  t.ok(probe.drops(sentMs + 1250), 'packets that were written before the answer are emitted in immediates');
  await immediate();
  t.notOk(probe.drops(sentMs + 1300), 'answered');
  t.equal(probe.dropped, 3);
});

t.test('tracks are paused while answers are overdue, and return when they are not', async (t) => {
  const { probe, answers } = create();
  t.teardown(() => probe.close());
  const calls: string[] = [];
  probe.gate.add({ pause: () => calls.push('pause'), resume: () => calls.push('resume') });
  let nowMs = 0;
  const clock = mock.method(performance, 'now', () => nowMs);
  t.teardown(() => clock.mock.restore());
  const pass = (ms: number): void => {
    nowMs += ms;
    mock.timers.tick(PROBE_MS);
  };
  pass(500);
  pass(1200);
  t.strictSame(calls, [], 'one late look may follow one long tick');
  pass(500);
  t.strictSame(calls, ['pause']);
  t.equal(probe.load.pausedTracks, 1);
  for (const answer of answers) answer.resolve({ ru_utime: 0, ru_stime: 0 });
  for (let look = 0; look < 10; look++) {
    await immediate();
    await immediate();
    pass(500);
    answers.at(-1)!.resolve({ ru_utime: 0, ru_stime: 0 });
  }
  t.strictSame(calls, ['pause', 'resume']);
});

t.test('the worker’s share of a core is that between two answers', async (t) => {
  const { probe, answers } = create();
  t.teardown(() => probe.close());
  for (const cpuMs of [100, 100_000]) {
    mock.timers.tick(PROBE_MS);
    answers.at(-1)!.resolve({ ru_utime: cpuMs, ru_stime: 0 });
    await answers.at(-1)!.promise;
    await immediate();
  }
  t.ok(probe.load.cpuShare > 1, 'the processor time over a moment');
  t.ok(probe.load.delayMs < 1000);
});

t.test('an idle worker is not probed; one that has died ends the probes', async (t) => {
  let busy = false;
  const { probe, answers } = create(() => busy);
  t.teardown(() => probe.close());
  mock.timers.tick(3 * PROBE_MS);
  t.equal(answers.length, 0);
  busy = true;
  mock.timers.tick(PROBE_MS);
  answers[0]!.reject(new Error('closed'));
  await answers[0]!.promise.catch(() => undefined);
  await Promise.resolve();
  mock.timers.tick(3 * PROBE_MS);
  t.equal(answers.length, 1);
  t.notOk(probe.drops(performance.now() + 5000));
});
