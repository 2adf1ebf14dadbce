import { once } from 'node:events';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import type { GatewayEvent } from '../../src/hooks/events.ts';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const SECRET = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;

t.test('events that were queued when the gateway was killed arrive after the next start', async (t) => {
  const [browser, pages, nginx] = await Promise.all([startChromium(), startPageServer(), startNginxRtmp()]);
  for (const part of [browser, pages]) t.teardown(() => part.close());
  t.teardown(() => nginx.stop());
  const port = await freePort();
  const settings = {
    state_dir: t.testdir({}),
    webhook_urls: `http://127.0.0.1:${port}/hook?token=URL-TOKEN`,
    webhook_secret: SECRET,
    publisher_resume_window_ms: 60_000,
  };

  // Nobody listens: everything is queued.
  const first = await startGateway(settings);
  t.teardown(() => first.stop().catch(() => undefined));
  const page = await SdkPage.open(browser, pages);
  await page.publishTo(first.wsUrl, { name: 'cam1' });
  const { mediaSessionId: id } = await first.startPush({
    streamName: 'cam1',
    rtmpUrl: `${nginx.rtmpUrl}?key=STREAM-KEY`,
  });
  await first.reached(id, 'pushing');
  await waitFor('an attempt', () => first.logs().includes('a webhook was not accepted'));
  process.kill(first.pid, 'SIGKILL');
  await first.exited;

  const events: GatewayEvent[] = [];
  const webhook = new Webhook(SECRET);
  const receiver = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    events.push(webhook.verify(Buffer.concat(chunks), request.headers as Record<string, string>) as GatewayEvent);
    response.writeHead(204).end();
  }).listen(port, '127.0.0.1');
  await once(receiver, 'listening');
  t.teardown(() => receiver.close());
  const ofStream = (): string[] =>
    events.filter(({ data }) => 'stream' in data && data.stream === 'cam1').map(({ type }) => type);
  const left = ['stream.published', 'push.connecting', 'push.pushing'];

  const second = await startGateway(settings);
  t.teardown(() => second.stop());
  await waitFor('the events', () => ofStream().length >= left.length);
  t.strictSame(ofStream(), left);

  const other = await SdkPage.open(browser, pages);
  await other.publishTo(second.wsUrl, { name: 'cam1' });
  await second.startPush({ streamName: 'cam1', rtmpUrl: `${nginx.rtmpUrl}?key=STREAM-KEY` });
  await waitFor('the push', () => ofStream().length >= 2 * left.length);
  await other.page.evaluate(
    `hooks.connections.at(-1).getSenders().find(({ track }) => track?.kind === 'video').replaceTrack(null)`,
  );
  await waitFor('the stall', () => ofStream().includes('stream.stalled'));
  await second.stop();
  // The WebSockets close before the streams end, so the publisher may count as lost in between.
  t.strictSame(
    ofStream().filter((type) => type !== 'stream.lost'),
    [...left, ...left, 'stream.stalled', 'push.ended', 'stream.ended'],
  );
  t.strictSame(
    events.filter(({ type }) => type.startsWith('gateway.')).map(({ type }) => type),
    ['gateway.started', 'gateway.started', 'gateway.stopping'],
  );
  t.notMatch(JSON.stringify(events), /STREAM-KEY|URL-TOKEN|whsec_/);
  for (const gateway of [first, second]) t.notMatch(gateway.logs(), /STREAM-KEY|URL-TOKEN|whsec_/);
});
