import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { silentLogger } from '../../../../../src/observe/logger.ts';
import { Recordings, type Recording } from '../../../../../src/outputs/record/recordings.ts';
import { BucketError } from '../../../../../src/outputs/record/upload/bucket.ts';
import { toBucketError } from '../../../../../src/outputs/record/upload/s3-bucket.ts';
import { Uploads, type UploadsOptions } from '../../../../../src/outputs/record/upload/uploads.ts';
import { MemoryStore } from '../../../../../src/store/memory-store.ts';
import { FakeBucket } from '../../../../helpers/fake-bucket.ts';
import { waitFor } from '../../../../helpers/wait.ts';

const PART = 1000;
const down = (): never => {
  throw new BucketError('other', 'films cannot be reached (ECONNREFUSED).');
};

async function setUp(t: Test, options: Partial<UploadsOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'uploads-'));
  const store = new MemoryStore({ logger: silentLogger });
  const bucket = new FakeBucket();
  let recordings!: Recordings;
  let uploads: Uploads | undefined;
  /** As a gateway that starts again after the one before was killed. */
  const start = async (changes: Partial<UploadsOptions> = {}) => {
    recordings = await Recordings.create(folder, store, silentLogger);
    uploads = Uploads.create({
      ...{ recordings, bucket, store, prefix: 'shows/', partBytes: PART, maxUploads: 2, maxBitsPerSecond: 0 },
      ...{ deleteLocal: false, redirect: false, beforeRelease: async () => undefined, logger: silentLogger },
      ...{ delayMs: () => 5, ...options, ...changes },
    });
    return { recordings, uploads };
  };
  const stop = async (): Promise<void> => {
    await uploads?.close();
    await recordings?.close();
  };
  t.teardown(async () => {
    await stop();
    await rm(folder, { recursive: true });
  });
  const pathOf = (id: string): string => join(folder, `${id}.mp4`);
  const put = (id: string, changes: Partial<Recording> = {}): void =>
    recordings.put({
      ...{ id, series: id, part: 1, stream: 's', file: `${id}.mp4`, format: 'mp4', state: 'recording', bytes: 0 },
      ...{ startedAt: '2026-11-24T00:00:00.000Z', durationMs: 0, framesDropped: 0, width: 0, height: 0, ...changes },
    });
  const grow = async (id: string, bytes: Buffer): Promise<void> => {
    await appendFile(pathOf(id), bytes);
    const { bytes: before } = recordings.get(id);
    recordings.progress(id, { bytes: before + bytes.length, durationMs: 0, framesDropped: 0 });
  };
  /** A complete recording. @returns its bytes */
  const complete = async (id: string, length: number): Promise<Buffer> => {
    const bytes = randomBytes(length);
    await writeFile(pathOf(id), bytes);
    put(id, { state: 'complete', bytes: length });
    return bytes;
  };
  const storageOf = (id: string) => recordings.get(id).storage;
  const stored = (id: string) => waitFor(`${id} to be stored`, () => storageOf(id)?.state === 'stored');
  const content = (id: string): Buffer | undefined => bucket.objects.get(`shows/${id}.mp4`)?.bytes;
  return { folder, store, bucket, start, stop, pathOf, put, grow, complete, storageOf, stored, content };
}

