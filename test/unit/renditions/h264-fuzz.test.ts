import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { seededRandom } from '../../fuzz/mutate.ts';
import { PLAYED_FRAMES, playH264 } from '../../fuzz/rtp-target.ts';

/** Streams that the suite tries; `test/fuzz/run.ts --target rtp` tries more. */
const RUNS = Number(process.env.RUNS ?? 300);
const FIRST_SEED = Number(process.env.SEED ?? Date.now());
const COUNTED_RUNS = 10;
/** The packets of the frame that is not complete, and those that wait for it. */
const MAX_HELD = 100;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** References are weak from the next tick on. */
async function collect(): Promise<void> {
  await setImmediate();
  gc();
}

t.test('slices and B-frames of any kind: every frame becomes a tag', async (t) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS / 4; seed++) {
    const { frames, fault } = await playH264(seededRandom(seed), 0);
    t.equal(fault, undefined, `SEED=${seed}`);
    t.equal(frames, PLAYED_FRAMES, `SEED=${seed}`);
  }
});

t.test('mutations: no exception, rising decoding times, no more bytes than came', async (t) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
    const random = seededRandom(seed);
    const { fault, bytesIn, bytesOut } = await playH264(random, 1 + random(40));
    if (fault) t.fail(`SEED=${seed}: ${fault}`);
    // Each frame has a header, and each key frame may have another sequence header.
    if (bytesOut > 2 * bytesIn + PLAYED_FRAMES * 2048) t.fail(`SEED=${seed}: ${bytesOut} bytes from ${bytesIn}`);
  }
  t.pass(`${RUNS} runs from SEED=${FIRST_SEED}`);
});

t.test('mutations: packets are not kept', async (t) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNTED_RUNS; seed++) {
    const { held } = await playH264(seededRandom(seed), 5, collect);
    t.ok(held <= MAX_HELD, `SEED=${seed}: ${held} packets are kept`);
  }
});
