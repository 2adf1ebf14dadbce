import fc from 'fast-check';
import t from 'tap';
import { ReorderBuffer } from '../../../../src/media/rtp/reorder-buffer.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

const packet = (sequenceNumber: number, ssrc = 1) => rtpPacket({ sequenceNumber: sequenceNumber & 0xffff, ssrc });
/** Sequence numbers of what is due; losses are negative. */
const due = (buffer: ReorderBuffer, nowMs = 0, waitMs = 100): number[] =>
  buffer.pop(nowMs, waitMs).map((item) => ('lost' in item ? -item.lost : item.sequenceNumber));

t.test('packets in order are returned at once, across the wrap', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  for (let sequence = 65_530; sequence < 65_545; sequence++) {
    buffer.push(packet(sequence), 0);
    t.same(due(buffer), [sequence & 0xffff]);
    t.equal(buffer.held, 0);
  }
});

t.test('a late packet is put in order', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  for (const sequence of [65_534, 0, 1]) buffer.push(packet(sequence), 10);
  t.same(due(buffer, 10), [65_534]);
  t.equal(buffer.held, 2);
  t.same(due(buffer, 109), []);
  buffer.push(packet(65_535), 50);
  t.same(due(buffer, 50), [65_535, 0, 1]);
  t.equal(buffer.counters.reordered, 1);
  t.equal(buffer.counters.lost, 0);
});

t.test('each gap is given up after its own wait', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  buffer.push(packet(1), 0);
  buffer.push(packet(4), 10);
  buffer.push(packet(6), 60);
  buffer.push(packet(7), 90);
  t.same(due(buffer, 109), [1]);
  t.same(due(buffer, 110), [-2, 4]);
  t.same(due(buffer, 159), [], 'the second gap was detected later');
  buffer.push(packet(2), 159);
  t.equal(buffer.counters.late, 1, 'a packet after the wait is late');
  t.same(due(buffer, 160), [-1, 6, 7]);
  t.equal(buffer.counters.lost, 3);
});

t.test('without a wait every gap is a loss at once', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  buffer.push(packet(1), 0);
  buffer.push(packet(3), 0);
  t.same(due(buffer, 0, 0), [1, -1, 3]);
});

t.test('duplicates are dropped', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  for (const sequence of [1, 3, 3, 1, 2, 2, 3]) buffer.push(packet(sequence), 0);
  t.same(due(buffer), [1, 2, 3]);
  t.equal(buffer.counters.duplicates, 1);
  t.equal(buffer.counters.late, 3);
});

t.test('the number of buffered packets is limited: the oldest gap is given up first', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 5 });
  buffer.push(packet(10), 0);
  for (let sequence = 12; sequence < 20; sequence += 2) buffer.push(packet(sequence), 0);
  t.ok(buffer.held <= 5);
  t.same(due(buffer), [10, -1, 12], '18 is six positions behind 12');
  t.same(due(buffer, 100), [-1, 14, -1, 16, -1, 18]);
});

t.test('a burst of losses larger than the buffer', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  buffer.push(packet(1), 0);
  buffer.push(packet(3), 0);
  buffer.push(packet(1000), 0);
  t.same(due(buffer), [1, -1, 3, -980], 'the last 16 may still arrive');
  t.same(due(buffer, 100), [-16, 1000]);
});

t.test('a new sequence is confirmed by two packets, and none is lost', async (t) => {
  for (const [first, second] of [
    [30_000, 30_001],
    [30_001, 30_000],
  ] as const) {
    const buffer = new ReorderBuffer({ maxPackets: 16 });
    for (const sequence of [1, 2, 4]) buffer.push(packet(sequence), 0);
    buffer.push(packet(first), 0);
    t.same(due(buffer), [1, 2]);
    buffer.push(packet(second), 0);
    t.same(due(buffer), [-1, 4, -1, 30_000, 30_001]);
    t.equal(buffer.counters.restarts, 1);
  }
});

t.test('stray packets change nothing, unless they follow each other', async (t) => {
  for (const sequences of [
    [1, 30_000, 2, 30_001, 3],
    [1, 30_000, 30_000, 2],
    [1, 30_000, 30_017, 2],
  ]) {
    for (const mayPass of [false, true]) {
      const buffer = new ReorderBuffer({ maxPackets: 16 });
      for (const sequence of sequences)
        if (!mayPass || !buffer.passes(packet(sequence))) buffer.push(packet(sequence), 0);
      t.equal(buffer.counters.restarts, 0, `${sequences}`);
    }
  }
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  for (const sequence of [1, 30_000, 30_016]) buffer.push(packet(sequence), 0);
  t.equal(buffer.counters.restarts, 1, 'even with losses between them');
});

