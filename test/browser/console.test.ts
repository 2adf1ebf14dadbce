import t from 'tap';
import type { Page } from 'playwright-core';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startReverseProxy } from '../helpers/reverse-proxy.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** What a person does with the page, against the real gateway and its embedded RTMP server. */

t.setTimeout(120_000);
const browser = await startChromium();
t.teardown(() => browser.close());

/** What is used of the page's elements; the project's tests know no DOM. */
interface Video {
  readonly currentTime: number;
  readonly videoWidth: number;
}
interface Html {
  readonly ownerDocument: { readonly defaultView: { readonly localStorage: { readonly length: number } } };
}

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();
/** Waits until an element says it. */
const says = (page: Page, selector: string, wanted: string): Promise<void> =>
  page.locator(selector, { hasText: wanted }).first().waitFor({ timeout: 20_000 });
const plays = (page: Page): Promise<boolean> =>
  waitFor(
    'the frame of the RTMP server',
    () => page.locator('#watch').evaluate((video: Video) => video.currentTime > 1 && video.videoWidth > 0),
    { timeout: 30_000 },
  );
const press = (page: Page, name: string): Promise<void> =>
  page.getByRole('button', { name, exact: true }).first().click();

t.test('publish, push, watch, switch, terminate, stop', async (t) => {
  const embedded = await freePort();
  const gateway = await startGateway({
    embedded_rtmp_server: true,
    embedded_rtmp_port: embedded,
    embedded_http_flv_port: await freePort(),
  });
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  await page.goto(gateway.httpUrl);
  await says(page, '#gateway', 'Gateway connected');

  await page.getByLabel('Stream name').fill('evening');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'On air as “evening”');
  await press(page, 'Start push');
  await says(page, '.push .pill', 'Pushing');
  t.equal(await text(page, '.push code'), `rtmp://127.0.0.1:${embedded}/live`);
  t.equal(
    await page.evaluate(
      `document.getElementById(document.querySelector('.push .danger').getAttribute('aria-describedby')).textContent`,
    ),
    `rtmp://127.0.0.1:${embedded}/live`,
    'a button says which push it is for',
  );
  await plays(page);
  t.pass('what the RTMP server receives plays');
  t.same(faults, [], 'no error in the page, and nothing that its policy forbids');

  const viewer = await browser.newPage();
  await viewer.goto(gateway.httpUrl);
  const played = await viewer.evaluate(`(async () => {
    const { Session } = await import('/client/index.js');
    const session = await Session.connect('${gateway.wsUrl}');
    const playback = await session.play({ name: 'evening' });
    const video = Object.assign(document.createElement('video'), { muted: true, srcObject: playback.stream });
    document.body.append(video);
    await video.play();
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const kinds = playback.stream.getTracks().map((track) => track.kind).sort();
    const { videoWidth } = video;
    await playback.stop();
    session.close();
    return { kinds, videoWidth };
  })()`);
  t.match(played, { kinds: ['audio', 'video'], videoWidth: Number }, 'the library plays it in another page');
  await viewer.close();

  await press(page, 'Mute');
  await page.getByRole('button', { name: 'Unmute' }).waitFor();
  const [push] = (await gateway.rest('/push/find', {})).body;
  t.equal(push.muted, true);

  await press(page, '+ Add a destination');
  await page.keyboard.type('rtmp://someone:PASSWORD@127.0.0.1:1/app/SECRETKEY?token=TOKEN');
  await page.locator('#destinations li').nth(1).getByLabel('The URL ends with the stream key').check();
  await press(page, 'Start push');
  await page.locator('#ended-pushes li').waitFor();
  t.match(await text(page, '#ended-pushes .reason'), /\w/, 'why it ended');
  t.notMatch(await text(page, 'body'), /PASSWORD|SECRETKEY|TOKEN/, 'no secret shows');

  await press(page, 'Terminate');
  await says(page, '#no-pushes', 'None at the moment');
  await says(page, '#watch-note', 'Nothing to watch yet');
  await press(page, 'Stop');
  await says(page, '#publish-state', 'Stopped.');
  t.same((await gateway.http('/api/v1/streams')).body, []);
});

t.test('the gateway asks for its key, goes away and comes back', async (t) => {
  const key = { rest_api_key: 'correct-horse-battery-staple' };
  const first = await startGateway({
    ...key,
    embedded_rtmp_server: true,
    embedded_rtmp_port: await freePort(),
    embedded_http_flv_port: await freePort(),
  });
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.goto(first.httpUrl);
  await says(page, '#gateway', 'asks for its key');
  await page.getByLabel('This gateway asks').fill('wrong');
  await press(page, 'Use key');
  await says(page, '#access-error', 'does not accept');
  await page.getByLabel('This gateway asks').fill(key.rest_api_key);
  await press(page, 'Use key');
  await says(page, '#gateway', 'Gateway connected');
  t.equal(
    await page.locator('html').evaluate((html: Html) => html.ownerDocument.defaultView.localStorage.length),
    0,
    'the key is not kept beyond the tab',
  );

  await press(page, 'Publish');
  await says(page, '#publish-state', 'On air');
  await press(page, 'Start push');
  await plays(page);
  t.pass('with the key the page may watch');
  await first.stop();
  await says(page, '#gateway', 'unreachable');
  await says(page, '#publish-state', 'Trying to publish again');
  const second = await startGateway({
    ...key,
    'ws.port': first.ports.ws,
    'http.port': first.ports.http,
    rtc_port: first.ports.rtc,
  });
  t.teardown(() => second.stop());
  await says(page, '#gateway', 'Gateway connected');
  await says(page, '#publish-state', 'On air');
  const streams = await second.http('/api/v1/streams', { headers: { authorization: `Bearer ${key.rest_api_key}` } });
  t.match(streams.body, [{ name: 'test', status: 'live' }], 'published again by itself');
});

