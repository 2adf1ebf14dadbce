import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import t from 'tap';
import type { Page } from 'playwright-core';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startReverseProxy } from '../helpers/reverse-proxy.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console page with the real gateway and its embedded RTMP server. */

t.setTimeout(290_000);
const browser = await startChromium();
t.teardown(() => browser.close());

/** The members of DOM classes that are used here: the tests are compiled without the DOM's types. */
interface Video {
  readonly currentTime: number;
  readonly videoWidth: number;
}

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();
/** Waits until an element contains the text. */
const says = (page: Page, selector: string, wanted: string): Promise<void> =>
  page.locator(selector, { hasText: wanted }).first().waitFor({ timeout: 20_000 });
const plays = (page: Page): Promise<boolean> =>
  waitFor(
    'the stream of the RTMP server',
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
  await says(page, '#publish-state', 'Publishing “evening”');
  await press(page, 'Start push');
  await says(page, '.push .pill', 'Pushing');
  t.equal(await text(page, '.push code'), `rtmp://127.0.0.1:${embedded}/live`);
  t.equal(
    await page.evaluate(
      `document.getElementById(document.querySelector('.push .danger').getAttribute('aria-describedby')).textContent`,
    ),
    `rtmp://127.0.0.1:${embedded}/live`,
    'a button refers to its push',
  );
  await plays(page);
  t.pass('the stream of the RTMP server plays');
  t.same(faults, [], 'no errors in the page, and no violation of its policy');

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
  t.match(played, { kinds: ['audio', 'video'], videoWidth: Number }, 'the library plays the stream in another page');
  await viewer.close();

  await press(page, 'Mute');
  await page.getByRole('button', { name: 'Unmute' }).waitFor();
  const [push] = (await gateway.rest('/push/find', {})).body;
  t.equal(push.muted, true);

  await press(page, '+ Add destination');
  await page.keyboard.type('rtmp://someone:PASSWORD@127.0.0.1:1/app/SECRETKEY?token=TOKEN');
  await page.locator('#destinations li').nth(1).getByLabel('The URL ends with the stream key').check();
  await press(page, 'Start push');
  await page.locator('#ended-pushes li').waitFor();
  t.match(await text(page, '#ended-pushes .reason'), /\w/, 'a reason');
  t.notMatch(await text(page, 'body'), /PASSWORD|SECRETKEY|TOKEN/, 'no secret is shown');

  await press(page, 'Terminate');
  await says(page, '#no-pushes', 'No active pushes');
  await says(page, '#watch-note', 'Nothing to play yet');
  await press(page, 'Stop');
  await says(page, '#publish-state', 'Stopped.');
  t.same((await gateway.http('/api/v1/streams')).body, []);
});

t.test('the gateway requires its key, stops and is started again', async (t) => {
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
  await says(page, '#gateway', 'API key or token required');
  await page.getByLabel('This gateway requires').fill('wrong');
  await press(page, 'Use key');
  await says(page, '#access-error', 'does not accept');
  await page.getByLabel('This gateway requires').fill(key.rest_api_key);
  await press(page, 'Use key');
  await says(page, '#gateway', 'Gateway connected');
  await says(page, '#rights', 'Allowed: publish, play, push, call, control, read, admin, join; streams: all');
  const kept = (): Promise<string> => page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])');
  t.notMatch(await kept(), key.rest_api_key, 'the key is in memory only');
  await page.reload();
  await says(page, '#gateway', 'API key or token required');
  await page.getByLabel('This gateway requires').fill(key.rest_api_key);
  await page.getByLabel('Keep until this tab is closed').check();
  await press(page, 'Use key');
  await says(page, '#gateway', 'Gateway connected');
  t.match(JSON.parse(await kept())[0], { 'webrtc-transponder.api-key': key.rest_api_key }, 'unless the user asks');
  t.equal(await page.evaluate('localStorage.length'), 0);
  await page.reload();
  await says(page, '#gateway', 'Gateway connected');

  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing');
  await press(page, 'Start push');
  await plays(page);
  t.pass('with the key the page plays the stream');
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
  await says(page, '#publish-state', 'Publishing');
  const streams = await second.http('/api/v1/streams', { headers: { authorization: `Bearer ${key.rest_api_key}` } });
  t.match(streams.body, [{ name: 'test', status: 'live' }], 'published again automatically');
  await press(page, 'Log out');
  await says(page, '#gateway', 'API key or token required');
  t.equal(await page.locator('#login').isVisible(), false);
  t.notMatch(await kept(), /correct-horse|publication/, 'nothing is kept after logging out');
  const left = await second.http('/api/v1/streams', { headers: { authorization: `Bearer ${key.rest_api_key}` } });
  t.strictSame(left.body, [], 'the stream has ended');
});