await t.test('a recording is uploaded while it is written, and its changed beginning last', async (t) => {
  const { bucket, start, put, grow, pathOf, storageOf, stored, content } = await setUp(t);
  const { recordings, uploads } = await start();
  const states: (string | undefined)[] = [];
  recordings.on('storage', ({ storage }) => states.push(storage?.state));
  await writeFile(pathOf('a'), '');
  put('a');
  await waitFor('storage', () => storageOf('a')?.state === 'waiting');
  await grow('a', randomBytes(1990));
  const bytes = randomBytes(3020);
  await grow('a', bytes.subarray(0, 20));
  await waitFor('a part', () => bucket.log.includes('part 2'));
  await grow('a', bytes.subarray(20));
  await waitFor('more parts', () => bucket.log.includes('part 5'));
  t.match(storageOf('a'), { state: 'uploading', key: 'shows/a.mp4', bucket: 'films', local: true });
  await waitFor('the sum', () => storageOf('a')!.uploadedBytes === 4000);
  t.equal(uploads.missingBytes, 1010);
  t.equal(uploads.counts.get('uploading'), 1);
  // The index is written: the beginning changes.
  const file = await open(pathOf('a'), 'r+');
  await file.write('changed', 0);
  await file.close();
  await appendFile(pathOf('a'), 'index');
  recordings.update('a', { state: 'complete', bytes: 5015, endedAt: '2026-11-24T00:10:00.000Z' });
  await stored('a');
  t.strictSame(bucket.log, [
    ...['begin', 'part 2', 'part 3', 'part 4', 'part 5', 'part 6', 'part 1', 'complete', 'head'],
  ]);
  t.ok(content('a')!.equals(await readFile(pathOf('a'))));
  t.equal(bucket.objects.get('shows/a.mp4')!.type, 'video/mp4');
  t.match(storageOf('a'), { uploadedBytes: 5015, local: true, uploadId: undefined });
  t.strictSame(states, ['waiting', 'uploading', 'stored']);
  t.ok(existsSync(pathOf('a')), 'the file stays on the disk');
  t.equal(uploads.missingBytes, 0);
  t.equal(uploads.bytesUploaded, 5015);
});

for (const [what, interfere, expected] of [
  ['nothing else', async () => undefined, ['list', 'part 1', 'complete', 'head']],
  [
    'a part that the bucket has lost',
    async ({ bucket }: { bucket: FakeBucket }) => void [...bucket.uploads.values()][0]!.parts.delete(2),
    ['list', 'part 2', 'part 1', 'complete', 'head'],
  ],
  [
    'a part that differs from the file',
    async ({ path }: { path: string }) => {
      const file = await open(path, 'r+');
      await file.write('other', 2500);
      await file.close();
    },
    ['list', 'part 3', 'part 1', 'complete', 'head'],
  ],
  [
    'an upload that somebody has ended',
    async ({ bucket }: { bucket: FakeBucket }) => bucket.uploads.clear(),
    ['begin', 'part 2', 'part 3', 'part 4', 'part 1', 'complete', 'head'],
  ],
] as const)
  await t.test(`after a restart only what is missing is sent: ${what}`, async (t) => {
    const { bucket, start, stop, complete, stored, content, pathOf } = await setUp(t);
    await start();
    bucket.before = (request) => (request === 'part 1' ? down() : undefined);
    await complete('a', 3500);
    await waitFor('all parts but one', () => bucket.log.includes('part 4'));
    await waitFor('the failure', () => bucket.log.length === 4);
    await stop();
    bucket.before = () => undefined;
    bucket.log.length = 0;
    await interfere({ bucket, path: pathOf('a') });
    await start();
    await stored('a');
    t.strictSame(bucket.log, expected);
    t.ok(content('a')!.equals(await readFile(pathOf('a'))));
    t.equal(bucket.uploads.size, 0);
  });

await t.test('an object that was finished before a crash is confirmed and not sent again', async (t) => {
  const { bucket, start, stop, complete, stored } = await setUp(t);
  await start();
  bucket.after = (request) => (request === 'complete' ? down() : undefined);
  bucket.before = (request) => (request === 'head' ? down() : undefined);
  await complete('a', 2500);
  await waitFor('the object', () => bucket.objects.size === 1);
  await stop();
  bucket.after = bucket.before = () => undefined;
  bucket.log.length = 0;
  await start();
  await stored('a');
  t.strictSame(bucket.log, ['head']);
});

await t.test('an answer that was lost is not a reason to send everything again', async (t) => {
  const { bucket, start, complete, stored } = await setUp(t);
  await start();
  bucket.after = (request) => (request === 'complete' ? down() : undefined);
  await complete('a', 2500);
  await stored('a');
  t.strictSame(bucket.log, ['begin', 'part 2', 'part 3', 'part 1', 'complete', 'head']);
});

