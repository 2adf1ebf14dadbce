import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { MemoryWatch } from '../../../src/ffmpeg/ffmpeg-memory.ts';

const MB = 1024 * 1024;

t.test('a process above the limit is reported once, with the figures', async (t) => {
  const memory = new Map([
    [1, 100 * MB],
    [2, 1600 * MB],
    [3, 1600 * MB],
  ]);
  const watch = new MemoryWatch(async (pid) => memory.get(pid)!);
  const reasons: string[] = [];
  const removers = [1, 2, 3].map((pid) => watch.add(pid, (reason) => reasons.push(`${pid}: ${reason}`)));
  await watch.measure();
  t.strictSame(reasons, [], 'no limit is set');
  watch.setLimit(1024);
  removers[2]!();
  await watch.measure();
  await watch.measure();
  t.strictSame(reasons, ['2: it used 1600 MB of memory, and 1024 MB are allowed (max_encoder_memory_mb)']);
  for (const remove of removers) remove();
});

t.test('a process that has ended meanwhile is ignored', async (t) => {
  const watch = new MemoryWatch(async () => {
    throw new Error('ENOENT');
  });
  watch.setLimit(1);
  const remove = watch.add(1, () => t.fail('it has ended'));
  await watch.measure();
  remove();
});

t.test('one that is removed while it is measured is not reported', async (t) => {
  const measured = Promise.withResolvers<number>();
  const watch = new MemoryWatch(() => measured.promise);
  watch.setLimit(1);
  const remove = watch.add(1, () => t.fail('it was removed'));
  const measuring = watch.measure();
  await immediate();
  remove();
  measured.resolve(2 * MB);
  await measuring;
});

t.test('the resident memory of this process', async (t) => {
  const watch = new MemoryWatch();
  watch.setLimit(10);
  const reasons: string[] = [];
  watch.add(process.pid, (reason) => reasons.push(reason));
  await watch.measure();
  const [, used] = /used (\d+) MB/.exec(reasons[0] ?? '') ?? [];
  const actual = process.memoryUsage.rss() / MB;
  t.ok(Math.abs(Number(used) - actual) < actual / 2, `${used} MB of ${Math.round(actual)} MB`);
});