// Without a prefix too with LONG_TESTS=1.
for (const prefixed of process.env['LONG_TESTS'] === '1' ? [false, true] : [true])
  t.test(`behind the reverse proxy of docs/operations.md${prefixed ? ', below a path prefix' : ''}`, async (t) => {
    const gateway = await startGateway({ rest_api_key: 'k3y' });
    t.teardown(() => gateway.stop());
    const proxy = await startReverseProxy(gateway.ports, { prefixed });
    t.teardown(() => proxy.stop());
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    t.teardown(() => page.close());
    const streams = async () =>
      (await gateway.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } })).body;
    const missing: string[] = [];
    page.on('response', (response) => response.status() === 404 && missing.push(response.url()));
    await page.goto(proxy.url);
    await page.getByLabel('This gateway requires').fill('k3y');
    await press(page, 'Use key');
    await says(page, '#gateway', 'Gateway connected');
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing');
    t.match(await streams(), [{ name: 'test', status: 'live' }]);
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Stopped.');

    await page.getByRole('link', { name: 'WHIP' }).click();
    await page.getByLabel('API key').fill('k3y');
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing.');
    t.match(await streams(), [{ name: 'test', status: 'live' }], 'by WHIP');
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Ended.');
    await waitFor('the stream to end', async () => (await streams()).length === 0);
    await page.getByRole('link', { name: 'Console' }).click();
    await says(page, '#gateway', 'API key or token required');
    t.same(missing, [], 'all files are found');
  });

