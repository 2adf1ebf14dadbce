import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startChromium } from '../test/helpers/chromium.ts';
import { startConsoleStage } from '../test/helpers/console-stage.ts';
import { showcase, showcaseTick } from '../test/helpers/console-showcase.ts';

/** Takes the screenshots of docs/images: every page of the console, light on a desktop and dark on a phone. */

const folder = process.argv[2] ?? fileURLToPath(new URL('../docs/images/', import.meta.url));
mkdirSync(folder, { recursive: true });

const PAGES = {
  live: '#/',
  stream: '#/streams/main-stage',
  destinations: '#/destinations',
  events: '#/events',
  settings: '#/settings',
  recordings: '#/recordings',
  publish: 'console/publish.html',
};
const FORMS = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: 'light' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
};

const { items, answers, events } = showcase();
const [browser, stage] = await Promise.all([startChromium(), startConsoleStage({ answers })]);
stage.put(...items);
for (const event of events) stage.happen(event);
let second = 0;
const ticking = setInterval(() => stage.put(...showcaseTick(second++)), 250);
try {
  for (const [form, options] of Object.entries(FORMS)) {
    const page = await browser.newPage(options);
    page.on('pageerror', (error) => console.error(error.message));
    for (const [name, path] of Object.entries(PAGES)) {
      // Another part after # alone would not load the page again.
      await page.goto('about:blank');
      await page.goto(`${stage.url}/${path}`);
      await page.locator('#main h2, #main li, #main td').first().waitFor();
      // Posters come a moment after their cards.
      await page.waitForTimeout(name === 'stream' ? 12_000 : 1200);
      const fullPage = name === 'stream';
      await page.screenshot({ path: `${folder}/console-${name}-${form}.png`, fullPage });
    }
    await page.close();
  }
} finally {
  clearInterval(ticking);
  await Promise.all([browser.close(), stage.stop()]);
}