t.test('another SSRC starts a new sequence', async (t) => {
  const buffer = new ReorderBuffer({ maxPackets: 16 });
  for (const sequence of [1, 3]) buffer.push(packet(sequence), 0);
  buffer.push(packet(2, 9), 0);
  buffer.push(packet(3, 9), 0);
  t.same(due(buffer), [1, -1, 3, -1, 2, 3]);
});

t.test('an invalid size is refused', async (t) => {
  for (const maxPackets of [0, -1, NaN, 100_000]) t.throws(() => new ReorderBuffer({ maxPackets }), RangeError);
});

t.test('packets shuffled within the buffer’s size are returned in order and complete', async (t) => {
  const order = fc
    .tuple(
      fc.integer({ min: 0, max: 65_535 }),
      fc.array(fc.tuple(fc.nat({ max: 8 }), fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 300 }),
    )
    .map(([start, steps]) => ({
      start,
      // Each packet is delayed by up to 8 positions, lost, or duplicated; the sequence begins with the first one.
      arrivals: steps
        .flatMap(([delay, lost, twice], index) => {
          if (index === 0) return [{ index, at: -1 }];
          if (lost && delay === 0) return [];
          const copies = [{ index, at: index + delay }];
          if (twice) copies.push({ index, at: index + delay + 1 });
          return copies;
        })
        .sort((a, b) => a.at - b.at)
        .map(({ index }) => index),
      count: steps.length,
    }));
  fc.assert(
    fc.property(order, ({ start, arrivals, count }) => {
      const buffer = new ReorderBuffer({ maxPackets: 32 });
      const output: Array<number> = [];
      let position = 0;
      const take = (nowMs: number, waitMs: number): void => {
        for (const item of buffer.pop(nowMs, waitMs)) {
          if ('lost' in item) position += item.lost;
          else {
            if (item.sequenceNumber !== ((start + position) & 0xffff))
              throw new Error(`${item.sequenceNumber} is out of place`);
            output.push(position++);
          }
        }
      };
      for (const index of arrivals) {
        buffer.push(packet(start + index), 0);
        take(0, 1000);
        if (buffer.held > 32) throw new Error('holds too much');
      }
      take(1000, 1000);
      const expected = [...new Set(arrivals)].sort((a, b) => a - b);
      return JSON.stringify(output) === JSON.stringify(expected) && buffer.held === 0 && position <= count;
    }),
    { numRuns: 300 },
  );
});

t.test('any numbers at any times: bounded, and each packet at most once', async (t) => {
  const arrival = fc.record({
    sequence: fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 0, max: 40 })),
    ssrc: fc.constantFrom(1, 1, 1, 1, 2),
    elapsed: fc.nat({ max: 50 }),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 300 }), (arrivals) => {
      const buffer = new ReorderBuffer({ maxPackets: 20 });
      const seen = new Set<unknown>();
      let nowMs = 0;
      for (const { sequence, ssrc, elapsed } of arrivals) {
        nowMs += elapsed;
        buffer.push(packet(sequence, ssrc), nowMs);
        for (const item of buffer.pop(nowMs, 40)) {
          if (seen.has(item)) return false;
          seen.add(item);
          if ('lost' in item && !(item.lost > 0)) return false;
        }
        // No gap is held for longer than the wait.
        if (buffer.held > 20 || buffer.pop(nowMs, 40).length > 0) return false;
      }
      buffer.pop(nowMs + 40, 40);
      return buffer.held === 0;
    }),
    { numRuns: 300 },
  );
});

t.test(
  'packets that pass are those that would have been returned at once, with any numbers at any times',
  async (t) => {
    const near = fc.record({
      step: fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        fc.integer({ min: -4, max: 6 }),
        fc.nat({ max: 65_535 }),
      ),
      ssrc: fc.constantFrom(1, 1, 1, 1, 1, 1, 2),
      elapsed: fc.nat({ max: 30 }),
    });
    let passed = 0;
    fc.assert(
      fc.property(fc.array(near, { maxLength: 200, size: 'max' }), fc.nat({ max: 65_535 }), (arrivals, start) => {
        const [plain, quick] = [new ReorderBuffer({ maxPackets: 20 }), new ReorderBuffer({ maxPackets: 20 })];
        const [expected, output]: number[][] = [[], []];
        let [sequence, nowMs] = [start, 0];
        for (const { step, ssrc, elapsed } of arrivals) {
          sequence += step;
          nowMs += elapsed;
          plain.push(packet(sequence, ssrc), nowMs);
          expected!.push(...due(plain, nowMs, 40));
          if (quick.passes(packet(sequence, ssrc))) {
            passed++;
            output!.push(sequence & 0xffff);
          } else {
            quick.push(packet(sequence, ssrc), nowMs);
            output!.push(...due(quick, nowMs, 40));
          }
        }
        return (
          JSON.stringify([output, quick.counters, quick.held]) ===
          JSON.stringify([expected, plain.counters, plain.held])
        );
      }),
      { numRuns: 500 },
    );
    t.ok(passed > 2000, `${passed} passed`);
  },
);
