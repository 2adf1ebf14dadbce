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
