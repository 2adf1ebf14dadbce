import t from 'tap';
import type { Page } from 'playwright-core';
import { startChromium } from '../helpers/chromium.ts';
import { press, publishPage, says } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** What the console does with a push before it goes live and while it runs: platform, check, standby, backup. */

t.setTimeout(120_000);
const embedded = await freePort();
const [browser, gateway] = await Promise.all([
  startChromium(),
  startGateway({
    embedded_rtmp_server: true,
    embedded_rtmp_port: embedded,
    embedded_http_flv_port: await freePort(),
  }),
]);
t.teardown(() => Promise.all([browser.close(), gateway.stop()]));
const server = `rtmp://127.0.0.1:${embedded}`;

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText();

const page = await browser.newPage();
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
await page.goto(publishPage(gateway.httpUrl));
await says(page, '#gateway', 'Gateway connected');
const row = page.locator('#destinations li').first();
const platform = row.getByLabel('Send to');

await t.test('a platform and its key in place of a URL, checked before anything goes live', async (t) => {
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing');
  await waitFor('the platforms', async () => (await platform.locator('option').count()) > 3);
  await platform.selectOption('youtube');
  const key = row.getByLabel('Stream key of destination 1');
  t.equal(await key.inputValue(), '', 'a URL is no key');
  t.equal(await key.getAttribute('type'), 'password');
  await key.fill('abcd-SECRET');
  await row.getByLabel('Push to its backup server too').check();
  await press(page, 'Check first');
  await says(page, '.verdicts li', 'Stream');
  const verdicts = await row.locator('.verdicts').innerText();
  t.match(verdicts, /OK\s*Stream published, measured for/);
  t.match(verdicts, /Rule: .*\(.*checked \d{4}-\d\d-\d\d/, 'each rule with its source');
  t.match(verdicts, /Problem\s*DNS/, 'the server is not reached from here');
  t.match(verdicts, /Problem\s*Backup DNS/);
  t.notMatch(await text(page, 'body'), /SECRET/);
  t.same((await gateway.http('/api/v1/transponders')).body, [], 'nothing was started');

  await page.locator('#stream-name').focus();
  const kept = await page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])');
  t.match(kept, 'youtube');
  t.notMatch(kept, 'SECRET');
  await page.reload();
  await waitFor('the remembered platform', async () => (await platform.inputValue()) === 'youtube');
  await says(page, '#destinations .error', 'Enter the stream key');
  await platform.selectOption('');
  t.equal(await row.getByLabel('Destination 1 (rtmpUrl)').inputValue(), '');
});

await t.test('standby and a backup: both servers are shown, and standby is switched by hand', async (t) => {
  await waitFor('a publication', async () => (await gateway.http('/api/v1/streams')).body[0]?.status === 'live');
  await row.getByLabel('Destination 1 (rtmpUrl)').fill(`${server}/live`);
  await row.getByText('Backup server', { exact: true }).click();
  await row.getByLabel('Backup URL (optional)').fill(`${server}/second`);
  await row.getByLabel('Push there').selectOption('cold');
  await page.getByText('Options', { exact: true }).click();
  await page.getByLabel('While the publisher is away').selectOption('color');
  await page.getByRole('textbox', { name: 'Text' }).fill('Back soon');
  await page.getByLabel('End the push after (minutes)').fill('2.5');
  await press(page, 'Start push');
  await says(page, '.push .pill', 'Pushing');
  t.match(await text(page, '.legs'), /Pushing\s*First server: .*\/live\s+Waiting\s*Backup: .*\/second/);

  await press(page, 'Standby on');
  await says(page, '.push .pill', 'Standby');
  await says(page, '.push .reason', 'switched on by hand');
  t.match((await gateway.rest('/push/find', {})).body, [
    { status: 'standby', standbyEnabled: true, standby: { reason: 'manual' }, backupMode: 'cold' },
  ]);
  await press(page, 'Standby off');
  await says(page, '.push .pill', 'Pushing');

  await press(page, 'Stop');
  await says(page, '.push .reason', 'the publisher is away');
  await says(page, '.push .pill', 'Standby');
  const [{ publisherAway }] = (await gateway.rest('/push/find', {})).body;
  t.equal(Date.parse(publisherAway.until) - Date.parse(publisherAway.since), 150_000);
  await press(page, 'Publish');
  await says(page, '#publish-state', 'Publishing');
  await says(page, '.push .pill', 'Pushing');
  await press(page, 'Terminate');
  await says(page, '#no-pushes', 'No active pushes');
  t.same(faults, []);
});
