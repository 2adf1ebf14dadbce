import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { findRecording, recordedUntil } from '../helpers/recording.ts';
import { startPageServer } from '../helpers/sdk-page.ts';
import { noBaresip, startBaresip, startSipGateway } from '../helpers/sip-peers.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** The pages of the official Web SDK that make a telephone call a stream, unmodified. */

t.setTimeout(FILE_TIMEOUT);

/**
 * Example, whether the page speaks the older methods, whether it starts the push by a button, and whether it sends the
 * call a stream.
 */
const PAGES: readonly { name: string; isOld: boolean; pushes: boolean; injects?: boolean }[] = [
  { name: 'sip-as-rtmp', isOld: true, pushes: false },
  { name: 'sip-as-rtmp-2', isOld: false, pushes: true },
  { name: 'sip-as-rtmp-3', isOld: false, pushes: false },
  { name: 'sip-as-rtmp-4', isOld: false, pushes: true, injects: true },
];

const reads = (page: Page, selector: string, text: RegExp): Promise<string> =>
  waitFor(
    `${selector} to read ${text}`,
    async () => {
      const value = (await page.textContent(selector)) ?? '';
      if (!text.test(value)) throw new Error(JSON.stringify(value));
      return value || 'empty';
    },
    { timeout: 30_000 },
  );

await t.test('the four pages call, push, send digits and hang up', { skip: noBaresip }, async (t) => {
  const [browser, pages, nginx, baresip] = await Promise.all([
    startChromium(),
    startPageServer(),
    startNginxRtmp(),
    startBaresip({ audioCodecs: 'PCMU/8000/1', video: false }),
  ]);
  const gateway = await startSipGateway({ cors_origins: new URL(pages.url).origin });
  t.teardown(() => Promise.all([browser.close(), pages.close(), gateway.stop(), nginx.stop(), baresip.stop()]));
  const media = await createMedia('320x180');
  const publisher = await MediaPublisher.start({ httpUrl: gateway.httpUrl, stream: 'music', fps: 30, ...media });
  t.teardown(async () => {
    await publisher.kill();
    await media.remove();
  });
  for (const { name, isOld, pushes, injects = false } of PAGES) {
    const page = await browser.newPage();
    await page.goto(`${pages.url}websdk/examples/demo/sip/${name}/${name}.html`);
    const fields = {
      restUrl: `${gateway.httpUrl}/${isOld ? 'RESTCall' : 'rest-api'}`,
      sipLogin: '2000',
      sipAuthenticationName: '2000',
      sipPassword: 'pw',
      sipDomain: '127.0.0.1',
      sipOutboundProxy: '127.0.0.1',
      sipPort: String(baresip.port),
      callee: '1001',
      rtmpUrl: nginx.rtmpUrl,
      rtmpStream: name,
    };
    for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, value);
    await page.click('#hasAudio');
    await page.click('#callBtn');
    await reads(page, '#callStatus', /^ESTABLISHED$/);
    if (pushes) {
      await page.click('#startRtmp');
      await reads(page, '#startRtmp', /Stop/);
    }
    const file = await findRecording(nginx, `rtmp_${name}`);
    await waitFor('the audio', async () => (await recordedUntil(file)).audio > 1500);
    if (injects) {
      for (const [stream, status] of [
        ['nothing', 404],
        ['music', 200],
      ] as const) {
        await page.fill('#injectStream', stream);
        const answered = page.waitForResponse(/inject_stream/);
        await page.click('#injectStreamBtn');
        t.equal((await answered).status(), status);
      }
      await waitFor('the page to show it', () => page.locator('#injectStream').isDisabled());
    }
    await page.evaluate(`sendDTMF('5')`);
    await reads(page, '#callStatus', /^ESTABLISHED$/);
    await page.click('#callBtn');
    await reads(page, '#callStatus', /^FINISHED$/);
    t.pass(name);
    await page.close();
  }
});
