import t from 'tap';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { startGateway } from '../helpers/gateway.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const settings = { drain_timeout_s: 600 };
const { gateway, nginx, openPage, publisher } = await setStage(t, { settings });

await t.test('SIGTERM: running streams go on, new ones are refused, the last one ends the gateway', async (t) => {
  const page = await publisher({ name: 'running' });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'running', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  process.kill(gateway.pid, 'SIGTERM');
  await waitFor('not to be ready', async () => (await gateway.http('/health/ready')).status === 503);
  t.equal((await gateway.http('/health/live')).status, 200);

  const late = await openPage();
  await late.connect(gateway.wsUrl).catch((error: unknown) => {
    throw new Error(gateway.logs().slice(-3000), { cause: error });
  });
  t.match(await late.publish({ name: 'late' }), { status: 'FAILED', info: /no new streams/ });
  const before = (await gateway.transponder(mediaSessionId))!.bytesSent;
  await waitFor('the push to go on', async () => (await gateway.transponder(mediaSessionId))!.bytesSent > before);

  await page.stop('running');
  t.equal(await gateway.exited, 0);
});

await t.test('a second SIGTERM ends the gateway at once', async (t) => {
  const other = await startGateway(settings);
  t.teardown(() => other.stop());
  const page = await openPage();
  await page.publishTo(other.wsUrl, { name: 'running' });
  t.equal((await other.http('/api/v1/server/drain', { method: 'POST' })).status, 202);
  process.kill(other.pid, 'SIGTERM');
  t.equal((await other.http('/health')).body.status, 'draining');
  process.kill(other.pid, 'SIGTERM');
  t.equal(await other.exited, 0);
});
