import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import t from 'tap';
import { RecordingPageSchema, RecordingViewSchema } from '../../../../src/api/openapi/answers.ts';
import type { Recording } from '../../../../src/outputs/record/recordings.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { Posters } from '../../../../src/outputs/record/posters.ts';
import { ffmpeg } from '../../../helpers/ffmpeg-tool.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const folder = await mkdtemp(join(tmpdir(), 'recordings-routes-'));
const outside = join(folder, 'secret.txt');
await writeFile(outside, 'outside');
const record_dir = join(folder, 'recordings');
const { app, http, recorders } = await createHttpApp({ recording: 'true', record_dir, jwt_secret: SECRET });
const { recordings } = recorders;
t.teardown(async () => {
  await app.close();
  await rm(folder, { recursive: true });
});

const token = (act: string[], streams: string[]): Promise<string> =>
  new SignJWT({ act, streams })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('x')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
const [all, own, player] = await Promise.all([
  token(['read', 'control', 'play'], ['*']),
  token(['read', 'control', 'play'], ['mine']),
  token(['play'], ['mine']),
]);
const call = (url: string, { key = all, method = 'GET' as 'GET' | 'DELETE' | 'HEAD', headers = {} } = {}) =>
  http.inject({ url, method, headers: { authorization: `Bearer ${key}`, ...headers } });

async function add(id: string, changes: Partial<Recording> = {}): Promise<void> {
  const file = `${id}.mp4`;
  await writeFile(join(record_dir, file), `content of ${id}`);
  recordings.put({
    ...{ id, series: id, part: 1, stream: 'mine', file, format: 'mp4', state: 'complete', durationMs: 1000, bytes: 10 },
    ...{ startedAt: `2026-11-24T00:00:0${id.at(-1)}.000Z`, framesDropped: 0, width: 640, height: 360, ...changes },
  });
}
for (const id of ['r1', 'r2', 'r3']) await add(id);
await add('r4', { stream: 'other' });
await add('r5', { state: 'recording' });

await t.test('list: newest first, filtered, in pages, only of allowed streams', async (t) => {
  const ids = async (query = '', key = all) => {
    const answer = await call(`/api/v1/recordings${query}`, { key });
    t.equal(answer.statusCode, 200, query);
    const { recordings: page, next } = RecordingPageSchema.strict().parse(answer.json());
    return [page.map(({ id }) => id).join(' '), next];
  };
  t.strictSame(await ids(), ['r5 r4 r3 r2 r1', null]);
  t.strictSame(await ids('', own), ['r5 r3 r2 r1', null]);
  t.strictSame(await ids('?stream=other'), ['r4', null]);
  t.strictSame(await ids('?state=recording'), ['r5', null]);
  t.strictSame(await ids('?limit=2'), ['r5 r4', 'r4']);
  t.strictSame(await ids('?limit=2&after=r4'), ['r3 r2', 'r2']);
  t.strictSame(await ids('?limit=2&after=r2'), ['r1', null]);
  t.strictSame(await ids('?stream=none'), ['', null]);
  for (const query of [
    'limit=0',
    'limit=x',
    'limit=1001',
    'after=none',
    'state=x',
    'x=1',
    'stream=a&stream=b',
    'limit=1e3',
  ])
    t.equal((await call(`/api/v1/recordings?${query}`)).statusCode, 400, query);
  t.equal(
    (await call('/api/v1/recordings?after=r4', { key: own })).statusCode,
    400,
    'ids of other streams are unknown',
  );
});

await t.test('one recording and its file', async (t) => {
  t.match(RecordingViewSchema.parse((await call('/api/v1/recordings/r1')).json()), { id: 'r1', reasonCode: '' });
  const file = await call('/api/v1/recordings/r1/file');
  t.equal(file.body, 'content of r1');
  t.match(file.headers, {
    'content-type': 'video/mp4',
    'accept-ranges': 'bytes',
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
  });
  const part = await call('/api/v1/recordings/r1/file', { headers: { range: 'bytes=11-12' } });
  t.strictSame([part.statusCode, part.body, part.headers['content-range']], [206, 'r1', 'bytes 11-12/13']);
  t.equal((await call('/api/v1/recordings/r1/file', { headers: { range: 'bytes=99-' } })).statusCode, 416);
  t.equal((await call('/api/v1/recordings/r1/file', { method: 'HEAD' })).headers['content-length'], '13');
  t.equal((await http.inject(`/api/v1/recordings/r1/file?accessToken=${all}`)).body, 'content of r1');
  t.equal((await call('/client/records/r1.mp4')).body, 'content of r1');
  t.equal(
    (await http.inject(`/client/records/r1.mp4?token=${player}`)).body,
    'content of r1',
    'a player needs only play',
  );
});

