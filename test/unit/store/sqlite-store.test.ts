import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { z } from 'zod';
import { silentLogger } from '../../../src/observe/logger.ts';
import { openDatabase } from '../../../src/store/sqlite-database.ts';
import { SqliteStore } from '../../../src/store/sqlite-store.ts';

const folder = await mkdtemp(join(tmpdir(), 'sqlite-'));
t.teardown(() => rm(folder, { recursive: true }));
const open = (name: string, now?: () => number): Promise<SqliteStore> =>
  SqliteStore.create(join(folder, name), { logger: silentLogger, ...(now && { now }) });

t.test('records and work are there after a restart, in a file that only its owner can read', async (t) => {
  const first = await open('restart.db');
  await first.records('numbers', z.number()).put('a', 1);
  await first.queue('work', z.string()).push('do');
  for (const name of ['restart.db', 'restart.db-wal'])
    t.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
  await first.close();
  const second = await open('restart.db');
  t.equal((await second.records('numbers', z.number()).get('a'))?.value, 1);
  t.match(await second.queue('work', z.string()).take(1, 1000), [{ value: 'do' }]);
  await second.close();
});

t.test('a process that is killed loses nothing that was written', async (t) => {
  const file = join(folder, 'killed.db');
  const source = (name: string): string => new URL(`../../../src/${name}`, import.meta.url).href;
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--no-warnings',
      '--eval',
      `import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
       import { silentLogger as logger } from ${JSON.stringify(source('observe/logger.ts'))};
       import { SqliteStore } from ${JSON.stringify(source('store/sqlite-store.ts'))};
       const store = await SqliteStore.create(${JSON.stringify(file)}, { logger });
       const records = store.records('numbers', z.number());
       for (let i = 0; ; i++) {
         await records.put(String(i).padStart(9, '0'), i);
         process.stdout.write(i + '\\n');
         if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
       }`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let written = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written += text;
    if (written.length > 2000) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const confirmed = written.split('\n').length - 1;
  const store = await open('killed.db');
  const records = await store.records('numbers', z.number()).list({ limit: 1_000_000 });
  t.ok(records.length >= confirmed && confirmed > 100, `${records.length} records, ${confirmed} confirmed`);
  t.ok(records.every(({ value }, index) => value === index));
  await store.close();
});

t.test('expired records are removed from the file', async (t) => {
  let nowMs = 1000;
  const store = await open('expiry.db', () => nowMs);
  const records = store.records('numbers', z.number());
  for (let i = 0; i < 10; i++) await records.put(`old-${i}`, i, { expiresAt: new Date(2000) });
  nowMs = 100_000;
  await records.put('new', 1);
  await store.close();
  const database = await openDatabase(join(folder, 'expiry.db'));
  t.equal(database.prepare('SELECT count(*) AS n FROM records').get()!['n'], 1);
  database.close();
});

t.test('a file that cannot be used: what is wrong, and what to do', async (t) => {
  await writeFile(join(folder, 'text.db'), 'this is not a database, but long enough to have a header'.repeat(20));
  await t.rejects(open('text.db'), {
    code: 'SETTINGS_INVALID',
    message: /text\.db is damaged \(.*not a database\)\. Restore it from a backup, or move it away/,
  });

  const store = await open('broken.db');
  const records = store.records('texts', z.string());
  for (let i = 0; i < 200; i++) await records.put(`key-${i}`, 'x'.repeat(1000));
  await store.close();
  const bytes = await readFile(join(folder, 'broken.db'));
  bytes.fill(0xff, 8192, 40_000);
  await writeFile(join(folder, 'broken.db'), bytes);
  await t.rejects(open('broken.db'), { code: 'SETTINGS_INVALID', message: /broken\.db is damaged/ });

  const newer = await openDatabase(join(folder, 'newer.db'));
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  await t.rejects(open('newer.db'), { code: 'SETTINGS_INVALID', message: /newer version.*format 99/ });

  await t.rejects(open('missing/state.db'), {
    code: 'SETTINGS_INVALID',
    message: /cannot be opened \(ENOENT\).*writable/,
  });
});

t.test('a file that another process holds for long is not waited for', async (t) => {
  const [one, other] = [await openDatabase(join(folder, 'busy.db')), await open('busy.db')];
  one.exec('BEGIN IMMEDIATE');
  const startedMs = performance.now();
  await t.rejects(other.records('numbers', z.number()).put('a', 1), /locked/);
  t.ok(performance.now() - startedMs < 10 * 250);
  one.exec('COMMIT');
  await other.records('numbers', z.number()).put('a', 1);
  one.close();
  await other.close();
});
