import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Locator, Page } from 'playwright-core';
import { waitFor } from './wait.ts';

/** What a user does and sees on the console page. */

/** The members of DOM classes that are used here: the tests are compiled without the DOM's types. */
interface Video {
  readonly currentTime: number;
  readonly videoWidth: number;
}

/** The console's page that publishes and pushes. @param url of the gateway */
export const publishPage = (url: string): string => new URL('console/publish.html', url.replace(/\/?$/, '/')).href;

export const text = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();

/** Waits until an element contains the text. */
export const says = (page: Page, selector: string, wanted: string | RegExp): Promise<void> =>
  page.locator(selector, { hasText: wanted }).first().waitFor();

/** Waits until the player shows the stream of the RTMP server. */
export const plays = (page: Page): Promise<boolean> =>
  waitFor(
    'the stream of the RTMP server',
    () => page.locator('#watch').evaluate((video: Video) => video.currentTime > 1 && video.videoWidth > 0),
    { timeout: 30_000 },
  );

/** Presses a button by keyboard: a click misses one that moves while texts above it change. */
export async function activate(button: Locator): Promise<void> {
  await waitFor('the button', () => button.isEnabled());
  await button.press('Enter');
}

export const press = (page: Page, name: string): Promise<void> =>
  activate(page.getByRole('button', { name, exact: true }).first());

let axe: Promise<string> | undefined;
/** What axe finds wrong in the page: rules, each with its elements. */
export async function violations(page: Page): Promise<unknown> {
  axe ??= readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(await axe);
  return page.evaluate(
    `axe.run({ rules: { 'target-size': { enabled: true } } }).then(({ violations }) =>
      violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + failureSummary)]))`,
  );
}
