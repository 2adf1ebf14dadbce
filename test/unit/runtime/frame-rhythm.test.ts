import t from 'tap';
import { FrameRhythm } from '../../../src/runtime/frame-rhythm.ts';

interface Source {
  /** Milliseconds from frame to frame. */
  readonly intervalMs: number;
  /** Each frame comes by up to so many milliseconds later than it should. */
  readonly jitterMs?: number;
  /** How long the packets of a frame take to come. */
  readonly burstMs?: number;
}

/** A generator of the same "random" numbers each time. */
function createRandom(): () => number {
  let state = 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

/**
 * Turns of the event loop by the rhythm's word, or every 20 ms where it says nothing, for a minute; of the last half of it the turns
 * per frame, and how long complete frames waited.
 *
 * @param latenessMs each turn begins by up to so much later than it should
 */
function play(
  { intervalMs, jitterMs = 0, burstMs = 2 }: Source,
  latenessMs = 0.1,
): { turnsPerFrame: number; p50: number; p95: number; inStep: boolean } {
  const random = createRandom();
  const arrivals = Array.from(
    { length: Math.ceil(60_000 / intervalMs) },
    (_, i) => i * intervalMs + random() * jitterMs,
  );
  for (let i = 1; i < arrivals.length; i++) arrivals[i] = Math.max(arrivals[i]!, arrivals[i - 1]! + burstMs);
  const rhythm = new FrameRhythm();
  const waits: number[] = [];
  let [nowMs, next, turns, counted, steps] = [7, 0, 0, 0, 0];
  while (next < arrivals.length) {
    let frames = 0;
    for (; next < arrivals.length && arrivals[next]! + burstMs <= nowMs; next++, frames++)
      if (nowMs > 30_000) waits.push(nowMs - arrivals[next]! - burstMs);
    const partial = next < arrivals.length && arrivals[next]! <= nowMs;
    const rest = rhythm.next(nowMs, frames, partial);
    if (nowMs > 30_000) {
      turns++;
      counted += frames;
      if (rest !== undefined) steps++;
    }
    nowMs += (rest ?? 20) + random() * latenessMs;
  }
  waits.sort((a, b) => a - b);
  return {
    turnsPerFrame: turns / counted,
    p50: waits[waits.length >> 1]!,
    p95: waits[Math.floor(waits.length * 0.95)]!,
    inStep: steps > turns / 2,
  };
}

t.test('turns come right after frames, and hardly more often', async (t) => {
  for (const intervalMs of [33.3, 40, 41.7, 20.5]) {
    const { turnsPerFrame, p95 } = play({ intervalMs });
    t.ok(turnsPerFrame < 1.08, `${intervalMs} ms: ${turnsPerFrame.toFixed(2)} turns a frame`);
    t.ok(p95 < 6, `and a wait of at most ${p95.toFixed(1)} ms for most`);
  }
});

t.test('where each turn comes late, as on a busy machine, frames wait no longer than that', async (t) => {
  for (const latenessMs of [1, 2, 4]) {
    const { turnsPerFrame, p95 } = play({ intervalMs: 33.3 }, latenessMs);
    t.ok(turnsPerFrame < 1.08, `${latenessMs} ms late: ${turnsPerFrame.toFixed(2)} turns a frame`);
    t.ok(p95 < 5 + latenessMs, `and a wait of at most ${p95.toFixed(1)} ms for most`);
  }
});

/** Even frames, and turns by the rhythm's word. */
class Listener {
  readonly rhythm: FrameRhythm;
  readonly intervalMs: number;
  nowMs: number;
  #seen: number;

  constructor(intervalMs: number, { rhythm = new FrameRhythm(), nowMs = 0 } = {}) {
    this.rhythm = rhythm;
    this.intervalMs = intervalMs;
    this.nowMs = nowMs;
    this.#seen = Math.floor(nowMs / intervalMs);
  }

  /** One turn, and the rest after it: how long the last frame had been there, if there was a new one, and for how long was rested. */
  turn(): { waitMs: number | undefined; restMs: number | undefined } {
    const there = Math.floor(this.nowMs / this.intervalMs);
    const waitMs = there > this.#seen ? this.nowMs - there * this.intervalMs : undefined;
    const restMs = this.rhythm.next(this.nowMs, there - this.#seen, false);
    this.#seen = there;
    this.nowMs += restMs ?? 20;
    return { waitMs, restMs };
  }

  /** How long frames waited. */
  turnsUntil(untilMs: number): number[] {
    const waits: number[] = [];
    while (this.nowMs < untilMs) {
      const { waitMs } = this.turn();
      if (waitMs !== undefined) waits.push(waitMs);
    }
    return waits;
  }
}

t.test('a turn that came late makes no other late', async (t) => {
  for (const lateMs of [8, 12, 16, 20, 24, 40, 60]) {
    const listener = new Listener(33.3);
    listener.turnsUntil(10_000);
    listener.nowMs += lateMs;
    const [, ...after] = listener.turnsUntil(20_000);
    t.ok(
      Math.max(...after) < 6,
      `held up for ${lateMs} ms, the frames after it wait ${Math.max(...after).toFixed(1)} ms at most`,
    );
  }
});

t.test('wherever frames are, they are found within a second', async (t) => {
  for (const shiftMs of [0, 5, 10, 15, 20, 25, 30]) {
    const listener = new Listener(33.3, { nowMs: shiftMs });
    listener.turnsUntil(1000);
    const worst = Math.max(...listener.turnsUntil(10_000));
    t.ok(worst < 6, `begun ${shiftMs} ms after a frame: ${worst.toFixed(1)} ms at most after a second`);
    listener.nowMs += 1000 + shiftMs;
    listener.turnsUntil(12_500);
    t.ok(Math.max(...listener.turnsUntil(20_000)) < 6, 'and after a stop of more than a second');
  }
});

t.test('frames that come unevenly wait a little longer', async (t) => {
  const { turnsPerFrame, p50, p95 } = play({ intervalMs: 33.3, jitterMs: 12, burstMs: 5 });
  t.ok(turnsPerFrame < 1.5, `${turnsPerFrame.toFixed(2)} turns a frame`);
  t.ok(p50 < 11 && p95 < 22, `${p50.toFixed(1)} and ${p95.toFixed(1)} ms`);
});

t.test('no step to keep: several streams, slow frames, none at all', async (t) => {
  t.notOk(play({ intervalMs: 10 }).inStep, 'three streams');
  t.notOk(play({ intervalMs: 16.7 }).inStep, '60 a second');
  t.notOk(play({ intervalMs: 66 }).inStep, '15 a second');
  const rhythm = new FrameRhythm();
  t.ok(
    Array.from({ length: 500 }, (_, turn) => rhythm.next(turn * 20, 0, false)).every((rest) => rest === undefined),
    'none at all',
  );
});

t.test('two streams of 15 a second, which look like one that limps, are given up', async (t) => {
  const rhythm = new FrameRhythm();
  let [turns, nowMs] = [0, 0];
  let before = 0;
  while (nowMs < 30_000) {
    const due = Math.floor(nowMs / 66.7) + Math.floor((nowMs + 54) / 66.7);
    turns++;
    const rest = rhythm.next(nowMs, due - before, false);
    before = due;
    nowMs += rest ?? 20;
  }
  t.ok(turns < (30_000 / 20) * 1.25, `${turns} turns in 30 s`);
});

t.test('a break begins it anew', async (t) => {
  const listener = new Listener(33.3);
  listener.turnsUntil(5000);
  const { rhythm } = listener;
  t.equal(rhythm.next(6000, 1, false), undefined, 'no step yet');
  const slower = new Listener(40, { rhythm, nowMs: 6000 });
  slower.turnsUntil(7500);
  const waits = slower.turnsUntil(10_000);
  t.ok(
    waits.length >= 61 && Math.max(...waits) < 6,
    `at the new speed: ${waits.length} frames, ${Math.max(...waits).toFixed(1)} ms`,
  );
});

t.test('after turns without rests it goes on in step', async (t) => {
  const listener = new Listener(33);
  listener.turnsUntil(3000);
  const { rhythm } = listener;
  // Somebody asks for something: for 300 ms each packet has a turn of its own, sounds too.
  const firstMs = Math.ceil(listener.nowMs / 33) * 33;
  for (let packet = 0; packet < 27; packet++) rhythm.watch(firstMs + packet * 11, packet % 3 === 0 ? 1 : 0);
  const lastMs = firstMs + 8 * 33;
  const isAbout = (restMs: number | undefined, wantedMs: number): boolean => Math.abs(restMs! - wantedMs) < 1;
  t.ok(isAbout(rhythm.next(lastMs + 10, 0, false), 23), 'the next frame is what is rested for');
  t.ok(isAbout(rhythm.next(lastMs + 33, 1, false), 33), 'and the one after it');
});

t.test('a frame that takes several turns to come is waited for twice, then as always', async (t) => {
  const rhythm = new FrameRhythm();
  let nowMs = 0;
  for (let i = 0; i < 40; i++) rhythm.next((nowMs += 33), 1, false);
  t.strictSame(
    [0, 1, 2].map(() => rhythm.next((nowMs += 4), 0, true)),
    [4, 4, undefined],
  );
});
