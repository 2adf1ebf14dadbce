import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import t from 'tap';
import { says } from '../helpers/console-page.ts';
import { startReverseProxy } from '../helpers/reverse-proxy.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { MOST_TRIES, waitFor } from '../helpers/wait.ts';

/** The examples that the gateway serves. */

t.setTimeout(FILE_TIMEOUT);

const { gateway, browser, nginx } = await setStage(t, { settings: { rooms: true } });

/** Opens an example. `faults`: what its page reports, such as breaches of the Content Security Policy. */
async function open(example: string, { base = gateway.httpUrl, before = '' } = {}) {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => void (message.type() === 'error' && faults.push(message.text())));
  if (before) await page.addInitScript(before);
  await page.goto(`${base.replace(/\/$/, '')}/examples/${example}`);
  return { page, faults };
}

const press = (page: Page): Promise<void> => page.locator('#form button').first().click();
/** Starts an example, again where a gateway on a busy machine says that it is overloaded. */
async function start(page: Page, state: string): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    await press(page);
    const answer = await waitFor('an answer', async () => {
      if ((await page.textContent('#state'))?.includes(state)) return 'started';
      return (await page.textContent('#error')) || undefined;
    });
    if (answer === 'started') return;
    if (!answer.includes('is overloaded')) throw new Error(answer);
    await sleep(1000);
  }
}
async function stop(page: Page): Promise<void> {
  await page.locator('#stop').click();
  await says(page, '#state', 'Stopped');
  await page.close();
}
const shows = (page: Page, selector: string): Promise<unknown> =>
  waitFor(`video in ${selector}`, () =>
    page.evaluate(
      `document.querySelector('${selector}')?.videoWidth > 0 && document.querySelector('${selector}').currentTime > 0`,
    ),
  );
const live = async (): Promise<string[]> =>
  ((await gateway.http('/api/v1/streams')).body as { name: string; status: string }[])
    .filter(({ status }) => status === 'live')
    .map(({ name }) => name);

await t.test('the list leads to all of them', async (t) => {
  const { page, faults } = await open('');
  const links = (await page.evaluate(`[...document.querySelectorAll('li a')].map((link) => link.href)`)) as string[];
  t.equal(links.length, 6);
  for (const link of links) {
    await page.goto(link);
    await page.locator('#form').waitFor();
    t.not(await page.title(), '', link);
  }
  t.strictSame(faults, []);
  await page.close();
});

await t.test('publish, and watch', async (t) => {
  const publisher = await open('publish.html');
  await publisher.page.fill('#name', 'shown');
  await start(publisher.page, 'Publishing');
  await says(publisher.page, '#stats', 'kbit/s');
  t.match(await publisher.page.textContent('#stats'), /^(good|fair|poor): \d+ kbit\/s, \d+×\d+, \d+ fps/);

  const viewer = await open('watch.html');
  await viewer.page.fill('#name', 'nobody');
  await press(viewer.page);
  await says(viewer.page, '#error', 'STREAM_FAILED: Stream not found');
  t.match(await viewer.page.textContent('#error'), /Wait until the stream is published/);
  await viewer.page.fill('#name', 'shown');
  await start(viewer.page, 'Playing');
  await shows(viewer.page, '#video');
  await stop(viewer.page);
  await stop(publisher.page);
  t.strictSame(await live(), []);
  t.strictSame([...publisher.faults, ...viewer.faults], []);
});

await t.test('a hook for React', async (t) => {
  const { page, faults } = await open('react.html');
  await page.fill('#name', 'hooked');
  for (let tries = 0; (await page.textContent('#state')) !== 'Publishing'; tries++) {
    await press(page);
    const answer = await waitFor('an answer', async () => {
      const state = await page.textContent('#state');
      return ['Publishing', 'ended'].includes(state ?? '') && (state === 'ended' ? page.textContent('#error') : state);
    });
    if (answer === 'Publishing') break;
    if (!String(answer).includes('is overloaded') || tries === MOST_TRIES) throw new Error(String(answer));
    await page.locator('#stop').click();
    await sleep(1000);
  }
  await shows(page, '#video');
  t.strictSame(await live(), ['hooked']);
  await page.locator('#stop').click();
  await says(page, '#state', 'Stopped');
  await waitFor('the end of the stream', async () => (await live()).length === 0);
  t.strictSame(faults, []);
  await page.close();
});

await t.test('publish and push', async (t) => {
  const { page, faults } = await open('publish-and-push.html');
  await page.fill('#name', 'pushed');
  await page.fill('#url', nginx.rtmpUrl);
  await start(page, 'Publishing');
  await says(page, '#push', 'pushing');
  await stop(page);
  t.strictSame(faults, []);
});

await t.test('screen with camera', async (t) => {
  // Nobody can choose a screen in a browser without windows.
  const { page, faults } = await open('screen-with-camera.html', {
    before: `navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
      const picture = canvas.getContext('2d');
      setInterval(() => {
        picture.fillStyle = 'rgb(0, 0, ' + (200 + Math.random() * 50) + ')';
        picture.fillRect(0, 0, 640, 360);
      }, 50);
      return canvas.captureStream();
    };`,
  });
  await page.fill('#name', 'mixed');
  await start(page, 'Publishing');
  await shows(page, '#video');
  const colours = (await waitFor('screen and camera', async () => {
    const seen = (await page.evaluate(`(() => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
      const picture = canvas.getContext('2d');
      picture.drawImage(document.getElementById('video'), 0, 0);
      const at = (x, y) => [...picture.getImageData(x, y, 1, 1).data.slice(0, 3)];
      return { screen: at(100, 100), camera: at(960, 480) };
    })()`)) as { screen: number[]; camera: number[] };
    return seen.screen[2]! > 150 && seen.camera[1]! > 50 ? seen : undefined;
  })) as { screen: number[]; camera: number[] };
  t.ok(colours.screen[1]! < 50, 'the screen is blue');
  t.strictSame(await live(), ['mixed']);
  await stop(page);
  t.strictSame(faults, []);
});

await t.test('room with chat', async (t) => {
  const [ada, ben] = [await open('room-with-chat.html'), await open('room-with-chat.html')];
  await start(ada.page, 'You are Ada');
  await press(ben.page);
  await says(ben.page, '#error', 'LOGIN_IN_USE');
  await ben.page.fill('#name', 'Ben');
  await start(ben.page, 'You are Ben');
  for (const { page } of [ada, ben]) {
    await says(page, '#members', page === ada.page ? 'Ada, Ben' : 'Ben, Ada');
    await shows(page, '#videos video');
  }
  await ben.page.fill('#text', 'Hello <b>all</b>');
  await ben.page.press('#text', 'Enter');
  await says(ada.page, '#chat', 'Ben: Hello <b>all</b>');
  await stop(ben.page);
  await waitFor('the video of Ben to go', () => ada.page.evaluate(`document.querySelector('#videos video') === null`));
  await stop(ada.page);
  t.strictSame([...ada.faults, ...ben.faults], []);
});

await t.test('behind a reverse proxy, below a path prefix', async (t) => {
  const proxy = await startReverseProxy(gateway.ports, { prefixed: true });
  t.teardown(() => proxy.stop());
  const { page, faults } = await open('publish.html', { base: proxy.url });
  await start(page, 'Publishing');
  await stop(page);
  t.strictSame(faults, []);
});