t.test('after a reload', async (t) => {
  const gateway = await startGateway({ publisher_resume_window_ms: 60_000 });
  t.teardown(() => gateway.stop());
  const streams = async () => (await gateway.http('/api/v1/streams')).body;
  const contexts = await Promise.all([browser.newContext(), browser.newContext()]);
  t.teardown(() => Promise.all(contexts.map((context) => context.close())));
  const [page, other] = await Promise.all(contexts.map((context) => context.newPage()));
  const permit = (state: string): Promise<unknown> =>
    page!.addInitScript(
      `navigator.permissions.query = async ({ name }) => ({ state: ['camera', 'microphone'].includes(name) ? '${state}' : 'prompt' })`,
    );

  await t.test('the page resumes its stream if the browser allows the camera', async (t) => {
    await permit('granted');
    await page!.goto(gateway.httpUrl);
    t.equal(await text(page!, '#publish'), 'Publish', 'a new page publishes nothing');
    await page!.getByLabel('Stream name').fill('evening');
    await page!.getByLabel('Resolution').selectOption('360p');
    await press(page!, 'Publish');
    await says(page!, '#publish-state', 'Publishing');
    const [{ startedAt }] = await streams();
    await page!.reload();
    await says(page!, '#publish-state', 'Publishing “evening”');
    t.match(await streams(), [{ name: 'evening', status: 'live', startedAt }], 'the same stream');
    t.equal(await page!.locator('#resolution').inputValue(), '640x360');
  });

  await t.test('the page offers to resume if the browser would ask for the camera', async (t) => {
    await permit('prompt');
    const [{ startedAt }] = await streams();
    await page!.reload();
    await says(page!, '#publish-state', '“evening” was interrupted');
    await waitFor('the stream to be held', async () => (await streams())[0]?.status === 'held');
    await other!.goto(gateway.httpUrl);
    await other!.getByLabel('Stream name').fill('evening');
    await press(other!, 'Publish');
    await says(other!, '#publish-state', 'already in use');
    await press(page!, 'Resume');
    await says(page!, '#publish-state', 'Publishing “evening”');
    t.match(await streams(), [{ status: 'live', startedAt }], 'the same stream');
  });

  await t.test('destinations are remembered without their secrets', async (t) => {
    const rows = page!.locator('#destinations li');
    await rows.nth(0).locator('input').first().fill('rtmp://someone:PASSWORD@127.0.0.1:1/live?token=TOKEN');
    await press(page!, '+ Add destination');
    await rows.nth(1).locator('input').first().fill('rtmp://127.0.0.1:1/app/SECRETKEY');
    await rows.nth(1).getByLabel('The URL ends with the stream key').check();
    await press(page!, '+ Add destination');
    await rows.nth(2).locator('input').first().fill('rtmp://127.0.0.1:1/plain');
    await press(page!, 'Start push');
    await page!.reload();
    const urls = () =>
      rows.locator('.address input').evaluateAll((inputs: { value: string }[]) => inputs.map(({ value }) => value));
    const remembered = ['rtmp://127.0.0.1:1/live', 'rtmp://127.0.0.1:1/app/', 'rtmp://127.0.0.1:1/plain'];
    await rows.nth(2).waitFor();
    t.same(await urls(), remembered);
    t.ok(await rows.nth(1).getByLabel('The URL ends with the stream key').isChecked());
    const errors = rows.locator('.error');
    t.match(await errors.nth(1).innerText(), 'Complete this URL');
    t.equal(await errors.nth(2).innerText(), '');
    await page!.reload();
    await rows.nth(2).waitFor();
    t.same(await urls(), remembered, 'again, without a change');
    await rows.nth(1).locator('input').first().fill('rtmp://127.0.0.1:1/app/SECRETKEY');
    t.equal(await errors.nth(1).innerText(), '');
    await page!.locator('#stream-name').focus();
    const kept = await page!.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])');
    t.match(kept, '127.0.0.1:1/plain');
    t.notMatch(kept, /PASSWORD|TOKEN|SECRETKEY|someone/);
  });

  await t.test('a stream that was stopped is not resumed', async (t) => {
    await press(page!, 'Resume');
    await says(page!, '#publish-state', 'Publishing');
    await press(page!, 'Stop');
    await says(page!, '#publish-state', 'Stopped.');
    await page!.reload();
    await says(page!, '#gateway', 'Gateway connected');
    t.equal(await text(page!, '#publish'), 'Publish');
    t.same(await streams(), []);
  });
});

