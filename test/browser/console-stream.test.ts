import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { says, violations } from '../helpers/console-page.ts';
import { showcase, showcaseTick } from '../helpers/console-showcase.ts';
import { startConsoleStage } from '../helpers/console-stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console's page of one stream, and its lists: events, settings, recordings. */

/** The members of DOM classes that are used here: the tests are compiled without the DOM's types. */
interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: '2d'): { getImageData(...box: number[]): { readonly data: Uint8ClampedArray } };
}

t.setTimeout(120_000);
const { items, answers, events } = showcase();
const [browser, stage] = await Promise.all([startChromium(), startConsoleStage({ answers })]);
t.teardown(() => Promise.all([browser.close(), stage.stop()]));
stage.put(...items);
for (const event of events) stage.happen(event);

const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
page.on('console', (message) => {
  if (message.text().includes('Content Security Policy')) faults.push(message.text());
});

for (const [width, colorScheme] of [
  [1280, 'light'],
  [380, 'dark'],
] as const) {
  const title = `${width} px, ${colorScheme}`;
  const checkLooks = async (t: Test, what: string): Promise<void> => {
    t.same(await violations(page), [], `axe finds nothing: ${what}`);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, `no horizontal scrolling: ${what}`);
  };

  await t.test(`a stream with its pushes, charts and events, ${title}`, async (t) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.goto(stage.url);
    await page.getByRole('link', { name: 'main-stage' }).click();
    await page.getByRole('heading', { name: 'main-stage' }).waitFor();
    t.equal(await page.title(), 'main-stage – WebRTC Transponder');
    t.equal(await page.locator('nav [aria-current]').innerText(), 'Live');
    t.strictSame(await page.locator('.push .pill').allInnerTexts(), ['Pushing', 'Pushing', 'Retrying']);
    await says(page, '.push .reason', 'The server has closed the connection.');
    await page.getByRole('heading', { name: '3 pushes' }).waitFor();
    stage.put(...showcaseTick(0));
    await says(page, '.push .figures', '6000 kbit/s');
    await says(page, '.chart', 'rtmp://a.rtmp.youtube.com/live2 6.0 Mbit/s');
    t.equal(await page.locator('.chart canvas').count(), 5);
    const drawn = (): Promise<boolean> =>
      page
        .locator('.chart canvas')
        .first()
        .evaluate((canvas: Canvas) =>
          canvas
            .getContext('2d')
            .getImageData(0, 0, canvas.width, canvas.height)
            .data.some((byte) => byte > 0),
        );
    await waitFor('lines in the chart', drawn);
    t.match(
      await page.locator('.timeline').first().innerText(),
      /^[^]*archive\.example\/live is lost[^]*is live, with/,
    );
    stage.happen({ type: 'stream.stalled', level: 'warning', stream: 'main-stage', text: `No frame, ${title}.` });
    stage.happen({ type: 'stream.stalled', level: 'warning', stream: 'choir', text: 'Of another stream.' });
    await says(page, '.timeline', `No frame, ${title}.`);
    t.equal(await page.getByText('Of another stream.').count(), 0);
    await checkLooks(t, 'stream');
  });

  await t.test(`buttons of a push reach REST, by keyboard, ${title}`, async (t) => {
    const bodies: unknown[] = [];
    await page.route('**/rest-api/push/**', async (route) => {
      bodies.push([new URL(route.request().url()).pathname, route.request().postDataJSON()]);
      if (route.request().url().endsWith('/mute')) await route.fulfill({ json: {} });
      else await route.fulfill({ status: 404, json: { exception: 'TRANSPONDER_NOT_FOUND', message: 'It is gone.' } });
    });
    const push = page.locator('.push').first();
    await push.getByRole('button', { name: 'Mute' }).press('Enter');
    await waitFor('the request', () => bodies.length === 1);
    await page.getByLabel('Sound file').fill('bell.wav');
    await push.getByRole('button', { name: 'Sound on' }).press('Enter');
    await waitFor('the request', () => bodies.length === 2);
    await says(page, '.error', 'It is gone.');
    t.strictSame(bodies, [
      ['/rest-api/push/mute', { mediaSessionId: 'p1' }],
      ['/rest-api/push/sound_on', { mediaSessionId: 'p1', soundFile: 'bell.wav', loop: true }],
    ]);
    await page.unroute('**/rest-api/push/**');
  });

  await t.test(`a stream that is not there, ${title}`, async (t) => {
    await page.goto(`${stage.url}/#/streams/${encodeURIComponent('no/where %')}`);
    await page.getByRole('heading', { name: 'no/where %' }).waitFor();
    await page.getByText('There is no stream with this name').waitFor();
    await checkLooks(t, 'no stream');
  });

  await t.test(`events, settings and recordings, ${title}`, async (t) => {
    const link = (name: string): Promise<void> => page.getByRole('link', { name, exact: true }).click();
    await link('Events');
    await page.getByLabel('Contains').fill('overflow');
    await says(page, '[role=status]', '1 event');
    t.match(await page.locator('.timeline').innerText(), /Warning\s+overflow-room The publisher was lost/);
    await checkLooks(t, 'events');
    await page.getByLabel('Contains').fill('');

    await link('Settings');
    await says(page, 'tr', 'http.port');
    t.match(await page.locator('tr', { hasText: 'rest_api_key' }).innerText(), /set, not shown\s+environment/);
    t.equal(await page.locator('tr', { hasText: 'rooms' }).count(), 0, 'defaults are hidden');
    await page.getByLabel('With those that have their default').check();
    await says(page, 'tr', 'rooms');
    await checkLooks(t, 'settings');

    await link('Recordings');
    await page.getByRole('link', { name: 'choir-2026-01-01T10-00-00Z.mp4' }).waitFor();
    await checkLooks(t, 'recordings');
    await link('Destinations');
    await page.getByRole('heading', { name: 'Sunday service' }).waitFor();
    await checkLooks(t, 'destinations');
    t.equal(stage.connections(), 1, 'all of these pages share one connection');
    t.same(faults, [], 'no errors in the page, and no violation of its policy');
  });
}
