import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { press, publishPage, says, text, violations } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { waitFor } from '../helpers/wait.ts';

/** What the console's page that publishes says about devices and the uplink. */

t.setTimeout(120_000);
const browser = await startChromium();
t.teardown(() => browser.close());

t.test('the level of the microphone and the uplink in words', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage({ viewport: { width: 380, height: 800 }, colorScheme: 'dark' });
  t.teardown(() => page.close());
  await page.goto(publishPage(gateway.httpUrl));
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing');
  await waitFor('the level of the microphone', () =>
    page.locator('#level').evaluate((meter: { value: number }) => meter.value > 0),
  );
  await says(page, '#uplink', 'kbit/s');
  t.match(await text(page, '#uplink'), /^(?:Uplink|This computer).*\(\d+ kbit\/s, \d+ % lost, round trip \d+ ms\)/);
  t.same(await violations(page), []);
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 380, 'no horizontal scrolling');
  await press(page, 'Stop');
  await says(page, '#publish-state', 'Stopped.');
  t.equal(await page.locator('#level').isVisible(), false);
  t.equal(await text(page, '#uplink'), '');
});

t.test('the uplink is tested before anything is published', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.goto(publishPage(gateway.httpUrl));
  await press(page, 'Test uplink');
  await says(page, '#publish-state', 'Testing the uplink… 3 of 10 s');
  t.match((await gateway.http('/api/v1/streams')).body, [{ name: /^uplink-test-/, status: 'live' }]);
  t.ok(await page.locator('#publish').isDisabled());
  await says(page, '#publish-state', 'The uplink was tested; nothing is published.');
  t.match(await text(page, '#uplink'), /^(?:Uplink|This computer).*\(\d+ kbit\/s, \d+ % lost, round trip \d+ ms\)/);
  t.same((await gateway.http('/api/v1/streams')).body, []);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test”.');
  t.same(await violations(page), []);
});

t.test('a screen, until the browser ends sharing', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(`
    navigator.mediaDevices.getDisplayMedia = async () => {
      if (globalThis.refused) throw new DOMException('Permission denied', 'NotAllowedError');
      const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
      setInterval(() => canvas.getContext('2d').fillRect(Math.random() * 320, 0, 9, 180), 40);
      return canvas.captureStream(25);
    };
    globalThis.refused = true;
  `);
  await page.goto(publishPage(gateway.httpUrl));
  await page.getByLabel('Source').selectOption('screen');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'No screen was chosen.');
  await page.evaluate('globalThis.refused = false');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test”.');
  t.match(
    (await gateway.http('/api/v1/streams')).body,
    [{ status: 'live', audioCodec: 'opus', videoCodec: 'h264' }],
    'with the microphone',
  );
  await page.evaluate(
    `document.getElementById('camera').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))`,
  );
  await says(page, '#publish-state', 'Stopped.');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test”.');
  await page.reload();
  await says(page, '#gateway', 'Gateway connected');
  t.equal(await text(page, '#publish'), 'Publish', 'the camera does not go on in place of the screen');
});

t.test('a screen with the camera in its corner, and the choice of devices', async (t) => {
  const gateway = await startGateway();
  t.teardown(() => gateway.stop());
  const page = await browser.newPage();
  t.teardown(() => page.close());
  await page.addInitScript(`
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
      const picture = canvas.getContext('2d');
      setInterval(() => { picture.fillStyle = '#ff0000'; picture.fillRect(0, 0, 640, 480); }, 40);
      return (globalThis.screenStream = canvas.captureStream(25));
    };
    const opened = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    globalThis.asked = [];
    globalThis.cameras = [];
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      asked.push(constraints);
      const stream = await opened(constraints);
      cameras.push(stream);
      return stream;
    };
  `);
  await page.goto(publishPage(gateway.httpUrl));
  await page.getByLabel('Source').selectOption('both');
  const states = (): Promise<unknown> =>
    page.evaluate(
      `[screenStream, ...cameras].flatMap((stream) => stream.getTracks()).map(({ readyState }) => readyState)`,
    );
  await page.evaluate(`void (globalThis.play = HTMLVideoElement.prototype.play,
    HTMLVideoElement.prototype.play = async () => { throw new Error('cannot play'); })`);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'cannot play');
  t.same(await states(), ['ended', 'ended', 'ended'], 'nothing stays on');
  await page.evaluate('void (HTMLVideoElement.prototype.play = play)');
  await press(page, 'Test uplink');
  await says(page, '#publish-state', 'Testing the uplink… 1 of 10 s');
  await page.evaluate(`screenStream.getVideoTracks()[0].dispatchEvent(new Event('ended'))`);
  await says(page, '#publish-state', 'The test was interrupted: sharing has ended.');
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test”.');
  const { body } = await gateway.http('/api/v1/streams');
  t.match(body, [{ status: 'live', audioCodec: 'opus', videoCodec: 'h264' }]);
  /** Whether the page's own video is red at a point, in parts of its size. */
  const isRed = (x: number, y: number): Promise<boolean> =>
    page.evaluate(`(() => {
      const video = document.getElementById('camera');
      const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
      const picture = canvas.getContext('2d');
      picture.drawImage(video, 0, 0, 64, 36);
      const [red, green] = picture.getImageData(${x} * 64, ${y} * 36, 1, 1).data;
      return red > 200 && green < 60;
    })()`);
  await waitFor('the screen in the middle', () => isRed(0.4, 0.3));
  await waitFor('the camera in the corner', async () => !(await isRed(0.85, 0.8)));
  t.notOk(await isRed(0.02, 0.5), 'the aspect ratio of the screen is kept');
  const cameras = page.locator('#camera-choice');
  const named = await waitFor('the names of the cameras', async () => {
    const names = await cameras.locator('option').allTextContents();
    return names.length > 1 ? names : undefined;
  });
  t.equal(named[0], 'the usual camera');
  t.ok(await cameras.isDisabled(), 'a choice would have no effect now');
  await press(page, 'Stop');
  await says(page, '#publish-state', 'Stopped.');
  t.same(await page.evaluate(`screenStream.getTracks().map(({ readyState }) => readyState)`), ['ended']);
  await page.getByLabel('Source').selectOption('camera');
  await cameras.selectOption({ label: named[1]! });
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing “test”.');
  t.match(await page.evaluate('asked.at(-1).video.deviceId.exact'), /./, 'the chosen camera is asked for');
  t.same(await violations(page), []);
});