t.test('behind the reverse proxy of docs/operations.md', async (t) => {
  const gateway = await startGateway({ rest_api_key: 'k3y' });
  t.teardown(() => gateway.stop());
  const proxy = await startReverseProxy(gateway.ports);
  t.teardown(() => proxy.stop());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  t.teardown(() => page.close());
  await page.goto(proxy.url);
  await page.getByLabel('This gateway asks').fill('k3y');
  await press(page, 'Use key');
  await says(page, '#gateway', 'Gateway connected');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'On air');
  t.match((await gateway.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } })).body, [
    { name: 'test', status: 'live' },
  ]);
});

t.test('reloaded, the page goes on with its stream; another one cannot', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const [page, other] = await Promise.all([browser.newPage(), browser.newPage()]);
  t.teardown(() => Promise.all([page.close(), other.close()]));
  const streams = async () => (await gateway.http('/api/v1/streams')).body;
  const publish = async (publisher: Page, outcome: string): Promise<void> => {
    await press(publisher, 'Publish');
    await says(publisher, '#publish-state', outcome);
  };
  await page.goto(gateway.httpUrl);
  await publish(page, 'On air');
  const [{ startedAt }] = await streams();
  await page.reload();
  await waitFor('the stream to be held', async () => (await streams())[0]?.status === 'held');
  await other.goto(gateway.httpUrl);
  await publish(other, 'already in use');
  await publish(page, 'On air');
  t.match(await streams(), [{ status: 'live', startedAt }], 'the same stream');
});

t.test('the page plays on behind a hole in the frames', async (t) => {
  const gateway = await startGateway({
    embedded_rtmp_server: true,
    embedded_rtmp_port: await freePort(),
    embedded_http_flv_port: await freePort(),
  });
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(
    '{ const Native = RTCPeerConnection; RTCPeerConnection = class extends Native { constructor(...args) { super(...args); globalThis.connection = this; } }; }',
  );
  await page.goto(gateway.httpUrl);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'On air');
  await press(page, 'Start push');
  await plays(page);
  const watched = (): Promise<number> => page.locator('#watch').evaluate((video: Video) => video.currentTime);
  await page.evaluate(
    '{ globalThis.sender = connection.getSenders().find(({ track }) => track?.kind === "video"); globalThis.camera = sender.track; sender.replaceTrack(null); }',
  );
  let hole = await watched();
  await waitFor('the player to stand before it', async () => hole === (hole = await watched()), {
    timeout: 30_000,
    every: 500,
  });
  await page.evaluate('sender.replaceTrack(camera)');
  t.ok(await waitFor('the frame to go on', async () => (await watched()) > hole + 3, { timeout: 20_000 }));
});

t.test('by keyboard, on a phone, with words longer than its screen', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage({ viewport: { width: 360, height: 740 }, isMobile: true });
  t.teardown(() => page.close());
  await page.goto(gateway.httpUrl);
  await says(page, '#gateway', 'Gateway connected');
  await page.getByLabel('Stream name').fill('a'.repeat(100));
  await page.locator('#publish').focus();
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'On air');
  await page
    .locator('#destinations input')
    .first()
    .fill(`rtmp://${'long.'.repeat(40)}invalid/live`);
  await page.locator('#start-push').focus();
  await page.keyboard.press('Enter');
  await says(page, '#destinations .error', 'could not be resolved');
  t.equal(await page.evaluate('document.activeElement.id'), 'start-push', 'a button that was pressed keeps the focus');
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, 'nothing sticks out');
  await page.locator('#publish').focus();
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'Stopped.');
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'On air');
});

t.test('no camera permission', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(
    'navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"))',
  );
  await page.goto(gateway.httpUrl);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Allow both for this page');
  t.equal(await text(page, '#publish'), 'Publish');
});

t.test('a camera without a microphone', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(`
    const { mediaDevices } = navigator;
    const [open, list] = [mediaDevices.getUserMedia.bind(mediaDevices), mediaDevices.enumerateDevices.bind(mediaDevices)];
    mediaDevices.enumerateDevices = async () => (await list()).filter(({ kind }) => kind !== 'audioinput');
    mediaDevices.getUserMedia = async (wanted) => { if (wanted.audio) throw new DOMException('Requested device not found', 'NotFoundError'); return open(wanted); };
  `);
  await page.goto(gateway.httpUrl);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'On air as “test”, without sound: there is no microphone.');
  t.match((await gateway.http('/api/v1/streams')).body, [{ status: 'live', audioCodec: null, videoCodec: 'h264' }]);
});

t.test('pressed before the page is ready', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  const late = Promise.withResolvers<void>();
  await page.route('**/console/config.json', (route) => late.promise.then(() => route.continue()));
  await page.goto(gateway.httpUrl);
  t.strictSame(await Promise.all(['#publish', '#start-push'].map((button) => page.locator(button).isDisabled())), [
    true,
    true,
  ]);
  const pressed = press(page, 'Publish');
  late.resolve();
  await pressed;
  await says(page, '#publish-state', 'On air');
});