t.test('a publisher that is away, and text with invisible characters', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  const publisherAway = { since: '2026-01-02T03:04:05Z', until: '2026-01-02T03:04:20Z' };
  const push = {
    mediaSessionId: 'a',
    sourceStreamName: 'test',
    destination: 'rtmp://host/live',
    status: 'pushing',
    reason: '',
    reasonCode: '',
    width: 1280,
    height: 720,
    fps: 0,
    bitrate: 0,
    bytesSent: 0,
    framesDropped: 0,
    bufferMs: 0,
    attempt: 0,
    muted: false,
    soundEnabled: false,
    legs: [],
  };
  const ended = {
    ...push,
    mediaSessionId: 'b',
    status: 'ended',
    reason: 'Go \u202Eaway',
    endedAt: '2026-01-02T03:04:05Z',
  };
  let away = true;
  await page.route('**/api/v1/**', async (route) => {
    const extra = away ? { publisherAway } : {};
    const { pathname, searchParams } = new URL(route.request().url());
    if (pathname.endsWith('/platforms')) await route.fulfill({ json: [] });
    else if (pathname.endsWith('/streams'))
      await route.fulfill({ json: [{ name: 'test', status: away ? 'held' : 'live', ...extra }] });
    else await route.fulfill({ json: searchParams.get('ended') === 'true' ? [ended] : [{ ...push, ...extra }] });
  });
  await page.goto(gateway.httpUrl);
  await says(page, '.push .pill', 'Publisher away');
  const clock = (time: string): Promise<string> => page.evaluate(`new Date('${time}').toLocaleTimeString()`);
  const sentence = `Publisher away since ${await clock(publisherAway.since)}. The gateway waits for it until ${await clock(publisherAway.until)}.`;
  t.equal(await text(page, '.push .reason'), sentence);
  t.equal(await text(page, '#publish-away'), sentence);
  t.equal(await text(page, '#ended-pushes .reason'), 'Go \\u{202e}away');
  away = false;
  await says(page, '.push .pill', 'Pushing');
  t.equal(await page.locator('#publish-away').isVisible(), false);
});

t.test('the player continues after a gap in the frames', async (t) => {
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
  await says(page, '#publish-state', 'Publishing');
  await press(page, 'Start push');
  await plays(page);
  const watched = (): Promise<number> => page.locator('#watch').evaluate((video: Video) => video.currentTime);
  await page.evaluate(
    '{ globalThis.sender = connection.getSenders().find(({ track }) => track?.kind === "video"); globalThis.camera = sender.track; sender.replaceTrack(null); }',
  );
  let gap = await watched();
  await waitFor('the player to stall', async () => gap === (gap = await watched()), {
    timeout: 30_000,
    every: 500,
  });
  await page.evaluate('sender.replaceTrack(camera)');
  t.ok(await waitFor('the player to continue', async () => (await watched()) > gap + 3, { timeout: 20_000 }));
});

t.test('by keyboard, on a phone, with long words', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage({ viewport: { width: 360, height: 740 }, isMobile: true });
  t.teardown(() => page.close());
  await page.goto(gateway.httpUrl);
  await says(page, '#gateway', 'Gateway connected');
  await page.getByLabel('Stream name').fill('a'.repeat(100));
  await page.locator('#publish').focus();
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'Publishing');
  await page
    .locator('#destinations input')
    .first()
    .fill(`rtmp://${'long.'.repeat(40)}invalid/live`);
  await page.locator('#start-push').focus();
  await page.keyboard.press('Enter');
  await says(page, '#destinations .error', 'could not be resolved');
  t.equal(
    await page.evaluate('document.activeElement.id'),
    'start-push',
    'a button keeps the focus when it is pressed',
  );
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, 'no horizontal scrolling');
  await page.locator('#publish').focus();
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'Stopped.');
  await page.keyboard.press('Enter');
  await says(page, '#publish-state', 'Publishing');
});

t.test('accessibility, by the rules of axe', async (t) => {
  const gateway = await startGateway({
    embedded_rtmp_server: true,
    embedded_rtmp_port: await freePort(),
    embedded_http_flv_port: await freePort(),
  });
  t.teardown(() => gateway.stop());
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const [width, height, colorScheme] of [
    [1280, 900, 'light'],
    [380, 800, 'dark'],
  ] as const) {
    const viewport = { width, height };
    const page = await browser.newPage({ viewport, colorScheme });
    const violations = async (): Promise<unknown> => {
      await page.evaluate(axe);
      return page.evaluate(
        `axe.run({ rules: { 'target-size': { enabled: true } } }).then(({ violations }) =>
            violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + failureSummary)]))`,
      );
    };
    const title = `${viewport.width} px, ${colorScheme}`;
    await page.goto(gateway.httpUrl);
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing');
    await press(page, '+ Add destination');
    await page.locator('#destinations li').nth(1).locator('input').first().fill('rtmp://127.0.0.1:1/live');
    await press(page, 'Start push');
    await page.locator('#ended-pushes li').first().waitFor();
    await says(page, '.push .pill', 'Pushing');
    await page.getByText('Options').click();
    t.same(await violations(), [], `console, ${title}`);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), viewport.width, 'no horizontal scrolling');
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Stopped.');
    await page.goto(`${gateway.httpUrl}/console/whip.html`);
    t.same(await violations(), [], `WHIP page, ${title}`);
    await page.close();
  }
});

