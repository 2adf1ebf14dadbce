import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** Example pages of the official Web SDK, unmodified. */

t.setTimeout(FILE_TIMEOUT);

const [browser, pages, gateway] = await Promise.all([startChromium(), startPageServer(), startGateway()]);
t.teardown(async () => {
  await browser.close();
  await pages.close();
  await gateway.stop();
});

async function open(example: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${pages.url}websdk/examples/demo/streaming/${example}`);
  return page;
}

const reads = (page: Page, selector: string, text: RegExp): Promise<string> =>
  waitFor(`${selector} to read ${text}`, async () => {
    const value = (await page.textContent(selector)) ?? '';
    if (!text.test(value)) throw new Error(JSON.stringify(value));
    return value || 'empty';
  });

await t.test('stream-snapshot: the page shows the snapshot, and says when one fails', async (t) => {
  const page = await open('stream-snapshot/stream-snapshot.html');
  await page.fill('#url', `${gateway.wsUrl}/snapped`);
  await page.click('#publishBtn');
  await reads(page, '#status', /^PUBLISHING$/);
  await page.click('#snapshotBtn');
  const size = await waitFor('the snapshot', async () => {
    const [width, height] = (await page.evaluate(
      `(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])(document.getElementById('dynImg'))`,
    )) as [number, number];
    return width > 0 ? { width, height } : undefined;
  });
  t.strictSame(size, { width: 320, height: 240 }, 'the size that the SDK asks for');
  t.equal(await page.textContent('#snapshotStatus'), '', 'not "processing" any more');
  t.ok(await page.isEnabled('#snapshotBtn'));

  await page.evaluate(`snapshot('nowhere')`);
  await reads(page, '#snapshotStatus', /^FAILED$/);
  t.equal(await page.textContent('#status'), 'PUBLISHING', 'the stream goes on');
  await page.click('#publishBtn');
  await reads(page, '#status', /^UNPUBLISHED$/);
  await page.close();
});

await t.test('stream_recording: the page says that recording is off', async (t) => {
  const page = await open('stream_recording/recording.html');
  await page.fill('#url', `${gateway.wsUrl}/recorded`);
  await page.click('#publishBtn');
  await reads(page, '#status', /^FAILED$/);
  t.match(await page.textContent('#info'), /^Recording is off/);
  t.ok(await page.isEnabled('#publishBtn'), 'the page does not wait for anything');
  await page.close();
});

await t.test('conference: the page says that rooms are off', async (t) => {
  const page = await open('conference/conference.html');
  await page.fill('#url', gateway.wsUrl);
  await page.fill('#login', 'alice');
  await page.click('#joinBtn');
  t.equal(await reads(page, '#failedInfo', /./), 'Rooms are off: the gateway has the setting rooms=false.');
  await waitFor('the button', () => page.isEnabled('#joinBtn'));
  await page.close();
});
