import t from 'tap';
import { LatenessMeter } from '../../../src/outputs/lateness-meter.ts';
import {
  CALM_FOR_MS,
  LATE_FOR_MS,
  nextLateState,
  ON_TIME,
  RECOVERED_MS,
  TOO_LATE_MS,
  type LateState,
} from '../../../src/outputs/late-state.ts';

const late: LateState = { status: 'late', sinceMs: 0 };
const dropping: LateState = { status: 'dropping', calmSinceMs: undefined };
const calm: LateState = { status: 'dropping', calmSinceMs: 0 };
const states = { 'on-time': ON_TIME, late, dropping, calm };

/** Every state with every kind of sample: nearly on time, a little late, too late; overloaded or not; early and after every delay. */
const samples = [RECOVERED_MS, TOO_LATE_MS, TOO_LATE_MS + 1].flatMap((latenessMs) =>
  [true, false].flatMap((overloaded) =>
    [LATE_FOR_MS - 1, CALM_FOR_MS].map((nowMs) => ({ latenessMs, overloaded, nowMs })),
  ),
);

const expected: Record<keyof typeof states, readonly string[]> = {
  'on-time': [
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['late', 'late', 'on-time', 'on-time'],
  ],
  late: [
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['late', 'dropping', 'on-time', 'on-time'],
  ],
  dropping: [
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['dropping', 'dropping', 'dropping', 'dropping'],
    ...['dropping', 'dropping', 'dropping', 'dropping'],
  ],
  calm: [
    ...['on-time', 'on-time', 'on-time', 'on-time'],
    ...['dropping', 'dropping', 'dropping', 'on-time remeasure'],
    ...['dropping', 'dropping', 'dropping', 'on-time remeasure'],
  ],
};

t.test('every pair of state and sample', async (t) => {
  for (const [name, outcomes] of Object.entries(expected)) {
    const state = states[name as keyof typeof states];
    const found = samples.map((sample) => {
      const next = nextLateState(state, sample);
      return next.status === 'on-time' && next.remeasure ? 'on-time remeasure' : next.status;
    });
    t.strictSame(found, outcomes, name);
  }
});

t.test('overload that returns restarts the calm period', async (t) => {
  t.strictSame(nextLateState(calm, { latenessMs: 2000, overloaded: true, nowMs: 1000 }), dropping);
  t.strictSame(nextLateState(dropping, { latenessMs: 2000, overloaded: false, nowMs: 1000 }), {
    status: 'dropping',
    calmSinceMs: 1000,
  });
});

t.test('lateness is measured against the smallest delay', async (t) => {
  const meter = new LatenessMeter();
  t.equal(meter.update(0, 5000), 0, 'the first value is normal');
  t.ok(Math.abs(meter.update(1000, 6300) - 300) < 1);
  t.equal(meter.update(2000, 6900), 0, 'a smaller delay is normal from then on');
  t.ok(Math.abs(meter.update(3000, 9400) - 1500) < 2);
  meter.reset();
  t.equal(meter.update(4000, 10_400), 0);
});

t.test("a publisher's clock that is slower than ours by 200 ppm is never late, in ten hours", async (t) => {
  const meter = new LatenessMeter();
  let worst = 0;
  for (let nowMs = 0; nowMs < 36_000_000; nowMs += 1000)
    worst = Math.max(worst, meter.update(nowMs * (1 - 0.0002), nowMs));
  t.ok(worst < 1, `${worst} ms`);
});

t.test('a lasting delay is recognised for minutes', async (t) => {
  const meter = new LatenessMeter();
  meter.update(0, 0);
  let latenessMs = 0;
  for (let nowMs = 2000; nowMs < 600_000; nowMs += 100) latenessMs = meter.update(nowMs - 2000, nowMs);
  t.ok(latenessMs > 1600, `${latenessMs} ms`);
});
