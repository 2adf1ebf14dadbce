import fc from 'fast-check';
import t from 'tap';
import { DecodeTimes } from '../../../../src/media/rtp/decode-times.ts';

/** Decoding orders of groups of frames, as presentation numbers. */
const ORDERS: Record<string, { depth: number; order: number[] }> = {
  'one B-frame': { depth: 1, order: [0, 2, 1, 4, 3, 6, 5] },
  'three B-frames': { depth: 1, order: [0, 4, 1, 2, 3, 8, 5, 6, 7] },
  'a pyramid': { depth: 2, order: [0, 4, 2, 1, 3, 8, 6, 5, 7] },
};

for (const [name, { depth, order }] of Object.entries(ORDERS)) {
  t.test(name, async (t) => {
    const times = new DecodeTimes();
    const decode = order.map((number) => times.next(1000 + number * 40, number * 40, { depth, frameMs: 40 }));
    t.same(
      decode,
      order.map((_, index) => 1000 + (index - depth) * 40),
      'even',
    );
    t.ok(
      decode.every((ms, index) => ms <= 1000 + order[index]! * 40),
      'before the presentation',
    );
  });
  t.test(`${name}, of which the stream says nothing`, async (t) => {
    const times = new DecodeTimes();
    const long = [0, 1, 2].flatMap((group) =>
      order.slice(group ? 1 : 0).map((number) => number + group * (order.length - 1)),
    );
    const decode = long.map((number) => times.next(number * 40, number * 40, { depth: 0, frameMs: 40 }));
    t.equal(times.depth, depth);
    t.same(decode.slice(-10), long.map((_, index) => (index - depth) * 40).slice(-10), 'even after the first group');
  });
}

t.test('frames that are not reordered keep their times', async (t) => {
  const times = new DecodeTimes();
  for (const ms of [0, 33, 67, 500, 5000, 5033]) t.equal(times.next(ms, ms, { depth: 0 }), ms);
});

t.test('a clock that restarts does not show reordering', async (t) => {
  const times = new DecodeTimes();
  for (const ms of [0, 33, 67, 100]) times.next(ms, 3000 + ms, { depth: 0 });
  times.forget();
  t.equal(times.next(133, 0, { depth: 0 }), 133);
  t.equal(times.depth, 0);
});

t.test('after frames are missing, decoding times are near the presentation again', async (t) => {
  const times = new DecodeTimes();
  for (const ms of [0, 80, 40]) times.next(ms, ms, { depth: 1, frameMs: 40 });
  t.equal(times.next(9000, 9000, { depth: 1, frameMs: 40 }), 8960);
  times.restart();
  t.equal(times.next(9500, 9500, { depth: 1, frameMs: 40 }), 9460);
});

t.test('any times: never after the presentation, and bounded memory', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ ms: fc.integer({ min: 0, max: 1e6 }), depth: fc.nat({ max: 16 }) })), (frames) => {
      const times = new DecodeTimes();
      return frames.every(({ ms, depth }) => times.next(ms, ms, { depth }) <= ms && times.depth <= 16);
    }),
  );
});
