import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { openState } from '../../../src/store/state.ts';

const folder = await mkdtemp(join(tmpdir(), 'state-'));
t.teardown(() => rm(folder, { recursive: true }));
const open = (name: string, key = '') =>
  openState({ directory: name && join(folder, name), key, logger: silentLogger });
const newKey = (): string => randomBytes(32).toString('base64');

t.test('without a key a file is created that only its owner can read, and used again', async (t) => {
  const first = await open('own/deep');
  const sealed = first.box.seal('secret', 'place');
  await first.store.close();
  t.equal((await stat(join(folder, 'own'))).mode & 0o777, 0o700);
  t.equal((await stat(join(folder, 'own/deep/state.key'))).mode & 0o777, 0o600);
  const second = await open('own/deep');
  t.equal(second.box.open(sealed, 'place'), 'secret');
  await second.store.close();
});

t.test('with a key no file is created; another key is refused', async (t) => {
  const key = newKey();
  await (await open('given', key)).store.close();
  await t.rejects(readFile(join(folder, 'given/state.key')), { code: 'ENOENT' });
  await (await open('given', key)).store.close();
  await t.rejects(open('given', newKey()), {
    code: 'SETTINGS_INVALID',
    message: /state_key does not open .*state\.db \(.*another key\)\. Restore the key/,
  });
  await t.rejects(
    open('given'),
    { code: 'SETTINGS_INVALID', message: /state\.key does not open/ },
    'nor a new key file',
  );
});

t.test('a key file that is damaged', async (t) => {
  await (await open('damaged')).store.close();
  for (const text of ['', 'short', `${newKey()}${newKey()}`]) {
    await writeFile(join(folder, 'damaged/state.key'), text);
    await t.rejects(open('damaged'), { code: 'SETTINGS_INVALID', message: /state\.key is not 32 bytes in base64/ });
  }
});

t.test('a directory that cannot be created', async (t) => {
  await writeFile(join(folder, 'file'), '');
  await t.rejects(open('file/state'), { code: 'SETTINGS_INVALID', message: /cannot be created \(ENOTDIR\)/ });
});

t.test('without a directory everything is in memory', async (t) => {
  const { store, box } = await open('');
  t.equal(box.open(box.seal('secret', 'place'), 'place'), 'secret');
  await store.close();
});
