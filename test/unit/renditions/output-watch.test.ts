import t from 'tap';
import { OutputWatch } from '../../../src/renditions/output-watch.ts';

/** Feeds a frame every `everyMs` for `forMs`. Returns when the encoder was found to hang, in milliseconds after the beginning. */
function feed(
  watch: OutputWatch,
  { fromMs = 0, forMs = 30_000, everyMs = 33, outEveryMs = Infinity, mediaPace = 1 },
): number | undefined {
  let cameMs = fromMs;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += everyMs) {
    if (watch.fed(nowMs * mediaPace, nowMs)) return nowMs - fromMs;
    if (nowMs - cameMs < outEveryMs) continue;
    cameMs = nowMs;
    watch.produced();
  }
  return undefined;
}

t.test('no output at all', async (t) => {
  const atStart = feed(new OutputWatch(), {});
  t.ok(atStart && atStart > 9900 && atStart < 10_200, `at the start after ${atStart} ms`);
  const watch = new OutputWatch();
  feed(watch, { forMs: 2000, outEveryMs: 33 });
  const later = feed(watch, { fromMs: 2000 });
  t.ok(later && later > 4900 && later < 5200, `later after ${later} ms`);
  watch.begin();
  t.equal(feed(watch, { fromMs: 20_000, forMs: 9000 }), undefined, 'a new encoder has time to start');
});

t.test('slow output is no hang', async (t) => {
  const watch = new OutputWatch();
  t.equal(feed(watch, { outEveryMs: 4000, forMs: 120_000 }), undefined);
});

t.test('low frame rates of input and output', async (t) => {
  t.equal(
    feed(new OutputWatch(1000), { outEveryMs: 2500, forMs: 60_000 }),
    undefined,
    'one frame of output per second',
  );
  const watch = new OutputWatch();
  watch.produced();
  t.ok(feed(watch, { everyMs: 1000 })! <= 7000, 'one frame of input per second');
});

t.test('pauses of the stream and stalls of the gateway are no hang', async (t) => {
  const watch = new OutputWatch();
  feed(watch, { forMs: 2000, outEveryMs: 33 });
  t.notOk(watch.fed(62_000, 62_000), 'a frame after a minute');
  watch.produced();
  let hangs = false;
  for (let ms = 62_000; ms < 72_000; ms += 33) hangs ||= watch.fed(ms, 72_000);
  t.notOk(hangs, 'ten seconds of frames at once');
  t.equal(feed(watch, { fromMs: 72_033, outEveryMs: 100 }), undefined);
});