await t.test('a poster: made once, kept, and deleted with its recording', async (t) => {
  const file = join(record_dir, 'r6.mp4');
  await ffmpeg(['-f', 'lavfi', '-i', 'color=red:size=640x360:rate=10:duration=5', '-c:v', 'libx264', file]);
  recordings.put({ ...recordings.get('r1'), id: 'r6', file: 'r6.mp4', durationMs: 5000 });
  const poster = join(record_dir, '.posters', 'r6.jpg');
  const [one, other] = await Promise.all([
    call('/api/v1/recordings/r6/poster.jpg'),
    call('/api/v1/recordings/r6/poster.jpg'),
  ]);
  t.match(one.headers, { 'content-type': 'image/jpeg', 'cache-control': 'private, max-age=86400' });
  t.ok(one.rawPayload.equals(other.rawPayload));
  const raw = await ffmpeg(['-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], one.rawPayload);
  t.equal(raw.length, 480 * 270 * 3);
  t.ok(raw[0]! > 200 && raw[1]! < 60, 'red');
  await writeFile(poster, 'kept');
  t.equal((await call('/api/v1/recordings/r6/poster.jpg')).body, 'kept', 'read from the disk');
  t.equal((await call('/api/v1/recordings/r6/poster.jpg', { key: player })).statusCode, 403);
  t.equal((await call('/api/v1/recordings/r4/poster.jpg', { key: own })).statusCode, 403);
  t.equal((await call('/api/v1/recordings/r5/poster.jpg')).statusCode, 409, 'while it is written');
  t.equal((await call('/api/v1/recordings/none/poster.jpg')).statusCode, 404);
  const damaged = await call('/api/v1/recordings/r1/poster.jpg');
  t.match([damaged.statusCode, damaged.json().exception], [500, 'ENCODER_FAILED']);
  t.notOk(existsSync(join(record_dir, '.posters', 'r1.jpg')));
  t.equal((await call('/api/v1/recordings/r6', { method: 'DELETE' })).statusCode, 204);
  await waitFor('the poster to be deleted', () => !existsSync(poster));
  t.notOk(existsSync(file));

  await writeFile(join(record_dir, '.posters', 'gone.jpg'), 'of a recording that was deleted');
  const posters = await Posters.create({
    ...{ recordings, maxFrameSize: { width: 640, height: 360 }, maxDecodes: 1, logger: silentLogger },
  });
  t.notOk(existsSync(join(record_dir, '.posters', 'gone.jpg')), 'a stray one is deleted at the start');
  await posters.close();
});

await t.test('access', async (t) => {
  for (const url of ['/api/v1/recordings/r4', '/api/v1/recordings/r4/file', '/client/records/r4.mp4'])
    t.equal((await call(url, { key: own })).statusCode, 403, url);
  t.equal((await call('/api/v1/recordings/r1/file', { key: player })).statusCode, 403);
  t.equal((await call('/api/v1/recordings/r1', { key: player, method: 'DELETE' })).statusCode, 403);
  t.equal((await http.inject('/client/records/r1.mp4')).statusCode, 401);
});

await t.test('no path leads out of the folder, and no file that is not a recording is served', async (t) => {
  await writeFile(join(record_dir, 'stray.mp4'), 'outside');
  const names = [
    '..%2fsecret.txt',
    '%2e%2e%2fsecret.txt',
    '..%5csecret.txt',
    '../secret.txt',
    'stray.mp4',
    '%00',
    '.',
    '..',
    '',
    'r1.mp4%00.txt',
    '%2e%2e',
    'constructor',
    '__proto__',
  ];
  for (const name of names)
    for (const url of [`/client/records/${name}`, `/api/v1/recordings/${name}`, `/api/v1/recordings/${name}/file`]) {
      const answer = await call(url);
      t.notMatch(answer.body, 'outside', url);
      t.ok(
        [400, 404].includes(answer.statusCode) ||
          (url.startsWith('/api/v1/recordings/') && answer.statusCode === 200 && answer.json().recordings),
        `${url}: ${answer.statusCode}`,
      );
    }
  recordings.put({ ...recordings.get('r1'), id: 'evil', file: '../secret.txt' });
  t.notMatch((await call('/api/v1/recordings/evil/file')).body, 'outside', 'not even if the store was changed');
  t.equal((await call('/api/v1/recordings/evil', { method: 'DELETE' })).statusCode, 500);
  t.ok(existsSync(outside));
  recordings.forget('evil');
});

await t.test('delete', async (t) => {
  t.match((await call('/api/v1/recordings/r5', { method: 'DELETE' })).json(), { exception: 'RECORDING_RUNNING' });
  t.equal((await call('/api/v1/recordings/r4', { method: 'DELETE', key: own })).statusCode, 403);
  t.equal((await call('/api/v1/recordings/r1', { method: 'DELETE' })).statusCode, 204);
  t.notOk(existsSync(join(record_dir, 'r1.mp4')));
  t.match((await call('/api/v1/recordings/r1', { method: 'DELETE' })).json(), { exception: 'RECORDING_NOT_FOUND' });
  await rm(join(record_dir, 'r2.mp4'));
  t.equal((await call('/api/v1/recordings/r2/file')).statusCode, 404, 'a file that somebody else has deleted');
  t.equal((await call('/api/v1/recordings/r2', { method: 'DELETE' })).statusCode, 204);
});

await t.test('the list of Red5', async (t) => {
  const answer = await call('/api/v1/applications/live/recordedfiles', { key: own });
  t.match(answer.json().data, [{ name: 'r5.mp4' }, { name: 'r3.mp4', stream_name: 'mine', size: 10, duration: 1 }]);
  t.equal(answer.json().data.length, 2);
});
