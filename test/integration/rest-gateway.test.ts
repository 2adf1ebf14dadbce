import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { startGateway } from '../helpers/gateway.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

t.test('settings that are not valid stop the start, with file and line', async (t) => {
  const file = join(t.testdir({ 'x.properties': 'rtmp_push_restore=true\nhttp.prt=8081\n' }), 'x.properties');
  await t.rejects(promisify(execFile)(process.execPath, [MAIN, '--config', file], { env: { ...process.env, LOG_LEVEL: 'loud' } }), {
    code: 2,
    stdout: '',
    stderr: `The settings are not valid:\n  ${file}:2: there is no setting "http.prt". Did you mean http.port?\n  environment variable LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, and is "loud".\n`,
  });
});

t.test('the gateway as it is started: key, statuses, health, metrics', async (t) => {
  const gateway = await startGateway({}, { env: { REST_API_KEY: 'k1' } });
  t.teardown(() => gateway.stop());
  const call = (path: string, init: RequestInit = {}) => gateway.http(path, { ...init, headers: { 'X-Api-Key': 'k1', 'Content-Type': 'application/json' } });
  t.equal((await gateway.http('/rest-api/push/find_all')).status, 401);
  t.match(await call('/rest-api/push/find_all'), { status: 404, body: { exception: 'TRANSPONDER_NOT_FOUND' } });
  const start = (rtmpUrl: string) => call('/rest-api/push/startup', { method: 'POST', body: JSON.stringify({ streamName: 'nobody', rtmpUrl }) });
  t.match(await start('rtmp://127.0.0.1/live'), { status: 404, body: { exception: 'STREAM_NOT_FOUND' } });
  t.match(await start('http://127.0.0.1/live'), { status: 400, body: { exception: 'INVALID_RTMP_URL' } });
  t.match(await call('/api/v1/streams'), { status: 200, body: [] });
  t.match(await call('/api/v1/transponders?ended=true'), { status: 200, body: [] });
  t.match(await gateway.http('/health'), { status: 200, body: { status: 'ok', workers: { alive: 1, wanted: 1 } } });
  t.match((await gateway.http('/metrics')).text, /^gateway_streams 0$/m);
  for (const { pid } of gateway.children()) t.notMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /REST_API_KEY|=k1/, 'what it starts is not given its key');
  t.ok(gateway.children('media-worker').length > 0);
  await gateway.stop();
  t.notMatch(gateway.logs(), 'k1');
});
