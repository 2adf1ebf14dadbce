import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { plays, press, publishPage, says, text } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console page with the real gateway and its embedded RTMP server. */

t.setTimeout(360_000);
const browser = await startChromium();
t.teardown(() => browser.close());

/** The members of DOM classes that are used here: the tests are compiled without the DOM's types. */
interface Video {
  readonly currentTime: number;
  readonly videoWidth: number;
}

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
  await page.goto(publishPage(gateway.httpUrl));
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
  await viewer.goto(publishPage(gateway.httpUrl));
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
    await page!.goto(publishPage(gateway.httpUrl));
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
    await other!.goto(publishPage(gateway.httpUrl));
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
  await page.goto(publishPage(gateway.httpUrl));
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
  await page.goto(publishPage(gateway.httpUrl));
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
  t.ok(await waitFor('the player to continue', async () => (await watched()) > gap + 3));
});

t.test('by keyboard, on a phone, with long words', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage({ viewport: { width: 360, height: 740 }, isMobile: true });
  t.teardown(() => page.close());
  await page.goto(publishPage(gateway.httpUrl));
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

t.test('no camera permission', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(
    'navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"))',
  );
  await page.goto(publishPage(gateway.httpUrl));
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
  await page.goto(publishPage(gateway.httpUrl));
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test” without audio: the microphone is missing, or not allowed.');
  t.match((await gateway.http('/api/v1/streams')).body, [{ status: 'live', audioCodec: null, videoCodec: 'h264' }]);
});

t.test('a click before the page is ready', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  const late = Promise.withResolvers<void>();
  await page.route('**/console/config.json', (route) => late.promise.then(() => route.continue()));
  await page.goto(publishPage(gateway.httpUrl));
  t.strictSame(await Promise.all(['#publish', '#start-push'].map((button) => page.locator(button).isDisabled())), [
    true,
    true,
  ]);
  const pressed = press(page, 'Publish');
  late.resolve();
  await pressed;
  await says(page, '#publish-state', 'Publishing');
});
