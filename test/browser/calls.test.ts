import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { activate, press, says, text, violations } from '../helpers/console-page.ts';
import { noBaresip, startBaresip, startSipGateway } from '../helpers/sip-peers.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** The console's page of calls, with a telephone. */

t.test('call, press keys, hang up', { skip: noBaresip }, async (t) => {
  const [gateway, baresip, browser] = await Promise.all([
    startSipGateway({
      rest_api_key: 'k3y',
      sip_register: `7:hush@sip.test;proxy=127.0.0.1:${await freePort()};transport=tcp;stream=hotline`,
    }),
    startBaresip({ video: false }),
    startChromium(),
  ]);
  t.teardown(() => Promise.all([gateway.stop(), baresip.stop(), browser.close()]));
  const page = await browser.newPage({ viewport: { width: 380, height: 800 }, colorScheme: 'dark' });
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  await page.goto(gateway.httpUrl);
  await page.getByRole('link', { name: 'Calls' }).click();
  await page.getByLabel('This gateway requires').fill('k3y');
  await press(page, 'Use key');
  await says(page, '#state', 'No call is running.');

  await says(page, '#registrations .pill', 'Failed');
  t.match(await text(page, '#registrations'), /7@sip\.test.*stream hotline.*cannot be reached.*sip_register/s);
  t.notMatch(await page.content(), /hush/);

  await page.getByLabel('Number or SIP address').fill('sip:1@192.0.2.1');
  await press(page, 'Call');
  await says(page, '#dial-error', 'sip_allow_networks');

  const callee = `sip:1001@127.0.0.1:${baresip.port}`;
  await page.getByLabel('Number or SIP address').fill(callee);
  await page.getByLabel('Stream name').fill('phone');
  await press(page, 'Call');
  await says(page, '#calls .pill', 'Connected');
  t.equal(await text(page, '#dial-error'), '', 'the error is gone');
  t.match(await text(page, '#calls .hint'), /stream phone · .*opus/i);
  const headers = { authorization: 'Bearer k3y' };
  t.match((await gateway.http('/api/v1/streams', { headers })).body, [{ name: 'phone', status: 'live' }]);

  await page.getByRole('textbox', { name: 'Keys' }).fill('12#');
  await press(page, 'Send');
  const keys = (): string => [...baresip.output().matchAll(/received DTMF: '(.)'/g)].map(([, key]) => key).join('');
  await waitFor('the keys', () => keys() === '12#');
  await page.getByRole('textbox', { name: 'Sound file' }).fill('nothing.wav');
  await press(page, 'Play');
  await says(page, '#calls .error', 'nothing.wav');
  t.same(await violations(page), [], 'axe finds nothing in a running call');
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 380, 'no horizontal scrolling');
  const folder = process.env['SCREENSHOTS'];
  if (folder) await page.screenshot({ path: `${folder}/calls.png`, fullPage: true });

  await activate(page.getByRole('button', { name: `Hang up ${callee}` }));
  await says(page, '#state', 'No call is running.');
  await page.getByText('Calls that are over').click();
  t.match(await text(page, '#ended-calls li'), /1001.* as phone/);
  t.same(await violations(page), [], 'nor in calls that are over');
  if (folder) await page.screenshot({ path: `${folder}/calls-over.png`, fullPage: true });
  t.same(faults, []);
});
