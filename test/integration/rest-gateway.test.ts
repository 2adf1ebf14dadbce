import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import { startGateway } from '../helpers/gateway.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { childrenOf } from '../helpers/processes.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

t.test('invalid settings stop the start and are named with file and line', async (t) => {
  const file = join(t.testdir({ 'x.properties': 'rtmp_push_restore=true\nhttp.prt=8081\n' }), 'x.properties');
  await t.rejects(
    promisify(execFile)(process.execPath, [MAIN, '--config', file], { env: { ...process.env, LOG_LEVEL: 'loud' } }),
    {
      code: 2,
      stdout: '',
      stderr: `The settings are not valid:\n  ${file}:2: there is no setting "http.prt". Did you mean http.port?\n  environment variable LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, and is "loud".\n`,
    },
  );
});

t.test('an unusable certificate stops the start', async (t) => {
  const env = { ...process.env, TLS_CERT: '/nowhere/cert.pem', TLS_KEY: '/nowhere/key.pem' };
  await t.rejects(promisify(execFile)(process.execPath, [MAIN], { env }), {
    code: 2,
    stdout: '',
    stderr: 'tls_cert and tls_key: /nowhere/cert.pem cannot be read (ENOENT).\n',
  });
});

t.test('a started gateway: key, statuses, health, metrics', async (t) => {
  // A key of WCS without a meaning here, and a value that must not be logged.
  const foreign = { 'wss.keystore.password': 'geheim' } as Record<string, string>;
  const gateway = await startGateway(foreign, { env: { REST_API_KEY: 'k1' } });
  t.teardown(() => gateway.stop());
  const call = (path: string, init: RequestInit = {}) =>
    gateway.http(path, { ...init, headers: { 'X-Api-Key': 'k1', 'Content-Type': 'application/json' } });
  t.equal((await gateway.http('/rest-api/push/find_all')).status, 401);
  t.match(await call('/rest-api/push/find_all'), { status: 404, body: { exception: 'TRANSPONDER_NOT_FOUND' } });
  const start = (rtmpUrl: string) =>
    call('/rest-api/push/startup', { method: 'POST', body: JSON.stringify({ streamName: 'nobody', rtmpUrl }) });
  t.match(await start('rtmp://127.0.0.1/live'), { status: 404, body: { exception: 'STREAM_NOT_FOUND' } });
  t.match(await start('http://127.0.0.1/live'), { status: 400, body: { exception: 'INVALID_RTMP_URL' } });
  t.match(await call('/api/v1/streams'), { status: 200, body: [] });
  t.match(await call('/api/v1/transponders?ended=true'), { status: 200, body: [] });
  t.match(await gateway.http('/health'), { status: 200, body: { status: 'ok', workers: { alive: 1, wanted: 1 } } });
  t.match((await gateway.http('/metrics')).text, /^gateway_streams 0$/m);
  for (const { pid } of gateway.children())
    t.notMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /REST_API_KEY|=k1/, 'child processes do not get the key');
  t.ok(gateway.children('media-worker').length > 0);
  await gateway.stop();
  t.notMatch(gateway.logs(), 'k1');
  t.notMatch(gateway.logs(), 'geheim');
  t.strictSame(gateway.logs().match(/"keys":\[[^\]]*\]/g), ['"keys":["wss.keystore.password"]'], 'named once');
});

