import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import t from 'tap';
import { issueToken } from '../../src/access/issue-token.ts';
import { JwtClaimsSchema } from '../../src/access/jwt-claims.ts';
import { Secret } from '../../src/net/secret.ts';
import { mainProcessOf } from '../helpers/chromium.ts';
import { startCluster } from '../helpers/cluster.ts';
import { startGateway, type TestGateway } from '../helpers/gateway.ts';
import { argumentsOf, treeOf } from '../helpers/processes.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { startUdpRelay } from '../helpers/udp-relay.ts';
import { MOST_TRIES, waitFor } from '../helpers/wait.ts';

/** What a publication of the gateway's own library survives in Chromium. */

t.setTimeout(FILE_TIMEOUT);

/** Milliseconds for what the browser notices by itself: ICE gives up after half a minute. */
const PATIENCE = 90_000;
/** Longer than the gateway waits for an answer to a ping. */
const FROZEN_MS = 20_000;
const SETTINGS = { publisher_resume_window_ms: 60_000 };
const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';

const { gateway, browser, nginx } = await setStage(t, { settings: SETTINGS });

/** A page of the gateway that publishes its camera. `hooks.mediaPort` leads its media through a relay. */
async function publisher(
  server: TestGateway,
  name: string,
  { mediaPort = 0, token }: { mediaPort?: number; token?: () => Promise<string> } = {},
) {
  const page = await browser.newPage();
  const hooks = await readFile(new URL('../helpers/page/peer-connection-hooks.js', import.meta.url), 'utf8');
  await page.addInitScript(`${hooks}; globalThis.hooks = hooks;`);
  if (token) await page.exposeFunction('token', token);
  await page.goto(`${server.httpUrl}/client/index.js`);
  await page.evaluate(`(async () => {
    hooks.mediaPort = ${mediaPort} || undefined;
    const { Session } = await import('/client/index.js');
    const session = await Session.connect('${server.wsUrl}', { token: globalThis.token });
    const publish = (tries) =>
      session
        .publish({ name: '${name}', constraints: { audio: true, video: { width: 320, height: 240 } } })
        .catch(async (error) => {
          // A gateway that has just started is overloaded for some seconds on a busy machine.
          if (error.reasonCode !== 'OVERLOADED' || tries === 0) throw error;
          await new Promise((resolve) => setTimeout(resolve, 1000));
          return publish(tries - 1);
        });
    const publication = await publish(${MOST_TRIES});
    const told = [];
    publication.on('state', (state, info) => told.push(state));
    publication.on('device', (kind, error) => told.push(kind + ' ' + (error ? error.code : 'back')));
    publication.on('stats', (stats) => (globalThis.stats = stats));
    Object.assign(globalThis, { session, publication, told });
  })()`);
  return page;
}

const told = (page: Page): Promise<string[]> => page.evaluate('told') as Promise<string[]>;
const hears = (page: Page, what: string): Promise<true> =>
  waitFor(`"${what}"`, async () => (await told(page)).includes(what) || undefined, { timeout: PATIENCE });

/** Waits until video of the page reaches the destination. */
async function arrives(server: TestGateway, mediaSessionId: string): Promise<void> {
  const live = await server.reached(mediaSessionId, 'pushing', PATIENCE);
  await waitFor(
    'more of the stream',
    async () => ((await server.transponder(mediaSessionId))?.bytesSent ?? 0) > live.bytesSent + 20_000,
    { timeout: PATIENCE },
  );
}

await t.test('the network changes: the stream is published again, and its push goes on', async (t) => {
  const [wifi, mobile] = [await startUdpRelay(gateway.ports.rtc), await startUdpRelay(gateway.ports.rtc)];
  t.teardown(() => [wifi, mobile].forEach((relay) => relay.close()));
  const page = await publisher(gateway, 'moving', { mediaPort: wifi.port });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'moving', rtmpUrl: nginx.rtmpUrl });
  await arrives(gateway, mediaSessionId);
  await page.evaluate(`void (hooks.mediaPort = ${mobile.port})`);
  wifi.blackhole(true);
  await hears(page, 'resuming');
  await hears(page, 'publishing');
  await arrives(gateway, mediaSessionId);
  t.ok(mobile.counts().passed > 0, 'over the other network');
  await page.close();
});

await t.test('the camera is unplugged: another one takes its place', async (t) => {
  const page = await publisher(gateway, 'unplugged');
  const { mediaSessionId } = await gateway.startPush({ streamName: 'unplugged', rtmpUrl: nginx.rtmpUrl });
  await arrives(gateway, mediaSessionId);
  const lost = await page.evaluate(`(() => {
    const [camera] = publication.stream.getVideoTracks();
    camera.stop();
    camera.dispatchEvent(new Event('ended'));
    return camera.id;
  })()`);
  await hears(page, 'video back');
  t.strictSame(await told(page), ['video DEVICE_LOST', 'video back']);
  t.not(await page.evaluate('publication.stream.getVideoTracks()[0].id'), lost);
  await arrives(gateway, mediaSessionId);
  const stats = (await waitFor('statistics with video', () =>
    page.evaluate('globalThis.stats?.fps > 0 && globalThis.stats'),
  )) as { bitrate: number; height: number; quality: string };
  t.ok(stats.bitrate > 0);
  t.ok(stats.height > 0);
  t.match(stats.quality, /^(good|fair|poor)$/);
  await page.close();
});

