import t from 'tap';
import { verdict } from '../../../../../src/outputs/push/platforms/verdict.ts';
import type { Verdict } from '../../../../../src/views/push-view.ts';
import {
  NO_BREACHES,
  warningsOf,
  watch,
  WARN_AFTER_MS,
  type WatchEvent,
  type WatchState,
} from '../../../../../src/outputs/push/platforms/watch-state.ts';

const judged = (nowMs: number, level: Verdict['level'], check = 'bitrate', seen = '1'): WatchEvent => ({
  type: 'judged',
  verdicts: [verdict(check, level, seen)],
  nowMs,
  date: new Date(nowMs),
});
const paused: WatchEvent = { type: 'paused' };

function run(events: readonly WatchEvent[], state: WatchState = NO_BREACHES) {
  const effects: string[][] = [];
  for (const event of events) {
    const next = watch(state, event);
    state = next.state;
    effects.push(
      next.effects.map((effect) =>
        effect.type === 'raise' ? `raise ${effect.warning.check} ${effect.warning.level}` : `clear ${effect.check}`,
      ),
    );
  }
  return { state, effects, warnings: warningsOf(state) };
}

/** The state of one check: none, noticed, or raised as a warning or an error. */
const STATES = {
  none: [],
  noticed: [judged(0, 'warning')],
  warned: [judged(0, 'warning'), judged(WARN_AFTER_MS, 'warning')],
  failed: [judged(0, 'error'), judged(WARN_AFTER_MS, 'error')],
} as const;

t.test('every state and event', async (t) => {
  const later = WARN_AFTER_MS;
  const soon = later - 1;
  const cases: [keyof typeof STATES, WatchEvent, string[], number][] = [
    ['none', judged(0, 'ok'), [], 0],
    ['none', judged(0, 'warning'), [], 0],
    ['none', judged(0, 'error'), [], 0],
    ['none', paused, [], 0],
    ['noticed', judged(soon, 'ok'), [], 0],
    ['noticed', judged(soon, 'warning'), [], 0],
    ['noticed', judged(later, 'warning'), ['raise bitrate warning'], 1],
    ['noticed', judged(later, 'error'), ['raise bitrate error'], 1],
    ['noticed', paused, [], 0],
    ['warned', judged(later + 1, 'ok'), ['clear bitrate'], 0],
    ['warned', judged(later + 1, 'warning'), [], 1],
    ['warned', judged(later + 1, 'error'), ['raise bitrate error'], 1],
    ['warned', paused, [], 1],
    ['failed', judged(later + 1, 'ok'), ['clear bitrate'], 0],
    ['failed', judged(later + 1, 'warning'), [], 1],
    ['failed', judged(later + 1, 'error'), [], 1],
    ['failed', paused, [], 1],
  ];
  for (const [name, event, effects, warnings] of cases) {
    const result = run([event], run(STATES[name]).state);
    t.strictSame(result.effects[0], effects, `${name}, ${JSON.stringify(event)}`);
    t.equal(result.warnings.length, warnings);
  }
});

t.test('a breach is told once, with its beginning and its latest value, and again when it comes back', async (t) => {
  const { effects, warnings } = run([
    judged(1000, 'warning'),
    judged(6000, 'warning'),
    judged(11_000, 'warning'),
    judged(60_000, 'warning', 'bitrate', '2'),
  ]);
  t.strictSame(effects, [[], [], ['raise bitrate warning'], []]);
  t.match(warnings, [{ since: new Date(1000).toISOString(), measured: '2', level: 'warning' }]);
  const again = run([...STATES.warned, judged(20_000, 'ok'), judged(21_000, 'warning'), judged(31_000, 'warning')]);
  t.strictSame(again.effects.flat(), ['raise bitrate warning', 'clear bitrate', 'raise bitrate warning']);
});

t.test('a short breach begins again after a pause', async (t) => {
  t.strictSame(run([judged(0, 'warning'), paused, judged(12_000, 'warning')]).effects.flat(), []);
});

t.test('checks are independent, and a session limit is told at once', async (t) => {
  const both = (nowMs: number): WatchEvent => ({
    type: 'judged',
    nowMs,
    date: new Date(nowMs),
    verdicts: [verdict('bitrate', 'warning', ''), verdict('sessionLength', 'error', '')],
  });
  t.strictSame(run([both(0), both(10_000)]).effects, [['raise sessionLength error'], ['raise bitrate warning']]);
});
