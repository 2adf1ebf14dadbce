import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { press, publishPage, says, text, violations } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console's page of saved destinations: save, group, check, go live, end. */

t.setTimeout(240_000);
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

const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
page.on('dialog', (dialog) => void dialog.accept());
const dialog = page.getByRole('dialog');
const saved = async () => (await gateway.http('/api/v1/destinations')).body;
const groups = async () => (await gateway.http('/api/v1/destination-groups')).body;
/** No rule of axe is broken, in both colour schemes, on a phone too. */
async function checkLooks(t: Test, what: string): Promise<void> {
  for (const [width, colorScheme] of [
    [380, 'dark'],
    [1280, 'light'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    t.same(await violations(page), [], `${what}, ${width} px, ${colorScheme}`);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'no horizontal scrolling');
  }
}

await t.test('saving, with a key that no page shows again', async (t) => {
  await page.goto(gateway.httpUrl);
  await page.getByRole('link', { name: 'Destinations' }).click();
  await page.getByText('Save where streams go once').waitFor();
  await checkLooks(t, 'nothing saved');

  await press(page, 'New destination');
  await dialog.getByLabel('Name').fill('Our YouTube');
  await dialog.getByLabel('Send to').selectOption('youtube');
  t.equal(await dialog.getByLabel('Name').inputValue(), 'Our YouTube');
  const key = dialog.getByLabel('Stream key');
  t.equal(await key.getAttribute('type'), 'password');
  await key.fill('abcd-efgh-ijkl-SECRET-wxyz');
  await dialog.getByLabel('Push to its backup server too').check();
  await dialog.getByText('Options').click();
  await dialog.getByLabel('Transcode only while').check();
  await checkLooks(t, 'the form');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'Our YouTube' }).waitFor();
  t.match(await saved(), [
    { id: 'our-youtube', platform: 'youtube', keyHint: '…wxyz', backup: true, comply: 'auto', groups: [] },
  ]);
  t.notMatch(await page.content(), 'SECRET');

  await press(page, 'Change Our YouTube');
  t.equal(await dialog.getByLabel('Stream key').inputValue(), '', 'the key is not sent to the page');
  await dialog.getByLabel('Name').fill('YouTube');
  await dialog.getByLabel('Push to its backup server too').uncheck();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'YouTube', exact: true }).waitFor();
  const [changed] = await saved();
  t.match(changed, { name: 'YouTube', keyHint: '…wxyz', comply: 'auto' }, 'the key stays');
  t.notOk(changed.backup);

  for (const name of ['first', 'second']) {
    await press(page, 'New destination');
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('URL', { exact: true }).fill('http://wrong');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await says(page, 'dialog .error', 'rtmp');
    t.equal(await dialog.getByLabel('Name').inputValue(), name, 'what was typed stays');
    await dialog.getByLabel('URL', { exact: true }).fill(`${server}/${name}`);
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name, exact: true }).waitFor();
  }
  await press(page, 'Remove YouTube');
  await page.getByRole('heading', { name: 'YouTube', exact: true }).waitFor({ state: 'detached' });
  t.strictSame(
    (await saved()).map(({ id }: { id: string }) => id),
    ['first', 'second'],
  );
});

await t.test('a group goes live with one click, and ends', async (t) => {
  await press(page, 'New group');
  await dialog.getByLabel('Name').fill('Sunday service');
  await dialog.getByLabel('first').check();
  await dialog.getByLabel('second').check();
  await dialog.getByLabel('Streams that go live').fill('service, studio-*');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sunday service' }).waitFor();
  t.match(await groups(), [
    { id: 'sunday-service', destinationIds: ['first', 'second'], onPublish: ['service', 'studio-*'] },
  ]);
  const card = page.getByRole('region', { name: 'Sunday service' });
  t.equal(await card.getByRole('button', { name: 'Go live' }).isDisabled(), true, 'no stream is live');
  t.equal(await page.getByRole('button', { name: 'Remove first' }).isDisabled(), true, 'it is in a group');

  const publisher = await browser.newPage();
  await publisher.goto(publishPage(gateway.httpUrl));
  await publisher.getByLabel('Stream name').fill('evening');
  await press(publisher, 'Publish');
  await says(publisher, '#publish-state', 'Publishing');
  await waitFor('the stream', async () => (await card.getByLabel('Stream').inputValue()) === 'evening');
  await card.getByRole('button', { name: 'Check' }).click();
  await card.locator('.side-by-side > li').nth(1).waitFor({ timeout: 20_000 });
  t.match(await card.locator('.side-by-side').innerText(), /first[^]*second/);
  t.same((await gateway.http('/api/v1/transponders')).body, [], 'nothing goes live by a check');
  await checkLooks(t, 'a check');

  await card.getByRole('button', { name: 'Go live' }).click();
  await card.getByText('Started').first().waitFor({ timeout: 20_000 });
  await card.getByText('Live with evening').waitFor();
  t.match((await gateway.http('/api/v1/transponders')).body, [
    { sourceStreamName: 'evening', groupId: 'sunday-service' },
    { sourceStreamName: 'evening', groupId: 'sunday-service' },
  ]);
  await card.getByRole('button', { name: 'Go live' }).click();
  await card.getByText('Runs already').first().waitFor({ timeout: 20_000 });
  await card.getByRole('button', { name: 'End' }).press('Enter');
  await card.getByText('Live with evening').waitFor({ state: 'detached' });
  t.same((await gateway.http('/api/v1/transponders')).body, []);
  await page.getByRole('link', { name: 'Live' }).click();
  await page.getByRole('link', { name: 'evening' }).click();
  await page.getByRole('button', { name: 'Play' }).click();
  await waitFor('the preview', () =>
    page.locator('video').evaluate((video: { videoWidth: number }) => video.videoWidth > 0),
  );
  await page.getByRole('button', { name: 'Stop the preview' }).click();
  await publisher.close();
  await page.getByText('There is no stream with this name').waitFor();
  await page.getByRole('link', { name: 'Destinations' }).click();

  await press(page, 'Remove Sunday service');
  await card.waitFor({ state: 'detached' });
  t.same(await groups(), []);
  t.same(faults, []);
  t.notMatch(await text(page, 'body'), 'undefined');
});
