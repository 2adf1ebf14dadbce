import t from 'tap';
import { backoffMs, SerialWork, sharedRun, SingleFlight } from '../../../src/runtime/async.ts';

t.test('backoffMs: fixed without a cap, as in WCS', async (t) => {
  for (const attempt of [0, 1, 50]) t.equal(backoffMs({ intervalMs: 5000, capMs: 0 }, attempt, 0.7), 5000);
});

t.test('backoffMs: doubled up to the cap, with jitter', async (t) => {
  const rules = { intervalMs: 1000, capMs: 10_000 };
  const expected = [1000, 2000, 4000, 8000, 10_000, 10_000];
  const attempts = [0, 1, 2, 3, 4, 1000];
  t.strictSame(
    attempts.map((attempt) => backoffMs(rules, attempt)),
    expected,
  );
  t.strictSame(
    attempts.map((attempt) => backoffMs(rules, attempt, 1)),
    expected,
  );
  t.equal(backoffMs(rules, 3, 0), 4000, 'never at once');
});

t.test('SerialWork: one after the other, in the order of the calls, whatever fails', async (t) => {
  const work = new SerialWork();
  const log: string[] = [];
  const first = Promise.withResolvers<number>();
  const results = [
    work.run(async () => {
      log.push('first');
      return await first.promise;
    }),
    work.run(() => {
      log.push('second');
      throw new Error('refused');
    }),
    work.run(() => log.push('third')),
  ];
  t.equal(work.size, 3);
  await Promise.resolve();
  t.strictSame(log, ['first'], 'the others wait');
  first.resolve(1);
  const settled = await Promise.allSettled(results);
  t.strictSame(log, ['first', 'second', 'third']);
  t.strictSame(
    settled.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
    [1, 'failed', 3],
    'each caller gets its own result',
  );
  t.equal(work.size, 0);
});

t.test('SerialWork: idle() waits for what was added before, and never rejects', async (t) => {
  const work = new SerialWork();
  let done = false;
  work
    .run(async () => {
      await new Promise(setImmediate);
      done = true;
      throw new Error('refused');
    })
    .catch(() => undefined);
  await work.idle();
  t.equal(done, true);
});

t.test('SingleFlight: calls of one key during a run share it; other keys and later calls do not', async (t) => {
  const flight = new SingleFlight<string, number>();
  const runs: PromiseWithResolvers<number>[] = [];
  const work = (): Promise<number> => {
    const run = Promise.withResolvers<number>();
    runs.push(run);
    return run.promise;
  };
  const [a, again, b] = [flight.run('a', work), flight.run('a', work), flight.run('b', work)];
  t.equal(again, a);
  t.equal(flight.get('a'), a);
  t.equal(flight.size, 2);
  const settled = flight.settled();
  runs[0]!.reject(new Error('refused'));
  runs[1]!.resolve(2);
  await t.rejects(a, { message: 'refused' });
  t.equal(await b, 2);
  await settled;
  t.equal(flight.size, 0);
  t.equal(flight.get('a'), undefined);
  void flight.run('a', work);
  t.equal(runs.length, 3, 'a failure is not kept');
});

t.test('sharedRun: one run at a time', async (t) => {
  let runs = 0;
  const look = sharedRun(async () => ++runs);
  t.equal(look.running, undefined);
  const first = look();
  t.equal(look(), first);
  t.equal(look.running, first);
  t.equal(await first, 1);
  t.equal(look.running, undefined);
  t.equal(await look(), 2);
});
