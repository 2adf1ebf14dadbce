import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { childrenOf } from './processes.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The installed Chromium: `CHROMIUM_BIN`, or the first of the usual names in `PATH`. */
export function chromiumPath(): string {
  if (process.env.CHROMIUM_BIN) return process.env.CHROMIUM_BIN;
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) if (existsSync(join(folder, name))) return join(folder, name);
  }
  throw new Error('no Chromium found: install the package "chromium" or set CHROMIUM_BIN');
}

/**
 * Starts a headless Chromium with a fake camera (a moving image) and a fake microphone (a beep every second). Its pages keep
 * running at full speed in the background, and it connects to loopback only.
 */
export async function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    headless: true,
    args: [
      '--no-sandbox',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      '--allow-loopback-in-peer-connection',
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-domain-reliability',
      '--disable-gpu',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
      '--no-first-run',
    ],
  });
}

/** The main process of the Chromium that the process `parent` started; the other ones end with it. */
export function mainProcessOf(parent: number): number {
  const main = childrenOf(parent).find(({ args }) => args.join(' ').includes('--use-fake-device-for-media-stream'));
  if (!main) throw new Error('no Chromium found');
  return main.pid;
}

/** The audio service process of the Chromium that the process `parent` started. */
export function audioServiceOf(parent: number): number {
  // Chromium's child processes show their arguments as one string.
  const service = childrenOf(parent)
    .flatMap(({ pid }) => childrenOf(pid))
    .find(({ args }) => args.join(' ').includes('--utility-sub-type=audio'));
  if (!service) throw new Error('no audio service of Chromium found');
  return service.pid;
}
