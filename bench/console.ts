import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { mainProcessOf, startChromium } from '../test/helpers/chromium.ts';
import { treeOf } from '../test/helpers/processes.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, percentile, processorLoad, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';

const FLOWING_TIMEOUT_MS = 60_000;
/** Of each publisher's video: the cost of the list is measured, not that of media. */
const KBPS = 50;
/** Wheel events that scroll through the list. */
const WHEEL_PIXELS = 400;
const WHEEL_EVERY_MS = 100;

interface Round {
  /** Percent of a core of the gateway's process. */
  readonly withoutPage: number;
  readonly withPage: number;
  readonly kilobytesPerSecond: number;
  /** Percent of a core of the browser. */
  readonly browser: number;
  readonly fps: number;
  readonly fpsScrolling: number;
  /** Of 100 frames 99 come after at most so many milliseconds, while the list is scrolled. */
  readonly frameP99Ms: number;
}

/** The Live page of the console with many streams: what it costs the gateway, its connection and the browser, and how smooth it is. */
export async function benchConsole({ rounds, seconds, counts, settings, warmUp }: BenchOptions): Promise<Report> {
  const stage = await setBenchStage({ settings, kbps: KBPS });
  const browser = await startChromium();
  const results: { readonly streams: number; readonly rounds: readonly Round[] }[] = [];
  try {
    let running = 0;
    for (const streams of counts) {
      for (; running < streams; running++)
        await stage.publishers.ask('publish', { name: `s${running}`, url: stage.gateway.wsUrl });
      await waitFor('the streams', async () => (await stage.gateway.http('/api/v1/streams')).body.length === streams, {
        timeout: FLOWING_TIMEOUT_MS,
      });
      await sleep(warmUp * 1000);
      const measured: Round[] = [];
      for (let round = 1; round <= rounds; round++) {
        const withoutPage = await gatewayLoad(stage, seconds);
        const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
        await page.goto(stage.gateway.httpUrl);
        await page
          .locator('[role=status]', { hasText: `${streams} streams` })
          .first()
          .waitFor();
        measured.push({ withoutPage, ...(await measurePage(stage, page, seconds)) });
        await page.close();
        const { withPage, kilobytesPerSecond, fps, fpsScrolling } = measured.at(-1)!;
        progress(
          `  ${streams} streams, round ${round}/${rounds}: gateway ${withoutPage.toFixed(1)} % without and ${withPage.toFixed(1)} % with the page, ${kilobytesPerSecond.toFixed(1)} kB/s, ${fps.toFixed(0)} and ${fpsScrolling.toFixed(0)} frames per second`,
        );
      }
      results.push({ streams, rounds: measured });
    }
  } finally {
    await browser.close();
    await stage.close();
  }
  return report(results);
}

const gatewayLoad = async ({ gateway }: BenchStage, seconds: number): Promise<number> =>
  (await processorLoad(gatewayGroups(gateway.pid), seconds))['gateway']!;

async function measurePage(stage: BenchStage, page: Page, seconds: number): Promise<Omit<Round, 'withoutPage'>> {
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  let bytes = 0;
  network.on('Network.dataReceived', ({ encodedDataLength, dataLength }) => (bytes += encodedDataLength || dataLength));
  const [withPage, { browser = NaN }, { fps }] = await Promise.all([
    gatewayLoad(stage, seconds),
    processorLoad({ browser: treeOf(mainProcessOf(process.pid)) }, seconds),
    countFrames(page, seconds),
  ]);
  const kilobytesPerSecond = bytes / 1000 / seconds;
  const scrolling = countFrames(page, seconds);
  await page.mouse.move(640, 600);
  for (let at = 0; at < seconds * 1000; at += WHEEL_EVERY_MS) {
    await page.mouse.wheel(0, at < seconds * 500 ? WHEEL_PIXELS : -WHEEL_PIXELS);
    await sleep(WHEEL_EVERY_MS);
  }
  const { fps: fpsScrolling, frameP99Ms } = await scrolling;
  return { withPage, kilobytesPerSecond, browser, fps, fpsScrolling, frameP99Ms };
}

async function countFrames(page: Page, seconds: number): Promise<{ fps: number; frameP99Ms: number }> {
  const times = (await page.evaluate(
    `new Promise((resolve) => {
      const times = [];
      const end = performance.now() + ${seconds * 1000};
      const note = (now) => { times.push(now); if (now < end) requestAnimationFrame(note); else resolve(times); };
      requestAnimationFrame(note);
    })`,
  )) as number[];
  const gaps = times.slice(1).map((time, index) => time - times[index]!);
  return {
    fps: (gaps.length * 1000) / (times.at(-1)! - times[0]!),
    frameP99Ms: percentile(
      gaps.sort((a, b) => a - b),
      99,
    ),
  };
}

function report(results: readonly { readonly streams: number; readonly rounds: readonly Round[] }[]): Report {
  const of = (rounds: readonly Round[], field: keyof Round): Figure => figure(rounds.map((round) => round[field]));
  return {
    name: 'console',
    tables: [
      {
        title: 'The Live page of the console; percent of a core',
        columns: [
          'streams',
          'gateway without page',
          'gateway with page',
          'kB/s',
          'browser',
          'frames per second',
          'while scrolling',
          'frame p99, ms',
        ],
        rows: results.map(({ streams, rounds }) => [
          streams,
          of(rounds, 'withoutPage'),
          of(rounds, 'withPage'),
          of(rounds, 'kilobytesPerSecond'),
          of(rounds, 'browser'),
          of(rounds, 'fps'),
          of(rounds, 'fpsScrolling'),
          of(rounds, 'frameP99Ms'),
        ]),
      },
    ],
    plot: {
      title: 'What the Live page costs the gateway',
      x: 'streams',
      y: 'percent of a core',
      series: (['withoutPage', 'withPage'] as const).map((field) => ({
        name: field === 'withPage' ? 'with the page' : 'without',
        points: results.map(({ streams, rounds }) => [streams, of(rounds, field).median] as const),
      })),
    },
    data: { results },
  };
}
