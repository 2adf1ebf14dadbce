import t from 'tap';
import { KeyFrameRequests } from '../../../src/renditions/key-frame-requests.ts';

function setUp() {
  const at: number[] = [];
  let now = 0;
  const missed: number[] = [];
  const requests = new KeyFrameRequests(
    2000,
    () => at.push(now),
    () => missed.push(now),
  );
  return {
    requests,
    at,
    missed,
    go: (until: number) => {
      for (; now < until; now += 20) requests.tick(now);
    },
    set: (ms: number) => (now = ms),
    now: () => now,
  };
}

t.test('a key frame is requested at once, and again until one arrives', async (t) => {
  const { requests, at, go } = setUp();
  requests.need(0);
  go(1100);
  t.strictSame(at, [0, 500, 1000]);
});

t.test('a publisher that sends no key frame is reported once', async (t) => {
  const { requests, missed, go } = setUp();
  requests.start(0);
  go(60_000);
  t.strictSame(missed, [12_020]);
  requests.start(60_000);
  go(71_000);
  requests.arrived(71_000);
  go(100_000);
  t.equal(missed.length, 1, 'the next publisher gets as much time, and later key frames are only requested');
});

t.test('key frames are requested at an interval after the last one', async (t) => {
  const { requests, at, go, set } = setUp();
  requests.need(0);
  set(100);
  requests.arrived(100);
  go(2200);
  t.strictSame(at, [0, 2100]);
});

t.test('concurrent needs make one request; after an answer the next one follows sooner', async (t) => {
  const { requests, at, go, set } = setUp();
  for (let ms = 0; ms < 100; ms += 10) requests.need(ms);
  t.equal(at.length, 1);
  set(100);
  requests.arrived(100);
  requests.need(110);
  t.equal(at.length, 1, 'not within 350 ms');
  set(120);
  go(340);
  t.equal(at.length, 1);
  go(400);
  t.equal(at.length, 2);
});
