import t from 'tap';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';
import { HANDSHAKE_SIZE, meet, readCorpus } from '../../fuzz/rtmp-target.ts';

/** Mutations that the suite tries, all at the same time; `test/fuzz/run.ts` tries more. */
const RUNS = 200;

const corpus = readCorpus();

void t.test('recorded server data, whole and byte by byte, never causes an exception', async (t) => {
  for (const [name, bytes] of corpus) {
    for (const size of [bytes.length, 7, 1]) await t.resolves(meet(bytes, size), `${name} in pieces of ${size}`);
  }
});

void t.test('mutations of recorded server data never cause an exception', async (t) => {
  const seed = Date.now();
  const runs = Array.from({ length: RUNS }, (_, index) => {
    const random = seededRandom(seed + index);
    const bytes = mutate([...corpus.values()], HANDSHAKE_SIZE, random);
    return meet(bytes, 1 + random(bytes.length + 1));
  });
  await t.resolves(Promise.all(runs), `seeds ${seed} to ${seed + RUNS - 1}`);
});
