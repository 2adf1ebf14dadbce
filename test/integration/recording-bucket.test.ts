import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import type { RecordingView } from '../../src/api/openapi/answers.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { startSwift } from '../helpers/swift.ts';
import { waitFor } from '../helpers/wait.ts';

/** Recordings in the bucket of a real server: OpenStack Swift. */

t.setTimeout(FILE_TIMEOUT);
const PART_BYTES = 5 * 1024 * 1024;
const FRAME_MS = 1000 / 30;

async function setUp(t: Test, kbps: number, settings: SettingsOverrides) {
  const folder = await mkdtemp(join(tmpdir(), 'recording-bucket-'));
  const record_dir = join(folder, 'files');
  const [swift, publishers] = await Promise.all([
    startSwift(),
    BenchProcess.start<PublisherRequests>('./publishers-main.ts', [String(kbps)]),
  ]);
  let gateway: TestGateway | undefined;
  let logs = '';
  const start = async (changes: SettingsOverrides = {}): Promise<TestGateway> => {
    logs += gateway?.logs() ?? '';
    gateway = await startGateway(
      {
        ...{ recording: true, record_all: true, record_dir, state_dir: folder, record_min_free_mb: 1 },
        ...{ ...swift.settings, ...settings, ...changes },
      },
      { env: swift.env },
    );
    return gateway;
  };
  t.teardown(async () => {
    await publishers.stop();
    await gateway?.stop();
    await swift.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const publish = (on: TestGateway, name: string, rtmpUrl?: string): Promise<unknown> =>
    publishers.ask('publish', {
      name,
      url: `${on.httpUrl}/whip`,
      whip: true,
      ...(rtmpUrl !== undefined && { rtmpUrl }),
    });
  const noSecrets = (t: Test): void => {
    const text = logs + gateway!.logs();
    t.notOk(text.includes(swift.secret), 'the secret key is not in the log');
    t.notMatch(text, /X-Amz-Signature|AWS4-HMAC/i);
  };
  return { swift, publishers, start, publish, record_dir, noSecrets };
}

const only = async (gateway: TestGateway): Promise<RecordingView> => {
  const { recordings } = (await gateway.http('/api/v1/recordings')).body as { recordings: RecordingView[] };
  if (recordings.length !== 1) throw new Error(`${recordings.length} recordings`);
  return recordings[0]!;
};
const reached = (gateway: TestGateway, what: string, check: (one: RecordingView) => boolean): Promise<RecordingView> =>
  waitFor(
    what,
    async () => {
      const one = await only(gateway);
      if (check(one)) return one;
      throw new Error(JSON.stringify(one));
    },
    { timeout: 60_000 },
  );
const metric = async (gateway: TestGateway, name: string): Promise<number> => {
  const { text } = await gateway.http('/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
};

t.jobs = 2;

t.test('uploaded while it is recorded; a killed gateway sends only what is missing', async (t) => {
  const { swift, publishers, start, publish, record_dir, noSecrets } = await setUp(t, 16_000, {});
  const gateway = await start();
  await publish(gateway, 'show');
  const running = await reached(gateway, 'two parts', ({ storage }) => storage!.uploadedBytes >= 2 * PART_BYTES);
  t.match(running, { state: 'recording', storage: { state: 'uploading', bucket: 'films', local: true } });
  const key = `shows/${running.file}`;
  t.strictSame([await swift.unfinished(), await swift.keys()], [[key], []]);
  t.notOk('uploadId' in running.storage!, 'the upload is not shown');
  process.kill(gateway.pid, 'SIGKILL');
  await gateway.exited;
  await publishers.ask('vanish', 'show');

  const again = await start();
  const stored = await reached(again, 'the object', ({ storage }) => storage?.state === 'stored');
  t.match(stored, { state: 'complete', storage: { key, local: true, uploadedBytes: stored.bytes } });
  const [object, file] = await Promise.all([swift.read(key), readFile(join(record_dir, stored.file))]);
  t.ok(object.equals(file), `the object has the ${file.length} bytes of the file`);
  t.equal(file.length, stored.bytes);
  const sentAgain = await metric(again, 'gateway_uploaded_bytes_total');
  t.ok(sentAgain <= stored.bytes - 2 * PART_BYTES, `${sentAgain} of ${stored.bytes} bytes were sent after the restart`);
  const [, found, listed] = /"parts":(\d+),"listed":(\d+)/.exec(again.logs())!;
  t.ok(Number(found) >= 2 && found === listed, `${found} of ${listed} parts were used again`);
  t.strictSame(await swift.unfinished(), []);
  noSecrets(t);
});

t.test('a bucket that hangs and then is gone harms nothing, and has everything when it is back', async (t) => {
  const { swift, publishers, start, publish, record_dir, noSecrets } = await setUp(t, 8000, {
    s3_delete_local: true,
  });
  const nginx = await startNginxRtmp();
  t.teardown(() => nginx.stop());
  const gateway = await start();
  await publish(gateway, 'show', nginx.rtmpUrl);
  await reached(gateway, 'one part', ({ storage }) => storage!.uploadedBytes >= PART_BYTES);
  swift.freeze();
  const { bytes } = await only(gateway);
  await reached(gateway, 'another part on the disk', (one) => one.bytes >= bytes + PART_BYTES);
  await swift.kill();
  const until = (await recordedUntil(recordingOf(nginx, 'rtmp_show'))).video;
  await recorded(recordingOf(nginx, 'rtmp_show'), until + 2000);
  await publishers.ask('stop', 'show');
  const failing = await reached(gateway, 'the end', ({ state }) => state === 'complete');
  const { storage } = await reached(gateway, 'the failure', (one) => one.storage?.state === 'retrying');
  t.match(storage, { local: true, reasonCode: 'STORAGE_UNAVAILABLE', reason: /^127\.0\.0\.1:\d+ cannot be reached/ });
  t.equal(failing.framesDropped, 0);
  const push = await analyse(recordingOf(nginx, 'rtmp_show'));
  t.strictSame([...push.decodeErrors, ...push.video.stepsBack, ...push.audio.stepsBack], []);
  t.ok(push.video.largestGap <= 3 * FRAME_MS, `no gap in the push, but ${push.video.largestGap} ms`);

  const path = join(record_dir, failing.file);
  const file = await readFile(path);
  t.equal(file.length, failing.bytes);
  t.match(await gateway.http(`/api/v1/recordings/${failing.id}/file`, { method: 'HEAD' }), { status: 200 });
  t.match(await gateway.http(`/api/v1/recordings/${failing.id}`, { method: 'DELETE' }), {
    ...{ status: 503, body: { exception: 'STORAGE_UNAVAILABLE' } },
  });
  t.ok(existsSync(path), 'a recording that cannot be deleted everywhere stays');

  await swift.restart();
  const { id, storage: now } = await reached(gateway, 'the file to leave the disk', (one) => !one.storage!.local);
  t.match(now, { state: 'stored', reasonCode: '', reason: '' });
  t.notOk(existsSync(path));
  t.ok((await swift.read(now!.key)).equals(file), 'the object has the bytes of the file');
  t.equal(await metric(gateway, 'gateway_recordings_stored_total'), 1);
  t.equal(await metric(gateway, 'gateway_recordings_not_stored_bytes'), 0);
  t.ok((await metric(gateway, 'gateway_upload_failures_total')) > 0);

  const get = (route: string, init: RequestInit = {}) => fetch(gateway.httpUrl + route, init);
  const bytesOf = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer());
  for (const route of [`/api/v1/recordings/${id}/file`, `/client/records/${failing.file}`]) {
    const whole = await get(route);
    t.strictSame([whole.status, whole.headers.get('content-type')], [200, 'video/mp4'], route);
    t.ok((await bytesOf(whole)).equals(file), route);
    const part = await get(route, { headers: { range: 'bytes=1000-1999' } });
    t.strictSame([part.status, part.headers.get('content-range')], [206, `bytes 1000-1999/${file.length}`]);
    t.ok((await bytesOf(part)).equals(file.subarray(1000, 2000)));
    const head = await get(route, { method: 'HEAD' });
    t.strictSame([head.status, head.headers.get('content-length')], [200, String(file.length)]);
    t.equal((await get(route, { headers: { range: 'bytes=999999999-' } })).status, 416);
  }
  const poster = await get(`/api/v1/recordings/${id}/poster.jpg`);
  t.strictSame(
    [poster.status, poster.headers.get('content-type')],
    [200, 'image/jpeg'],
    'made before the file was deleted',
  );

  await gateway.stop();
  const redirecting = await start({ s3_redirect: true });
  const route = `${redirecting.httpUrl}/api/v1/recordings/${id}/file`;
  t.equal((await fetch(route, { redirect: 'manual' })).status, 302);
  t.ok((await bytesOf(await fetch(route))).equals(file), 'a client that follows gets the bytes from the bucket');
  t.equal((await fetch(route, { method: 'HEAD' })).headers.get('content-length'), String(file.length));
  t.match((await fetch(redirecting.httpUrl)).headers.get('content-security-policy'), /media-src 'self' blob: http:/);

  t.equal((await redirecting.http(`/api/v1/recordings/${id}`, { method: 'DELETE' })).status, 204);
  t.strictSame([await swift.keys(), await swift.unfinished()], [[], []]);
  noSecrets(t);
});
