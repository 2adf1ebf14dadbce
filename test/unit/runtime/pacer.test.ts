import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Pacer } from '../../../src/runtime/pacer.ts';

/** A pacer whose rests are noted instead of taken. */
function createPacer(restMs: number): { pacer: Pacer; rests: number[]; pass(ms: number): void } {
  const rests: number[] = [];
  let nowMs = 1000;
  const pacer = new Pacer({ restMs, sleep: (ms) => void rests.push(Math.round(ms * 10) / 10), now: () => nowMs });
  return { pacer, rests, pass: (ms) => void (nowMs += ms) };
}

t.test('rests once a turn that brought packets, and never else', async (t) => {
  const { pacer, rests } = createPacer(20);
  await turn();
  t.strictSame(rests, []);
  pacer.took(3, 0, false);
  pacer.took(4, 0, false);
  t.strictSame(rests, [], 'not before the turn is over');
  await turn();
  t.strictSame(rests, [20]);
  await turn();
  t.strictSame(rests, [20], 'nobody keeps an idle loop turning');
});

t.test('the more packets, the shorter the rest, and back', async (t) => {
  const { pacer, rests } = createPacer(20);
  for (const packets of [72, 64, 64, 16, 16]) {
    pacer.took(packets, 0, false);
    await turn();
  }
  t.strictSame(rests, [17.8, 17.8, 17.8, 20, 20], '64 packets a rest');
});

t.test('no rest when the worker may have more than its pipe held', async (t) => {
  const { pacer, rests } = createPacer(20);
  for (const packets of [80, 128, 5]) {
    pacer.took(packets, 0, false);
    await turn();
  }
  t.strictSame(rests, [8], 'only after the rest has come, and not for longer than fills the pipe again');
});

t.test('as many packets as a pipe holds, however many come', async (t) => {
  for (const perMs of [2.3, 4, 8, 13.8]) {
    let [nowMs, taken] = [0, 0];
    const turns: number[] = [];
    const pacer = new Pacer({ restMs: 50, sleep: (ms) => void (nowMs += ms), now: () => nowMs });
    for (let i = 0; i < 400; i++) {
      nowMs += 0.4; // the turn itself
      const packets = Math.min(85, Math.floor(nowMs * perMs) - taken);
      taken += packets;
      if (packets > 0) pacer.took(packets, 0, false);
      await turn();
      turns.push(packets);
    }
    t.ok(
      turns.slice(-100).every((packets) => packets < 85),
      `${perMs} a millisecond: ${Math.max(...turns.slice(-100))} at once`,
    );
  }
});

t.test('no rest when there is no time for one, and again when there is', async (t) => {
  const { pacer, rests } = createPacer(20);
  pacer.took(10_000, 0, false);
  await turn();
  t.strictSame(rests, []);
  pacer.took(60, 0, false);
  await turn();
  t.strictSame(rests, [2]);
});

t.test('somebody waits: no rest for a moment', async (t) => {
  const { pacer, rests, pass } = createPacer(20);
  pacer.hurry();
  pacer.took(1, 0, false);
  await turn();
  pass(299);
  pacer.took(1, 0, false);
  await turn();
  t.strictSame(rests, []);
  pass(2);
  pacer.took(1, 0, false);
  await turn();
  t.strictSame(rests, [20]);
});

t.test('a single stream: rests end when the next frame is there', async (t) => {
  let nowMs = 0;
  const rests: number[] = [];
  const pacer = new Pacer({
    restMs: 20,
    sleep: (ms) => {
      rests.push(ms);
      nowMs += ms;
    },
    now: () => nowMs,
  });
  let taken = 0;
  for (let i = 0; i < 300; i++) {
    const there = Math.floor(nowMs / 33.3);
    pacer.took(5, there - taken, false);
    taken = there;
    nowMs += 0.5; // the turn itself
    await turn();
  }
  const last = rests.slice(-100);
  t.ok(last.filter((ms) => ms > 30).length > 80, 'as long as a frame');
  t.ok(
    last.every((ms) => ms < 34),
    'no longer',
  );
  t.ok(nowMs - taken * 33.3 < 33.3 + 6, 'and none is left waiting');
});

t.test('0: never', async (t) => {
  const { pacer, rests } = createPacer(0);
  pacer.took(1, 0, false);
  await turn();
  t.strictSame(rests, []);
});

t.test('a rest blocks the thread without burning time', async (t) => {
  const before = process.cpuUsage();
  const pacer = new Pacer({ restMs: 50 });
  const from = performance.now();
  pacer.took(1, 0, false);
  await turn();
  t.ok(performance.now() - from >= 49, 'it has rested');
  const { user, system } = process.cpuUsage(before);
  t.ok(user + system < 40_000, `${user + system} µs of processor time`);
});