await t.test('the token expires: the stream is published again with a new one', async (t) => {
  const guarded = await startGateway({ ...SETTINGS, jwt_secret: SECRET, rest_api_key: 'k3y' });
  t.teardown(() => guarded.stop());
  let asked = 0;
  const token = (): Promise<string> => {
    const exp = Math.floor(Date.now() / 1000) + (++asked === 1 ? 20 : 600);
    return issueToken(
      JwtClaimsSchema.parse({ sub: 'ann', exp, act: ['publish'], streams: ['show'] }),
      new Secret(SECRET),
    );
  };
  const page = await publisher(guarded, 'show', { token });
  await hears(page, 'resuming');
  await hears(page, 'publishing');
  t.strictSame(await told(page), ['resuming', 'publishing']);
  t.equal(asked, 2);
  const streams = await guarded.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } });
  t.match(streams.body, [{ name: 'show', status: 'live' }]);
  await page.close();
});

await t.test('the gateway is restarted: session and stream come back', async (t) => {
  const first = await startGateway(SETTINGS);
  const page = await publisher(first, 'restarted');
  await page.evaluate(`void session.on('state', (state) => told.push('session ' + state))`);
  await first.stop();
  await hears(page, 'session reconnecting');
  const { ws, http, rtc } = first.ports;
  const second = await startGateway({ ...SETTINGS, 'ws.port': ws, 'http.port': http, rtc_port: rtc });
  t.teardown(() => second.stop());
  await hears(page, 'session established');
  await hears(page, 'publishing');
  t.match((await second.http('/api/v1/streams')).body, [{ name: 'restarted', status: 'live' }]);
  await page.close();
});

await t.test('the computer sleeps for longer than the gateway waits for packets: the stream comes back', async (t) => {
  const page = await publisher(gateway, 'asleep');
  const { mediaSessionId } = await gateway.startPush({ streamName: 'asleep', rtmpUrl: nginx.rtmpUrl });
  await arrives(gateway, mediaSessionId);
  const chromium = treeOf(mainProcessOf(process.pid));
  const signal = (name: 'SIGSTOP' | 'SIGCONT'): void => chromium.forEach((pid) => process.kill(pid, name));
  signal('SIGSTOP');
  const statusOf = async (): Promise<string | undefined> =>
    ((await gateway.http('/api/v1/streams')).body as { name: string; status: string }[]).find(
      ({ name }) => name === 'asleep',
    )?.status;
  await waitFor('the loss', async () => (await statusOf()) === 'held', { timeout: PATIENCE }).finally(() =>
    signal('SIGCONT'),
  );
  await hears(page, 'resuming');
  await waitFor('the stream', async () => (await statusOf()) === 'live', { timeout: PATIENCE });
  await arrives(gateway, mediaSessionId);
  await page.close();
});

await t.test('a phone freezes the page: it goes on when it is shown again', async (t) => {
  const page = await publisher(gateway, 'frozen');
  const { mediaSessionId } = await gateway.startPush({ streamName: 'frozen', rtmpUrl: nginx.rtmpUrl });
  await arrives(gateway, mediaSessionId);
  const renderers = treeOf(mainProcessOf(process.pid)).filter((pid) =>
    argumentsOf(pid).join(' ').includes('--type=renderer'),
  );
  const signal = (name: 'SIGSTOP' | 'SIGCONT'): void => renderers.forEach((pid) => process.kill(pid, name));
  await page.evaluate('void (globalThis.ticks = 0); setInterval(() => ticks++, 50)');
  signal('SIGSTOP');
  await sleep(FROZEN_MS);
  signal('SIGCONT');
  t.ok(((await page.evaluate('ticks')) as number) < FROZEN_MS / 50 / 2, 'no timer of the page ran');
  await waitFor('the state', async () => (await page.evaluate('publication.state')) === 'publishing', {
    timeout: PATIENCE,
  });
  await arrives(gateway, mediaSessionId);
  await page.close();
});

await t.test('in a cluster: the manager is restarted, and the node is lost', async (t) => {
  const cluster = await startCluster({ nodes: 2, settings: { ...SETTINGS, cors_origins: '*' } });
  t.teardown(() => cluster.stop());
  const page = await publisher(cluster.managers[0]!, 'clustered');
  await page.evaluate(`void session.on('state', (state) => told.push('session ' + state))`);
  const owner = (await cluster.ownerOf('clustered'))!;
  await cluster.restartManager(0);
  await hears(page, 'session established');
  const publishes = (): Promise<true> =>
    waitFor('the stream', async () => (await page.evaluate('publication.state')) === 'publishing' || undefined, {
      timeout: PATIENCE,
    });
  await publishes();
  process.kill(cluster.nodes[owner]!.pid, 'SIGKILL');
  await waitFor('the other node', async () => (await cluster.ownerOf('clustered')) === 1 - owner, {
    timeout: PATIENCE,
  });
  await publishes();
  t.strictSame((await told(page)).includes('ended'), false);
  await page.close();
});