t.test('the login form and the rights, by the rules of axe', async (t) => {
  const gateway = await startGateway({ rest_api_key: 'k3y' });
  t.teardown(() => gateway.stop());
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ viewport: { width: 380, height: 800 }, colorScheme });
    const check = async (what: string): Promise<void> => {
      await page.evaluate(axe);
      const violations = await page.evaluate(
        `axe.run({ rules: { 'target-size': { enabled: true } } }).then(({ violations }) =>
          violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + failureSummary)]))`,
      );
      t.same(violations, [], `${what}, ${colorScheme}`);
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), 380, 'no horizontal scrolling');
      const folder = process.env['SCREENSHOTS'];
      if (folder) await page.screenshot({ path: `${folder}/${what}-${colorScheme}.png` });
    };
    await page.goto(gateway.httpUrl);
    await says(page, '#gateway', 'API key or token required');
    await check('form');
    await page.getByLabel('This gateway requires').fill('k3y');
    await press(page, 'Use key');
    await says(page, '#rights', 'Allowed: publish');
    await says(page, '#gateway', 'Gateway connected');
    await check('rights');
    await page.close();
  }
});

t.test('the REST document and its viewer, with a key that is not stored', async (t) => {
  const gateway = await startGateway({ rest_api_key: 'k3y' });
  t.teardown(() => gateway.stop());
  const proxy = await startReverseProxy(gateway.ports, { prefixed: true });
  t.teardown(() => proxy.stop());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  t.teardown(() => page.close());
  const faults: string[] = [];
  const hosts = new Set<string>();
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).host);
  });
  await page.goto(proxy.url);
  await page.getByRole('link', { name: 'REST API' }).click();
  await page.locator('#operations-Inspection-getPrincipal').waitFor({ timeout: 20_000 });
  await page.locator('.btn.authorize').first().click();
  await page.getByLabel('auth-bearer-value').fill('k3y');
  await page
    .locator('.auth-container', { hasText: 'bearer' })
    .getByRole('button', { name: 'Apply credentials' })
    .click();
  await page.getByRole('button', { name: 'Close' }).first().click();
  await page.locator('#operations-Inspection-getPrincipal button').first().click();
  await page.locator('#operations-Inspection-getPrincipal').getByRole('button', { name: 'Try it out' }).click();
  await page.locator('#operations-Inspection-getPrincipal').getByRole('button', { name: 'Execute' }).click();
  await says(page, '#operations-Inspection-getPrincipal .live-responses-table', 'rest_api_key');
  if (process.env['SCREENSHOTS']) await page.screenshot({ path: `${process.env['SCREENSHOTS']}/docs.png` });
  t.notMatch(await page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])'), 'k3y');
  t.strictSame([...hosts], [new URL(proxy.url).host], 'nothing comes from another server');
  const other = faults.filter((fault) => !fault.includes('401'));
  t.same(other, [], 'no errors in the page, and no violation of its policy');
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
  await says(page, '#publish-state', 'Publishing “test” without audio: there is no microphone.');
  t.match((await gateway.http('/api/v1/streams')).body, [{ status: 'live', audioCodec: null, videoCodec: 'h264' }]);
});

t.test('a click before the page is ready', async (t) => {
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
  await says(page, '#publish-state', 'Publishing');
});
