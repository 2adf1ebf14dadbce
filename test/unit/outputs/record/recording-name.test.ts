import t from 'tap';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { baseName, fileName, pathOf } from '../../../../src/outputs/record/recording-name.ts';
import { expiredRecordings } from '../../../../src/outputs/record/retention.ts';
import type { Recording } from '../../../../src/outputs/record/recordings.ts';

const parts = { startedAt: new Date('2026-11-24T01:02:03.456Z'), id: '0a1b2c3d-4e5f-4000-8000-000000000000' };
const TEMPLATE = '{stream}-{date}-{time}-{id}';
const FOLDER = '/recordings';

await t.test('names', async (t) => {
  t.equal(baseName(TEMPLATE, { ...parts, stream: 'show' }), 'show-2026-11-24-01-02-03-0a1b2c3d');
  t.equal(fileName('a', 1, 'mp4'), 'a.mp4');
  t.equal(fileName('a', 2, 'flv'), 'a-0002.flv');
  t.equal(baseName('{id}', { ...parts, stream: 'show' }), '0a1b2c3d');
  t.equal(baseName('{stream}-{id}', { ...parts, stream: 'Straße 東京' }), 'Straße_東京-0a1b2c3d');
});

await t.test('a stream cannot lead out of the folder', async (t) => {
  const nasty = [
    '../../etc/passwd',
    '/etc/passwd',
    '..',
    '.',
    '.hidden',
    'a/../b',
    'a\\b',
    '$&',
    '{id}{id}',
    '%2e%2e%2f',
    '\ud800',
    'e\u0301'.repeat(200),
    '😀'.repeat(200),
    '-rf',
  ];
  for (const stream of nasty) {
    const file = fileName(baseName(TEMPLATE, { ...parts, stream }), 12, 'mp4');
    t.match(pathOf(FOLDER, file), /^\/recordings\/[^/\\]+$/, JSON.stringify(stream));
    t.ok(Buffer.byteLength(file) <= 255);
    t.notOk(file.startsWith('.'));
    t.match(file, /0a1b2c3d-0012\.mp4$/);
  }
  for (const file of ['', '.', '..', '../a', 'a/b', '/a', 'a\0', 'a/'])
    t.throws(() => pathOf(FOLDER, file), RangeError, JSON.stringify(file));
});

await t.test('templates', async (t) => {
  const parse = (text: string) => SettingsSchema.safeParse({ record_template: text }).success;
  for (const good of [TEMPLATE, '{id}', 'rec_{date} {id}', 'a.b-{id}']) t.ok(parse(good), good);
  for (const bad of [
    '',
    'name',
    '../{id}',
    '{id}/{stream}',
    '.{id}',
    '{id}{id}',
    '{nope}{id}',
    '{id}\n',
    `{id}${'x'.repeat(100)}`,
  ])
    t.notOk(parse(bad), bad);
});

await t.test('retention', async (t) => {
  const DAY = 86_400_000;
  const now = Date.parse('2026-11-24T00:00:00Z');
  const recording = (
    id: string,
    daysAgo: number,
    bytes: number,
    state: Recording['state'] = 'complete',
  ): Recording => ({
    ...{ id, series: id, part: 1, stream: 's', file: id, format: 'mp4', state, bytes },
    ...{ startedAt: new Date(now - daysAgo * DAY).toISOString(), durationMs: 0, framesDropped: 0, width: 0, height: 0 },
  });
  const all = [recording('a', 9, 10, 'recording'), recording('b', 8, 10), recording('c', 3, 10), recording('d', 1, 10)];
  const expired = (keepMs: number, maxTotalBytes: number) =>
    expiredRecordings(all, { keepMs, maxTotalBytes }, now).deleted.map(({ id }) => id);
  t.strictSame(expired(0, 0), []);
  t.strictSame(expired(7 * DAY, 0), ['b']);
  t.strictSame(expired(0, 25), ['b', 'c'], 'the oldest, but not one that runs');
  t.strictSame(expired(2 * DAY, 20), ['b', 'c']);
  t.strictSame(expired(0, 40), []);

  const storage = { bucket: 'b', key: 'k', uploadedBytes: 0, partBytes: 1, local: true };
  const kept = [
    { ...recording('e', 9, 10), storage: { ...storage, state: 'stored', local: false } as const },
    { ...recording('f', 8, 10), storage: { ...storage, state: 'retrying' } as const },
    { ...recording('g', 7, 10), storage: { ...storage, state: 'stored' } as const },
    { ...recording('h', 6, 10), storage: { ...storage, state: 'stored' } as const },
  ];
  const inBucket = (keepMs: number, maxTotalBytes: number) => {
    const { deleted, released } = expiredRecordings(kept, { keepMs, maxTotalBytes }, now);
    return [deleted, released].map((some) => some.map(({ id }) => id).join(''));
  };
  t.strictSame(inBucket(0, 30), ['', ''], 'a file that is not on the disk does not count');
  t.strictSame(inBucket(0, 25), ['', 'g'], 'one that the bucket does not have yet stays');
  t.strictSame(inBucket(0, 1), ['', 'gh']);
  t.strictSame(inBucket(7.5 * DAY, 0), ['ef', ''], 'the age holds for the bucket as well');
});