t.test('SIGTERM ends the gateway during its start too', async (t) => {
  const env = {
    ...process.env,
    ...mediaWorkerEnv(),
    HTTP_PORT: '0',
    WS_PORT: '0',
    RTC_PORT: '0',
    EMBEDDED_RTMP_SERVER: 'false',
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  // From now on mediasoup listens to signals too.
  await waitFor('the media worker', () => childrenOf(child.pid!).some(({ role }) => role === 'media-worker'), {
    every: 2,
  });
  child.kill('SIGTERM');
  t.strictSame(await exited, [0, null]);
});

t.test('a log that cannot be written does not stop the gateway', async (t) => {
  const http = await freePort();
  const env = {
    ...process.env,
    ...mediaWorkerEnv(),
    HTTP_PORT: String(http),
    WS_PORT: '0',
    RTC_PORT: '0',
    EMBEDDED_RTMP_SERVER: 'false',
    LOG_FORMAT: 'json',
  };
  const full = await open('/dev/full', 'w');
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', full.fd, 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  await full.close();
  const exited = once(child, 'exit');
  await Promise.race([
    waitFor('the gateway to serve', async () => (await fetch(`http://127.0.0.1:${http}/health`)).ok),
    exited,
  ]);
  child.kill('SIGTERM');
  t.strictSame(await exited, [0, null]);
});

t.test('SIGHUP ends the gateway, and the printed example has a placeholder for the key', async (t) => {
  const gateway = await startGateway({ log_format: 'pretty', rest_api_key: 'k1' });
  t.teardown(() => gateway.stop());
  process.kill(gateway.pid, 'SIGHUP');
  t.equal(await gateway.exited, 0);
  t.match(gateway.logs(), /closing signal=SIGHUP/);
  t.match(gateway.logs(), /curl .* -H 'Authorization: Bearer KEY' \\$/m);
});

t.test('allow_anonymous is logged with what it opens', async (t) => {
  const gateway = await startGateway({ allow_anonymous: true });
  t.teardown(() => gateway.stop());
  t.match(
    gateway.logs(),
    /"level":"warn".*allow_anonymous=true: everybody who reaches the gateway may publish, play, push/,
  );
});

t.test('a second gateway says that one is running; so does one whose media port is in use', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const start = (ports: Record<string, number>) =>
    promisify(execFile)(process.execPath, [MAIN], {
      env: { ...process.env, ...mediaWorkerEnv(), IP_LOCAL: '127.0.0.1', EMBEDDED_RTMP_SERVER: 'false', ...ports },
    });
  await t.rejects(start({ HTTP_PORT: gateway.ports.http }), {
    code: 2,
    stderr: new RegExp(`^Another WebRTC Transponder is running on ${gateway.httpUrl}\\. Stop it, or give`),
  });
  const started = start({ HTTP_PORT: await freePort(), WS_PORT: await freePort(), RTC_PORT: gateway.ports.rtc });
  await t.rejects(started, { code: 2, stderr: /^rtc_port \d+ is in use on 127\.0\.0\.1, as UDP or TCP.*\n$/ });
  const { stdout } = (await started.catch((error: unknown) => error)) as { stdout: string };
  t.notMatch(stdout, /mediasoup|bind/, 'without a line of mediasoup');
});

t.test('/health says closing, and other routes are refused, while the gateway closes', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const worker = gateway.children('media-worker')[0]!;
  // A worker that does not end holds the close up for two seconds.
  process.kill(worker.pid, 'SIGSTOP');
  process.kill(gateway.pid, 'SIGTERM');
  await waitFor('/health to say closing', async () => (await gateway.http('/health')).body.status === 'closing', {
    every: 10,
  });
  t.equal((await gateway.http('/health')).status, 503);
  t.match(await gateway.rest('/push/find_all'), { status: 503, body: { exception: 'SHUTTING_DOWN' } });
  t.equal(await gateway.exited, 0);
});

t.test('a gateway that ends tells its publishers, and does not take them for lost', async (t) => {
  const gateway = await startGateway();
  const publishers = await BenchProcess.start<PublisherRequests>('./publishers-main.ts', ['800']);
  t.teardown(async () => {
    await publishers.stop();
    await gateway.stop();
  });
  await publishers.ask('publish', { name: 'wcs', url: gateway.wsUrl });
  await publishers.ask('publish', { name: 'whip', url: `${gateway.httpUrl}/whip`, whip: true });
  await waitFor('both streams', async () => (await gateway.http('/health')).body.streams === 2);
  process.kill(gateway.pid, 'SIGTERM');
  t.equal(await gateway.exited, 0);
  t.match(await publishers.ask('status', 'wcs'), { status: 'FAILED', info: 'The gateway is shutting down.' });
  const lines = gateway.logs().split('\n');
  const ends = lines.filter((line) => line.includes('"stream ended"')).map((line) => JSON.parse(line));
  t.match(
    ends.sort((a, b) => a.streamName.localeCompare(b.streamName)),
    [
      { streamName: 'wcs', code: 'SHUTTING_DOWN' },
      { streamName: 'whip', code: 'SHUTTING_DOWN' },
    ],
  );
  t.notOk(lines.some((line) => line.includes('"publisher lost"')));
});

t.test('a thread that is blocked in a system call does not keep the gateway from ending', async (t) => {
  const folder = t.testdir();
  execFileSync('mkfifo', [join(folder, 'never')]);
  const preload = join(folder, 'block.mjs');
  writeFileSync(preload, `import { open } from 'node:fs'; open(${JSON.stringify(join(folder, 'never'))}, () => {});`);
  const env = { NODE_OPTIONS: `--import=${preload}` };
  const gateway = await startGateway({}, { env });
  t.teardown(() => gateway.stop().catch(() => undefined));
  process.kill(gateway.pid, 'SIGTERM');
  await gateway.exited;
  t.match(gateway.logs(), 'a system call does not return');
  await waitFor('its processes to be gone', () => gateway.children().length === 0);
});
