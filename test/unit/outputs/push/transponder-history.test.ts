import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createLogger, silentLogger } from '../../../../src/observe/logger.ts';
import { TransponderHistory } from '../../../../src/outputs/push/transponder-history.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import { SecretBox } from '../../../../src/store/secret-box.ts';
import { openState } from '../../../../src/store/state.ts';
import type { TransponderView } from '../../../../src/views/push-view.ts';
import { viewOf } from '../../../helpers/fake-transponders.ts';

const folder = await mkdtemp(join(tmpdir(), 'history-'));
t.teardown(() => rm(folder, { recursive: true }));

const ended = (id: number, more: Partial<TransponderView> = {}): TransponderView =>
  viewOf(
    { streamName: 'show', rtmpUrl: 'rtmp://user:passw0rd@rtmp.example.com/live/k3y' },
    {
      mediaSessionId: `id-${id}`,
      streamName: 'k3y',
      status: 'ended',
      reason: 'Lost.',
      reasonCode: 'DESTINATION_LOST',
      endedAt: '2026-01-01T00:00:10.000Z',
      bytesSent: 1000 + id,
      ...more,
    },
  );
const ids = (history: TransponderHistory): string[] => history.list().map(({ mediaSessionId }) => mediaSessionId);

/** A history as a gateway with `state_dir` has it. */
async function open(directory: string, kept = 3) {
  const { store, box } = await openState({ directory: join(folder, directory), key: '', logger: silentLogger });
  const history = await TransponderHistory.create({ store, box, kept, logger: silentLogger });
  const close = async (): Promise<void> => {
    await history.close();
    await store.close();
  };
  return { history, store, close };
}

t.test('survives a restart, the latest first, and no more than are kept', async (t) => {
  const first = await open('restart');
  const last = ended(5, { options: { action: 'sound_on', soundFile: 'a.wav', loop: true } });
  for (const view of [ended(1), ended(2, { options: { action: 'mute' } }), ended(3), ended(4), last])
    first.history.add(view);
  t.strictSame(ids(first.history), ['id-5', 'id-4', 'id-3']);
  await first.close();

  const second = await open('restart');
  t.strictSame(ids(second.history), ['id-5', 'id-4', 'id-3']);
  t.strictSame(second.history.list()[0], last, 'with every field, the URL included');
  second.history.add(ended(6));
  t.strictSame(ids(second.history), ['id-6', 'id-5', 'id-4']);
  await second.close();

  const fewer = await open('restart', 1);
  t.strictSame(ids(fewer.history), ['id-6']);
  await fewer.close();
  const more = await open('restart', 10);
  t.strictSame(ids(more.history), ['id-6'], 'what was no longer kept is gone');
  await more.close();
  const none = await open('restart', 0);
  none.history.add(ended(7));
  t.strictSame(ids(none.history), []);
  await none.close();
  const after = await open('restart', 10);
  t.strictSame(ids(after.history), []);
  await after.close();
});

t.test('no file of the state holds the URL, the password or the stream key', async (t) => {
  const { history, close } = await open('secrets');
  history.add(ended(1));
  await history.close();
  for (const name of await readdir(join(folder, 'secrets'))) {
    const bytes = await readFile(join(folder, 'secrets', name), 'latin1');
    t.notMatch(bytes, /k3y|passw0rd/, name);
  }
  await close();
});

t.test('with a key that is not the right one the rest is shown, without the URL', async (t) => {
  const store = new MemoryStore({ logger: silentLogger });
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'warn', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const first = await TransponderHistory.create({ store, box: SecretBox.withRandomKey(), kept: 3, logger });
  first.add(ended(1));
  await first.close();
  const second = await TransponderHistory.create({ store, box: SecretBox.withRandomKey(), kept: 3, logger });
  t.match(second.list(), [{ rtmpUrl: 'rtmp://example.com/live', streamName: '', bytesSent: 1001 }]);
  t.match(JSON.parse(lines[0]!), { transponder: 'id-1', reason: /another key/ });
});

t.test('a store that fails costs the durability, and nothing else', async (t) => {
  const store = new MemoryStore({ logger: silentLogger });
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'error', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const history = await TransponderHistory.create({ store, box: SecretBox.withRandomKey(), kept: 3, logger });
  await history.close();
  await store.close();
  history.add(ended(1));
  await history.close();
  t.strictSame(ids(history), ['id-1']);
  t.match(JSON.parse(lines[0]!), { msg: 'the history of ended transponders could not be stored' });
});

t.test('transponders that end within one millisecond keep their order', async (t) => {
  const first = await open('order', 50);
  for (let i = 0; i < 30; i++) first.history.add(ended(i));
  const expected = ids(first.history);
  await first.close();
  const second = await open('order', 50);
  t.strictSame(ids(second.history), expected);
  await second.close();
});
