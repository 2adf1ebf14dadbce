import t from 'tap';
import { HostMemory, notesIn, type HostNotes } from '../../../../../src/outputs/push/codecs/host-memory.ts';
import { silentLogger } from '../../../../../src/observe/logger.ts';
import { MemoryStore } from '../../../../../src/store/memory-store.ts';

const place = { host: 'Media.Example.com', port: 1935 };
const day = 24 * 3_600_000;

t.test('what is learnt of a server is kept for seven days, by host and port', async (t) => {
  let nowMs = Date.now();
  const store = new MemoryStore({ logger: silentLogger, now: () => nowMs });
  const memory = new HostMemory({ notes: notesIn(store), logger: silentLogger });
  t.strictSame(await memory.recall(place), {});
  await memory.learn(place, (before) => ({ ...before, announced: ['av01'] }));
  await memory.learn(place, (before) => ({ ...before, failsOnExtras: true }));
  const known = { announced: ['av01'], failsOnExtras: true };
  t.strictSame(await memory.recall({ host: 'media.example.com', port: 1935 }), known);
  t.strictSame(await memory.recall({ ...place, port: 1936 }), {});
  const again = new HostMemory({ notes: notesIn(store), logger: silentLogger });
  t.strictSame(await again.recall(place), known, 'another process has it');
  nowMs += 6.9 * day;
  t.strictSame(await memory.recall(place), known);
  nowMs += 0.2 * day;
  t.strictSame(await memory.recall(place), {});
});

t.test('hosts may be longer than keys of a store, and are not in it', async (t) => {
  const written: string[] = [];
  const notes: HostNotes = { read: async () => undefined, write: async (key) => void written.push(key) };
  const memory = new HostMemory({ notes, logger: silentLogger });
  await memory.learn({ host: `${'a'.repeat(60)}.`.repeat(4), port: 1 }, () => ({ failsOnExtras: true }));
  t.match(written[0], /^[0-9a-f]{64}$/);
});

t.test('a store that fails, and a note that cannot be read, are as if nothing was known', async (t) => {
  const failing: HostNotes = {
    read: () => Promise.reject(new Error('Redis is away')),
    write: () => Promise.reject(new Error('Redis is away')),
  };
  const memory = new HostMemory({ notes: failing, logger: silentLogger });
  await memory.learn(place, () => ({ failsOnExtras: true }));
  t.strictSame(await memory.recall(place), {});
  for (const text of ['', '{', '[]', '{"refused":"av01"}', `{"announced":${JSON.stringify(Array(99).fill('av01'))}}`]) {
    const notes: HostNotes = { read: async () => text, write: async () => undefined };
    t.strictSame(await new HostMemory({ notes, logger: silentLogger }).recall(place), {});
  }
});
