import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { Liveness } from '../../../../src/outputs/push/liveness.ts';
import { Acknowledgements, KERNELS_HOLD } from '../../../../src/rtmp/acknowledgements.ts';

const TIMEOUT = 10_000;
const NONE = { count: 0, passed: 0, longest: 0 };

void t.test('a peer without acknowledgements is judged by the bytes passed to the kernel', async (t) => {
  const liveness = new Liveness({ timeoutMs: TIMEOUT }, 0);
  const look = (handed: number, queued: number, now: number): boolean =>
    liveness.update({ handed, queued, acknowledged: undefined, rhythm: NONE }, now);
  t.notOk(look(1000, 0, 0));
  t.notOk(look(1000, 0, 60_000), 'a pause of the stream is no stall');
  t.notOk(look(5000, 4000, 61_000));
  t.notOk(look(9000, 8000, 69_999));
  t.ok(look(9000, 8000, 70_000));
  t.notOk(look(9000, 7999, 70_001), 'a byte has been taken');
  t.equal(liveness.taken, 1001);
});

void t.test('a peer that acknowledges and falls silent is dead, although all has left for the kernel', async (t) => {
  const looks = (count: number, ignoresSilence = false): ((handed: number, now: number) => boolean) => {
    const liveness = new Liveness({ timeoutMs: TIMEOUT, ignoresSilence }, 0);
    const rhythm = { count, passed: 1000, longest: 1000 };
    return (handed, now) => liveness.update({ handed, queued: 0, acknowledged: 1000, rhythm }, now);
  };
  const steady = looks(16);
  t.notOk(steady(1500, 0));
  t.notOk(steady(3000, 50_000), 'it may owe two intervals for ever, as a slow stream makes it do');
  t.notOk(steady(3001, 51_000));
  t.ok(steady(9000, 60_000));

  const newcomer = looks(1);
  t.notOk(newcomer(1500, 0));
  t.notOk(newcomer(9000, 2 * TIMEOUT - 1), 'one that has acknowledged once gets more time');
  t.ok(newcomer(9000, 2 * TIMEOUT));

  const doubted = looks(16, true);
  t.notOk(doubted(1500, 0));
  t.notOk(doubted(9000, 10 * TIMEOUT), 'its silence has proved nothing before');

  const reading = looks(16);
  t.notOk(reading(1500, 0));
  t.notOk(reading(2000 + KERNELS_HOLD, TIMEOUT), 'the kernels cannot hold so much');
  t.notOk(reading(2000 + KERNELS_HOLD, 10 * TIMEOUT));
});

void t.test('a first acknowledgement may be far below the bytes passed to the kernel', async (t) => {
  const liveness = new Liveness({ timeoutMs: TIMEOUT }, 0);
  liveness.update({ handed: 5_000_000, queued: 0, acknowledged: undefined, rhythm: NONE }, 0);
  const look = (count: number, now: number): boolean =>
    liveness.update(
      {
        handed: 6_000_000,
        queued: 0,
        acknowledged: count * 100_000,
        rhythm: { count, passed: 6_000_000, longest: 1e5 },
      },
      now,
    );
  for (let step = 1; step <= 20; step++) t.notOk(look(step, TIMEOUT + step * 5000));
  t.equal(liveness.taken, 5_000_000, 'what was said is not taken back');
});

/** What servers acknowledge: `got` is what they have received, `step` what they have since their last acknowledgement. */
const SERVERS: Readonly<Record<string, (got: number, step: number, index: number) => number | undefined>> = {
  'a running total': (got) => got,
  'a constant (YouTube)': () => 131_325,
  'the bytes since the last one (livego)': (_, step) => step,
  'a total that is reset': (got, _, index) => (index % 7 === 6 ? 0 : got % 600_000),
  'a total that wraps at 2^32': (got) => (got + 2 ** 32 - 500_000) % 2 ** 32,
  'a total that wraps at 0xf0000000 (nginx-rtmp)': (got) => (got + 0xf0000000 - 500_000) % 0xf0000000,
  'ahead of what was sent': (got) => got + 10_000_000,
  'twice what was sent': (got) => 2 * got,
  'far behind what was sent': (got) => Math.floor(got / 100),
  'first right, then constant': (got, _, index) => (index < 5 ? got : 700_000),
  'first constant, then right': (got, _, index) => (index < 5 ? 131_325 : got),
  'in turns': (got, _, index) => (index % 2 === 0 ? got : 131_325),
  'backwards once': (got, _, index) => (index === 5 ? got - 200_000 : got),
  zero: () => 0,
  nothing: () => undefined,
};

/** A connection in steps of 100 ms, with kernels that hold `kernels` bytes. @returns when the peer was found dead */
function simulate(
  acknowledge: (typeof SERVERS)[string],
  { rate, window, kernels, frozenMs }: { rate: number; window: number; kernels: number; frozenMs: number },
  endMs: number,
): { deadMs: number | undefined; taken: number; got: number } {
  const acknowledgements = new Acknowledgements();
  const liveness = new Liveness({ timeoutMs: TIMEOUT }, 0);
  let [sent, passed, got, told, index] = [3500, 3500, 3500, 0, 0];
  acknowledgements.mediaBegins(passed);
  for (let nowMs = 0; nowMs < endMs; nowMs += 100) {
    if (sent - passed < 512 * 1024) sent += rate / 10;
    passed = Math.min(sent, got + kernels);
    if (nowMs < frozenMs) got = passed;
    if (got - told >= window) {
      const number = acknowledge(got, got - told, index++);
      told = got;
      if (number !== undefined) acknowledgements.take(number, sent, passed);
    }
    const acknowledged = acknowledgements.known ? acknowledgements.acknowledged : undefined;
    const bytes = { handed: sent, queued: sent - passed, acknowledged, rhythm: acknowledgements.rhythm };
    if (liveness.update(bytes, nowMs)) return { deadMs: nowMs, taken: liveness.taken, got };
  }
  return { deadMs: undefined, taken: liveness.taken, got };
}

void t.test('whatever a server acknowledges, it is alive while it reads, and found when it does not', async (t) => {
  // Bytes per second: from audio alone to 20 Mbit/s.
  const rate = fc.integer({ min: 5000, max: 2_500_000 });
  const window = fc.integer({ min: 2000, max: 5_000_000 });
  const kernels = fc.integer({ min: 100_000, max: 4_000_000 });
  for (const [name, acknowledge] of Object.entries(SERVERS)) {
    fc.assert(
      fc.property(fc.record({ rate, window, kernels }), (link) => {
        const { deadMs, taken, got } = simulate(acknowledge, { ...link, frozenMs: Infinity }, 120_000);
        deepStrictEqual(deadMs, undefined);
        if (taken > got) throw new Error('more than was sent has been taken');
      }),
      { numRuns: 60 },
    );
    // 2.5 Mbit/s, with the kernels of the tests and the window that the client asks for.
    const frozenMs = 20_000;
    const link = { rate: 312_500, window: 131_072, kernels: 3_750_000, frozenMs };
    const { deadMs = Infinity } = simulate(acknowledge, link, 100_000);
    t.ok(deadMs > frozenMs && deadMs <= frozenMs + 25_000, `${name}: found after ${deadMs - frozenMs} ms`);
    if (name === 'nothing') continue;
    const slow = simulate(acknowledge, { ...link, rate: 100_000 }, 100_000);
    t.ok((slow.deadMs ?? Infinity) <= frozenMs + 25_000, `${name}: at a low rate`);
  }
});
