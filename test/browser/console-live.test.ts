import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { says, violations } from '../helpers/console-page.ts';
import { startConsoleStage, streamItem } from '../helpers/console-stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console's list of all streams, with nothing, one stream and two hundred. */

t.setTimeout(120_000);
const browser = await startChromium();
t.teardown(() => browser.close());

async function open(t: Test, url: string, form: { width: number; height: number; dark?: boolean }) {
  const { width, height, dark } = form;
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
  t.teardown(() => page.close());
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) faults.push(message.text());
  });
  await page.goto(url);
  return { page, faults };
}

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 380, height: 800, dark: true };

t.test('nothing, then one stream, then its end', async (t) => {
  const stage = await startConsoleStage();
  t.teardown(() => stage.stop());
  for (const form of [WIDE, PHONE]) {
    const { page, faults } = await open(t, stage.url, form);
    await page.getByRole('heading', { name: 'No stream is live' }).waitFor();
    t.same(await violations(page), [], 'axe finds nothing in the first-run card');
    stage.put(streamItem('studio', 2500, { recording: true, viewers: 3 }));
    await says(page, '.stream-card', '2.5 Mbit/s');
    const card = await page.locator('.stream-card').innerText();
    t.match(card, /studio\s+Live\s+REC/);
    t.match(card, /1280×720/);
    t.match(card, /WebRTC · H\.264 \+ Opus\s+3 viewers · since/);
    t.equal(await page.getByText('No stream is live').count(), 0, 'the card has vanished');
    t.same(await violations(page), [], 'nor in a card of a stream');
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), form.width, 'no horizontal scrolling');
    stage.put({ kind: 'stream', key: 'studio', numbers: [640, 1, 7, 0, 12] });
    await says(page, '.stream-card', '640 kbit/s');
    await says(page, '.stream-card', '7 packets lost in 10 s');
    stage.remove(({ key }) => key === 'studio');
    await page.getByRole('heading', { name: 'No stream is live' }).waitFor();
    t.same(faults, []);
  }
});

t.test('two hundred streams: only those on the screen are rendered; filter, order, keyboard', async (t) => {
  const stage = await startConsoleStage();
  t.teardown(() => stage.stop());
  stage.put(
    ...Array.from({ length: 200 }, (_, index) =>
      streamItem(`stream-${index + 1}`, 1000 + index, index % 50 === 0 ? { status: 'held' } : {}),
    ),
  );
  const { page, faults } = await open(t, stage.url, WIDE);
  await says(page, '[role=status]', '200 streams');
  const cards = page.locator('.stream-card');
  const rendered = await cards.count();
  t.ok(rendered >= 6 && rendered <= 60, `${rendered} of 200 cards exist`);
  t.equal(await page.locator('.stream-grid li').first().getAttribute('aria-setsize'), '200');
  t.same(await violations(page), []);
  await page.evaluate('scrollTo(0, document.documentElement.scrollHeight)');
  await says(page, '.stream-card h2', 'stream-200');
  t.ok((await cards.count()) <= 60, 'others have gone');

  await page.getByLabel('Order').selectOption('bitrate');
  await page.evaluate('scrollTo(0, 0)');
  await waitFor('the greatest first', async () => (await cards.first().innerText()).startsWith('stream-200'));
  await page.getByLabel('Show').selectOption('held');
  await says(page, '[role=status]', '4 of 200 streams');
  await page.getByLabel('Show').selectOption('all');
  await page.getByLabel('Name contains').fill('STREAM-19');
  await says(page, '[role=status]', '11 of 200 streams');
  await page.getByLabel('Name contains').fill('nowhere');
  await says(page, '[role=status]', '0 of 200 streams');
  await page.getByLabel('Name contains').fill('');

  await page.getByLabel('Order').selectOption('name');
  await page.getByLabel('Order').press('Tab');
  const focused = (): Promise<string> => page.evaluate('document.activeElement.textContent');
  for (let index = 1; index <= 20; index++) {
    t.equal(await focused(), `stream-${index}`, 'Tab goes from card to card, also to those below the screen');
    await page.keyboard.press('Tab');
  }
  t.same(faults, []);
});

t.test('a lost connection is said, and what has changed is caught up', async (t) => {
  const stage = await startConsoleStage();
  t.teardown(() => stage.stop());
  stage.put(streamItem('kept'), streamItem('ended'));
  const { page } = await open(t, stage.url, PHONE);
  await says(page, '.stream-card h2', 'ended');
  t.equal(stage.connections(), 1);
  stage.interrupt();
  await says(page, '.banner', 'The connection to the gateway is lost');
  t.same(await violations(page), []);
  stage.remove(({ key }) => key === 'ended');
  stage.put(streamItem('new'));
  t.equal(await page.locator('.stream-card').count(), 2, 'the page shows the state of before');
  stage.resume();
  await says(page, '.stream-card h2', 'new');
  t.strictSame(await page.locator('.stream-card h2').allInnerTexts(), ['kept', 'new']);
  t.equal(await page.getByText('is lost').count(), 0);
  t.equal(stage.connections(), 1);
});

t.test('a key, links only to what it allows, the skip link, logging out', async (t) => {
  const stage = await startConsoleStage({ actions: ['read'], key: 'reader' });
  t.teardown(() => stage.stop());
  const { page } = await open(t, stage.url, WIDE);
  stage.put(streamItem('studio'));
  await says(page, '#gateway', 'API key or token required');
  t.equal(await page.locator('.stream-card').count(), 0);
  await page.getByLabel('This gateway requires').fill('wrong');
  await page.keyboard.press('Enter');
  await says(page, '#access-error', 'does not accept');
  await page.getByLabel('This gateway requires').fill('reader');
  await page.keyboard.press('Enter');
  await says(page, '.stream-card h2', 'studio');
  await says(page, '#rights', 'Allowed: read');
  const links = await page.locator('nav a:visible').allInnerTexts();
  t.strictSame(links, ['Live', 'Destinations', 'Recordings', 'Rooms', 'Calls', 'Events']);
  await page.evaluate('scrollTo(0, 0); document.activeElement.blur()');
  await page.locator('#skip').focus();
  t.equal(await page.locator('#skip').isVisible(), true);
  await page.keyboard.press('Enter');
  t.equal(await page.evaluate('document.activeElement.id'), 'main');
  t.notMatch(await page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])'), 'reader');
  await page.getByRole('button', { name: 'Log out' }).click();
  await says(page, '#gateway', 'API key or token required');
  t.equal(await page.locator('.stream-card').count(), 0);
});
