import type { Browser } from 'playwright-core';
import { startChromium } from './chromium.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from './gateway.ts';
import { startNginxRtmp, type NginxRtmp, type NginxRtmpOptions } from './nginx-rtmp.ts';
import { SdkPage, startPageServer, type PublishOptions } from './sdk-page.ts';

/** The parts of an end-to-end test: a gateway, a browser with the official SDK, and an RTMP server. */
export interface Stage {
  readonly gateway: TestGateway;
  readonly browser: Browser;
  readonly nginx: NginxRtmp;
  /** A new page, not connected yet. */
  openPage(): Promise<SdkPage>;
  /** A new page that publishes. */
  publisher(options: PublishOptions): Promise<SdkPage>;
}

export interface StageOptions {
  readonly settings?: SettingsOverrides;
  readonly nginx?: NginxRtmpOptions;
}

/** Something with `teardown()`, such as tap's test. */
interface Teardown {
  teardown(end: () => Promise<void>): void;
}

/** Milliseconds that a browser test file may take; on an idle machine it takes far less. */
export const FILE_TIMEOUT = 360_000;

/** Starts all parts at the same time; all end with the test. */
export async function setStage(t: Teardown, options: StageOptions = {}): Promise<Stage> {
  const ends: (() => Promise<void>)[] = [];
  let starting: Promise<unknown>[] = [];
  // Registered before anything starts, so that all parts end even if another part fails to start.
  t.teardown(async () => {
    await Promise.allSettled(starting);
    const failures: unknown[] = [];
    for (const end of ends) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  });
  const ending = async <Part>(part: Promise<Part>, end: (part: Part) => Promise<void>): Promise<Part> => {
    const started = await part;
    ends.push(() => end(started));
    return started;
  };
  const parts = [
    ending(startChromium(), (part) => part.close()),
    ending(startPageServer(), (part) => part.close()),
    ending(startGateway(options.settings), (part) => part.stop()),
    ending(startNginxRtmp(options.nginx), (part) => part.stop()),
  ] as const;
  starting = [...parts];
  const [browser, pages, gateway, nginx] = await Promise.all(parts);
  const openPage = (): Promise<SdkPage> => SdkPage.open(browser, pages);
  return {
    gateway,
    browser,
    nginx,
    openPage,
    async publisher(publishOptions) {
      const page = await openPage();
      await page.publishTo(gateway.wsUrl, publishOptions);
      return page;
    },
  };
}
