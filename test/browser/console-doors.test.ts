import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { plays, press, publishPage, says, violations } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startReverseProxy } from '../helpers/reverse-proxy.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** How one gets to the console page and is served there: keys, a proxy, assistive technology, the REST document. */

t.setTimeout(360_000);
const browser = await startChromium();
t.teardown(() => browser.close());

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
  await page.goto(publishPage(first.httpUrl));
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
    await page.goto(publishPage(proxy.url));
    await page.getByLabel('This gateway requires').fill('k3y');
    await press(page, 'Use key');
    await says(page, '#gateway', 'Gateway connected');
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing');
    t.match(await streams(), [{ name: 'test', status: 'live' }]);
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Stopped.');

    await page.getByRole('link', { name: 'WHIP' }).click();
    await page.getByLabel('This gateway requires').fill('k3y');
    await press(page, 'Use key');
    await says(page, '#gateway', 'Gateway connected');
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing.');
    t.match(await streams(), [{ name: 'test', status: 'live' }], 'by WHIP');
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Ended.');
    await waitFor('the stream to end', async () => (await streams()).length === 0);
    await page.getByRole('link', { name: 'Publish' }).click();
    await says(page, '#gateway', 'API key or token required');
    t.same(missing, [], 'all files are found');
  });

t.test('accessibility, by the rules of axe', async (t) => {
  const gateway = await startGateway({
    embedded_rtmp_server: true,
    embedded_rtmp_port: await freePort(),
    embedded_http_flv_port: await freePort(),
  });
  t.teardown(() => gateway.stop());
  for (const [width, height, colorScheme] of [
    [1280, 900, 'light'],
    [380, 800, 'dark'],
  ] as const) {
    const viewport = { width, height };
    const page = await browser.newPage({ viewport, colorScheme });
    const title = `${viewport.width} px, ${colorScheme}`;
    await page.goto(publishPage(gateway.httpUrl));
    await press(page, 'Publish');
    await says(page, '#publish-state', 'Publishing');
    await press(page, '+ Add destination');
    await page.locator('#destinations li').nth(1).locator('input').first().fill('rtmp://127.0.0.1:1/live');
    await press(page, 'Start push');
    await page.locator('#ended-pushes li').first().waitFor();
    await says(page, '.push .pill', 'Pushing');
    await page.getByText('Options').click();
    t.same(await violations(page), [], `console, ${title}`);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), viewport.width, 'no horizontal scrolling');
    await press(page, 'Stop');
    await says(page, '#publish-state', 'Stopped.');
    await page.goto(`${gateway.httpUrl}/console/whip.html`);
    t.same(await violations(page), [], `WHIP page, ${title}`);
    await page.close();
  }
});

t.test('the login form and the rights, by the rules of axe', async (t) => {
  const gateway = await startGateway({ rest_api_key: 'k3y' });
  t.teardown(() => gateway.stop());
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ viewport: { width: 380, height: 800 }, colorScheme });
    const check = async (what: string): Promise<void> => {
      t.same(await violations(page), [], `${what}, ${colorScheme}`);
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), 380, 'no horizontal scrolling');
      const folder = process.env['SCREENSHOTS'];
      if (folder) await page.screenshot({ path: `${folder}/${what}-${colorScheme}.png` });
    };
    await page.goto(publishPage(gateway.httpUrl));
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
  await page.goto(publishPage(proxy.url));
  await page.getByRole('link', { name: 'REST API' }).click();
  await page.locator('#operations-Inspection-getPrincipal').waitFor();
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