await t.test('a bucket that is down: tried again, said once, and continued when it is back', async (t) => {
  const { bucket, start, complete, storageOf, stored, content } = await setUp(t);
  const { recordings, uploads } = await start();
  const states: string[] = [];
  recordings.on('storage', ({ id, storage }) => states.push(`${id} ${storage?.state}`));
  bucket.before = down;
  const bytes = await complete('a', 2500);
  await waitFor('some attempts', () => uploads.failures >= 4);
  t.match(storageOf('a'), {
    ...{ state: 'retrying', reasonCode: 'STORAGE_UNAVAILABLE', uploadedBytes: 0, local: true },
    reason: 'films cannot be reached (ECONNREFUSED).',
  });
  bucket.before = () => undefined;
  await stored('a');
  t.ok(content('a')!.equals(bytes));
  t.strictSame(states, ['a waiting', 'a retrying', 'a uploading', 'a stored']);
  t.equal(storageOf('a')!.reason, undefined);
});

await t.test('a store that takes three parts gets the recording in larger ones', async (t) => {
  const { bucket, start, complete, storageOf, stored, content } = await setUp(t);
  bucket.before = (request) => {
    if (Number(/^part (\d+)$/.exec(request)?.[1] ?? 0) > 3)
      throw toBucketError({ name: 'InvalidArgument', $metadata: { httpStatusCode: 400 } }, 'films', 's3.test');
  };
  await start();
  const bytes = await complete('a', 10 * PART + 1);
  await stored('a');
  t.ok(content('a')!.equals(bytes));
  t.equal(storageOf('a')!.partBytes, 4 * PART);
  t.equal(bucket.uploads.size, 0, 'the uploads with smaller parts were ended');
});

await t.test('one upload that succeeds again lets the others try at once', async (t) => {
  let attempts = 0;
  // The first one waits a moment, the others for ever.
  const { bucket, start, complete, stored } = await setUp(t, { delayMs: () => (attempts++ === 0 ? 200 : 1e6) });
  const { uploads } = await start();
  bucket.before = down;
  for (const id of ['a', 'b', 'c']) await complete(id, 100);
  await waitFor('three failures', () => uploads.failures >= 3);
  bucket.before = () => undefined;
  for (const id of ['a', 'b', 'c']) await stored(id);
});

await t.test('uploads at the same time are limited, and all are made', async (t) => {
  const { bucket, start, complete, stored } = await setUp(t);
  await start();
  bucket.before = () => new Promise((resolve) => setTimeout(resolve, 2));
  const ids = Array.from({ length: 12 }, (_, index) => `r${index}`);
  await Promise.all(ids.map((id) => complete(id, 1500)));
  for (const id of ids) await stored(id);
  t.equal(bucket.sending.most, 2);
});

