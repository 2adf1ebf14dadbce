import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startCluster } from '../helpers/cluster.ts';
import { activate } from '../helpers/console-page.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { recorded, recordingOf } from '../helpers/recording.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** Pages, the official Web SDK and its REST client with the address of a manager only. */

t.setTimeout(FILE_TIMEOUT);

/** The names of the streams that the RTMP server has accepted. */
const accepted: (string | null)[] = [];
const [browser, pages, nginx, cluster] = await Promise.all([
  startChromium(),
  startPageServer(),
  startNginxRtmp({
    onPublish: (parameters) => {
      accepted.push(parameters.get('name'));
      return 200;
    },
  }),
  startCluster({
    nodes: 2,
    settings: { cors_origins: '*', rooms: true, node_region: 'near', rtmp_transponder_full_url: true },
    // Two streams go to node-0, all others to node-1.
    nodeSettings: [{ node_capacity: 2 }, { node_region: 'far' }],
  }),
]);
t.teardown(async () => {
  await browser.close();
  await pages.close();
  await cluster.stop();
  await nginx.stop();
});
const manager = cluster.managers[0]!;
const openPage = (): Promise<SdkPage> => SdkPage.open(browser, pages);
const tone = { source: 'tone', sourceOptions: { width: 320, height: 180 } } as const;

/** Calls a method of the official REST client in the page, such as `push.find`. */
const call = (page: SdkPage, method: string, ...args: unknown[]): Promise<unknown> =>
  page.page.evaluate(
    `FlashphonerRestApi.instance('${manager.httpUrl}', '${manager.httpUrl}').${method}(${args.map((arg) => JSON.stringify(arg)).join()})`,
  );

/** Waits until the page has shown further frames in this element. */
async function plays(page: { evaluate(expression: string): Promise<unknown> }, element: string): Promise<void> {
  const frames = (): Promise<unknown> =>
    page.evaluate(
      `Math.max(0, ...[...document.querySelectorAll('#${element} video')].map((video) => video.getVideoPlaybackQuality().totalVideoFrames))`,
    );
  const before = (await frames()) as number;
  await waitFor(`frames in ${element}`, async () => ((await frames()) as number) > before + 5);
}

async function openConsole(path: string): Promise<{ page: Page; faults: string[] }> {
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  await page.goto(manager.httpUrl + path);
  return { page, faults };
}

/** A page of the Room API in the room. */
async function join(login: string) {
  const page = await browser.newPage();
  await page.goto(`${pages.url}room.html`);
  await page.evaluate(`roomPage.join('${manager.wsUrl}', '${login}', 'room')`);
  return {
    page,
    publish: () => page.evaluate('roomPage.publish()') as Promise<string>,
    told: async (what: string) =>
      ((await page.evaluate('roomPage.told')) as string[]).filter((one) => one.startsWith(what)).length,
  };
}

await t.test('pages and a REST client that know the manager only, when a node is killed', async (t) => {
  const [ann, ben] = [await join('ann'), await join('ben')];
  const page = await openPage();
  await page.page.evaluate("import('/websdk/flashphoner-rest-api.js').then(() => {})");
  await page.connect(manager.wsUrl, { authToken: 'token-of-the-page' });
  t.equal((await cluster.nodes[0]!.rest('/connection/find_all')).body.length, 3, 'all pages are at node-0');
  t.match(await page.publish({ name: 'show', ...tone }), { status: 'PUBLISHING' });
  const ofAnn = await ann.publish();
  await waitFor('a full node', async () => (await manager.http('/api/v1/nodes/node-0')).body.publications === 2);
  const ofBen = await ben.publish();
  t.strictSame(await Promise.all(['show', ofAnn, ofBen].map((name) => cluster.ownerOf(name))), [0, 0, 1]);
  await plays(ann.page, 'ben');
  await plays(ben.page, 'ann');
  t.match(await page.play({ name: ofBen }), { status: 'PLAYING' }, 'from another node');
  await plays(page.page, 'remote');

  const start = async (target: string): Promise<string> =>
    ((await call(page, 'push.push', 'show', `${nginx.rtmpUrl}/${target}`)) as { mediaSessionId: string })
      .mediaSessionId;
  const [kept, ended] = [await start('kept'), await start('ended')];
  await recorded(recordingOf(nginx, 'kept'), 500);
  t.match(await call(page, 'push.find', 'show', `${nginx.rtmpUrl}/kept`), [
    { mediaSessionId: kept, streamName: 'kept' },
  ]);
  await call(page, 'push.mute', kept);
  await call(page, 'push.terminate', ended);
  t.match(await call(page, 'push.findAll'), [{ mediaSessionId: kept, muted: true }]);

  const nodes = await openConsole('/console/nodes.html');
  const streamsOf = (id: string): Promise<string[]> =>
    nodes.page.getByRole('region', { name: id }).locator('.name').allTextContents();
  await waitFor('the streams by node', async () => (await streamsOf('node-1')).includes(ofBen));
  t.strictSame((await streamsOf('node-0')).sort(), [ofAnn, 'show']);
  const console = await openConsole('/');
  await console.page.getByText('Gateway connected').waitFor();
  t.strictSame([nodes.faults, console.faults], [[], []]);
  await console.page.close();

  const connections = accepted.length;
  process.kill(cluster.nodes[0]!.pid, 'SIGKILL');
  const killedAt = performance.now();
  await page.event('the end of the stream', ({ name, status }) => name === 'show' && status === 'FAILED');
  await waitFor('the page to publish again', async () => {
    const { status, info } = await page.publish({ name: 'show', ...tone });
    if (status !== 'PUBLISHING') throw new Error(`${status} ${info}`);
    return true;
  });
  t.comment(`published again after ${Math.round(performance.now() - killedAt)} ms`);
  t.equal(await cluster.ownerOf('show'), 1);
  await waitFor('the push at the server', () => accepted.slice(connections).includes('kept'));
  t.comment(`pushed again after ${Math.round(performance.now() - killedAt)} ms`);
  await recorded(recordingOf(nginx, 'kept'), 500);
  t.match(await call(page, 'push.findAll'), [{ mediaSessionId: kept, muted: true, status: 'pushing' }]);
  await call(page, 'push.unmute', kept);

  await waitFor('the loss of the stream', () => ann.told('FAILED'));
  await ann.publish();
  await waitFor('the new stream', async () => (await ben.told('PUBLISHED ann')) === 2);
  await plays(ben.page, 'ann');
  await plays(ann.page, 'ben');
  await plays(page.page, 'remote');
  for (const { told } of [ann, ben]) t.equal(await told('STATE'), 1, 'the SDK is not told a second state');
  const events = await page.events();
  const sessions = events.filter(({ what }) => what === 'session').map(({ status }) => status);
  t.strictSame(sessions, ['CONNECTED', 'ESTABLISHED'], 'over the same connection');
  t.notOk(
    events.some(({ name, status }) => name === ofBen && ['STOPPED', 'FAILED'].includes(status ?? '')),
    'what another node carries goes on',
  );

  await waitFor('one node', async () => (await nodes.page.locator('.node').count()) === 1);
  nodes.page.on('dialog', (dialog) => void dialog.accept());
  await activate(nodes.page.getByRole('button', { name: 'Drain node-1' }));
  await nodes.page.getByText('Draining').waitFor();
  t.match((await manager.http('/api/v1/nodes')).body, [{ id: 'node-1', state: 'draining' }]);
});
