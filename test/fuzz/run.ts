/**
 * Fuzzes the RTMP client with mutations of what real servers send, or the video pipeline from RTP to FLV with mutations
 * of H.264 that has slices and B-frames of any kind.
 *
 *     node test/fuzz/run.ts [--target rtmp|rtp] [--seconds 60] [--seed N]
 *
 * A finding of the video pipeline is the seed. One of the RTMP client is written to test/fuzz/corpus, where the unit tests use it, and ends the run with exit code 1.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mutate, seededRandom } from './mutate.ts';
import { HANDSHAKE_SIZE, meet, readCorpus } from './rtmp-target.ts';
import { playH264 } from './rtp-target.ts';

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'rtmp' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now()) },
  },
});
const corpus = [...readCorpus().values()];
const end = performance.now() + Number(values.seconds) * 1000;
const reasons = new Map<string, number>();
/** Parallel connections; most of them only wait for answers. */
const PARALLEL = 50;

let seed = Number(values.seed);
let current: Buffer = Buffer.alloc(0);
let runs = 0;

function finding(error: unknown, bytes: Buffer): never {
  const file = join(import.meta.dirname, 'corpus', `finding-${Date.now()}.bin`);
  writeFileSync(file, bytes);
  console.error(`${file}:`, error);
  process.exit(1);
}
process.on('uncaughtException', (error) => {
  if (values.target === 'rtmp') finding(error, current);
  console.error(`seed ${seed - 1}:`, error);
  process.exit(1);
});

async function onceRtp(): Promise<void> {
  const random = seededRandom(seed++);
  const { fault } = await playH264(random, 1 + random(40));
  if (fault) throw new Error(fault);
  reasons.set('played', ++runs);
}

async function onceRtmp(): Promise<void> {
  const random = seededRandom(seed++);
  const bytes = mutate(corpus, HANDSHAKE_SIZE, random);
  current = bytes;
  const reason = await meet(bytes, 1 + random(bytes.length + 1)).catch((error: unknown) => finding(error, bytes));
  const key = reason ? `${reason.code}: ${reason.message}` : 'nothing wrong';
  reasons.set(key, (reasons.get(key) ?? 0) + 1);
  runs++;
}

while (performance.now() < end)
  if (values.target === 'rtp') await onceRtp();
  else await Promise.all(Array.from({ length: PARALLEL }, onceRtmp));
console.log(`${runs} runs from seed ${values.seed}, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`);
for (const [reason, count] of [...reasons].sort((a, b) => b[1] - a[1]))
  console.log(`${String(count).padStart(8)} ${reason}`);