await t.test('a bucket that hangs is given up, and what waits for it can be stopped', async (t) => {
  const { bucket, start, complete, storageOf, stored } = await setUp(t, { maxUploads: 1, stallMs: 50 });
  const { recordings } = await start();
  const hang = (_: string, signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  bucket.before = hang;
  await complete('a', 1500);
  await waitFor('the failure', () => storageOf('a')?.state === 'retrying');
  t.match(storageOf('a')!.reason, /did not answer within 0.05 s/);
  bucket.before = (request, signal) => (request.startsWith('part') ? hang(request, signal) : undefined);
  await waitFor('an upload', () => bucket.uploads.size === 1);
  bucket.before = () => undefined;
  await stored('a');

  // Nothing times out here: the one slot is taken.
  const patient = await setUp(t, { maxUploads: 1, stallMs: 1e6 });
  const { recordings: others } = await patient.start();
  patient.bucket.before = (request, signal) => (request === 'begin' ? hang(request, signal) : undefined);
  await patient.complete('b', 1500);
  await patient.complete('c', 1500);
  await waitFor('storage', () => patient.storageOf('c')?.state === 'waiting');
  await others.delete('c');
  await patient.stop();
  t.strictSame([others.find('c'), patient.storageOf('b')?.state], [undefined, 'waiting']);
  t.ok(recordings.find('a'));
});

await t.test('the rate of all uploads together is limited', async (t) => {
  const { start, complete, stored } = await setUp(t, { maxBitsPerSecond: 80_000 });
  await start();
  const startedAt = performance.now();
  await Promise.all([complete('a', 2500), complete('b', 2500)]);
  await Promise.all([stored('a'), stored('b')]);
  const ms = performance.now() - startedAt;
  // 5000 bytes at 10 bytes per millisecond, but for a burst of 100 ms.
  t.ok(ms >= 390, `${ms} ms`);
});

await t.test('the file is deleted only after the object was confirmed', async (t) => {
  let readable = false;
  const { bucket, start, complete, stored, storageOf, pathOf } = await setUp(t, {
    deleteLocal: true,
    beforeRelease: async ({ id }) => void (readable = existsSync(pathOf(id))),
  });
  const { uploads } = await start();
  // Somebody has written another object.
  bucket.before = (request) => {
    const object = bucket.objects.get('shows/a.mp4');
    if (request === 'head' && object) bucket.objects.set('shows/a.mp4', { ...object, etag: 'other' });
  };
  await complete('a', 1500);
  await waitFor('the difference', () => uploads.failures > 2);
  t.match(storageOf('a'), { state: 'retrying', local: true });
  t.ok(existsSync(pathOf('a')));
  t.equal(bucket.log.filter((request) => request === 'complete').length, 1, 'nothing is sent again');

  bucket.before = () => undefined;
  await complete('b', 1500);
  await stored('b');
  await waitFor('the file to be gone', () => storageOf('b')?.local === false);
  t.notOk(existsSync(pathOf('b')));
  t.ok(readable, 'the poster can be made before');
});

await t.test('a stored recording leaves the disk at the next start, if the setting has changed', async (t) => {
  const { bucket, start, stop, complete, stored, storageOf, pathOf } = await setUp(t);
  await start();
  await complete('a', 1500);
  await stored('a');
  await stop();
  bucket.log.length = 0;
  await start({ deleteLocal: true });
  await waitFor('the file to be gone', () => !existsSync(pathOf('a')) && storageOf('a')?.local === false);
  t.strictSame(bucket.log, []);
});

await t.test('deleting: the object, an unfinished upload, and what the bucket refuses', async (t) => {
  const { bucket, start, complete, put, grow, pathOf, stored, storageOf } = await setUp(t);
  const { recordings } = await start();
  await complete('a', 1500);
  await stored('a');
  bucket.before = down;
  await t.rejects(recordings.delete('a'), { code: 'STORAGE_UNAVAILABLE' });
  t.ok(existsSync(pathOf('a')) && recordings.find('a'), 'the recording stays');
  bucket.before = () => undefined;
  await recordings.delete('a');
  t.strictSame([bucket.objects.size, existsSync(pathOf('a')), recordings.find('a')], [0, false, undefined]);

  await writeFile(pathOf('b'), '');
  put('b');
  await waitFor('storage', () => storageOf('b'));
  await grow('b', randomBytes(2000));
  await waitFor('a part', () => bucket.log.includes('part 2'));
  // The rest hangs until it is stopped.
  bucket.before = (request, signal) =>
    request.startsWith('part')
      ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      : undefined;
  recordings.update('b', { state: 'complete' });
  await waitFor('a request', () => bucket.sending.now === 1);
  await recordings.delete('b');
  t.strictSame([bucket.uploads.size, bucket.objects.size, recordings.find('b')], [0, 0, undefined]);

  bucket.before = down;
  await complete('c', 1500);
  await waitFor('a failure', () => storageOf('c')?.state === 'retrying');
  await recordings.delete('c');
  t.notOk(recordings.find('c'), 'nothing of it was in the bucket');
});

await t.test('a deletion that the bucket refuses lets the upload go on', async (t) => {
  const { bucket, start, complete, stored, content } = await setUp(t);
  const { recordings } = await start();
  bucket.before = (request) => (request === 'complete' || request === 'abort' ? down() : undefined);
  const bytes = await complete('a', 2500);
  await waitFor('all parts', () => bucket.log.includes('part 1'));
  await t.rejects(recordings.delete('a'), { code: 'STORAGE_UNAVAILABLE' });
  bucket.before = () => undefined;
  await stored('a');
  t.ok(content('a')!.equals(bytes));
});

await t.test('a file that cannot be read is said, and its recording without bytes has no storage', async (t) => {
  const { start, put, storageOf } = await setUp(t);
  await start();
  put('a', { state: 'complete', bytes: 1500 });
  await waitFor('the failure', () => storageOf('a')?.state === 'retrying');
  t.equal(storageOf('a')!.reason, 'The file cannot be read (ENOENT).');
  put('b');
  await waitFor('storage', () => storageOf('b'));
  put('b', { ...{ storage: storageOf('b'), state: 'failed', bytes: 0 } });
  await waitFor('no storage', () => storageOf('b') === undefined);
});

await t.test('reading: from the bucket, by a URL, and where none is configured', async (t) => {
  const { bucket, start, stop, complete, storageOf } = await setUp(t, { deleteLocal: true });
  const { recordings, uploads } = await start();
  const bytes = await complete('a', 1500);
  await waitFor('the file to be gone', () => storageOf('a')?.local === false);
  const read = async (range?: string) => {
    const file = await uploads.read(recordings.get('a'), range, 'GET');
    return 'object' in file ? Buffer.concat(await file.object.body!.toArray()) : file.redirect;
  };
  t.ok(bytes.equals((await read('bytes=0-5')) as Buffer));
  await read('bytes=0-5,7-9');
  t.strictSame(bucket.log.slice(-2), ['read bytes=0-5', 'read undefined'], 'several ranges are ignored');
  for (const [failure, code] of [
    ['missing', 'RECORDING_NOT_FOUND'],
    ['range', 'RANGE_NOT_SATISFIABLE'],
    ['denied', 'STORAGE_UNAVAILABLE'],
  ] as const) {
    bucket.before = () => {
      throw new BucketError(failure, 'no');
    };
    await t.rejects(read(), { code });
  }
  await stop();
  const again = await start({ redirect: true });
  t.strictSame(await again.uploads.read(again.recordings.get('a'), undefined, 'HEAD'), {
    redirect: 'https://films.example/shows/a.mp4?signed=HEAD',
  });
  await stop();
  const without = await start({ bucket: undefined });
  await t.rejects(without.uploads.read(without.recordings.get('a'), undefined, 'GET'), {
    ...{ code: 'STORAGE_UNAVAILABLE', message: /bucket films.*s3_bucket/ },
  });
  await t.rejects(without.recordings.delete('a'), { code: 'STORAGE_UNAVAILABLE' });
});

await t.test('errors of the SDK: what they mean, without anything that they contain', async (t) => {
  const secret = 'AKIASECRET';
  const error = (name: string, status?: number, code?: string) =>
    Object.assign(new Error(secret), { name, code, $metadata: { httpStatusCode: status }, $response: { secret } });
  for (const [given, failure, message] of [
    [error('NoSuchUpload', 404), 'gone', /404 NoSuchUpload/],
    [error('NotFound', 404), 'missing', /404/],
    [error('NoSuchBucket', 404), 'other', /correct s3_bucket/],
    [error('AccessDenied', 403), 'denied', /403 AccessDenied.*rights/],
    [error('InvalidRange', 416), 'range', /416/],
    [error('PermanentRedirect', 301), 'other', /s3_region/],
    [error('InvalidArgument', 400), 'argument', /10000 parts, raise s3_part_mb/],
    [error('SlowDown', 503), 'other', /503 SlowDown/],
    [error(`<b>${secret}`, 500), 'other', /500 an error/],
    [error('Error', undefined, 'ECONNREFUSED'), 'other', /^s3.test cannot be reached \(ECONNREFUSED\)/],
    [error('TimeoutError'), 'other', /TimeoutError/],
    [error('CredentialsProviderError'), 'denied', /s3_access_key_id/],
  ] as const) {
    const shown = toBucketError(given, 'films', 's3.test');
    t.equal(shown.failure, failure, given.name);
    t.match(shown.message, message);
    t.notMatch(`${shown.stack} ${JSON.stringify(shown)} ${String(shown.cause)}`, secret);
  }
});
