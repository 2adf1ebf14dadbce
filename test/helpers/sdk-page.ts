import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startLoopbackServer, type LoopbackServer } from './loopback-server.ts';
import { MOST_TRIES, waitFor } from './wait.ts';

const PAGE_FILES = fileURLToPath(new URL('./page/', import.meta.url));
const SDK_FILES = dirname(fileURLToPath(import.meta.resolve('@flashphoner/websdk/package.json')));

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

/** Serves the test page and, below `/websdk/`, the unmodified official Web SDK. */
export async function startPageServer(): Promise<LoopbackServer> {
  return startLoopbackServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://page').pathname;
    const name = path === '/' ? 'index.html' : path.slice(1);
    // The path of a parsed URL has no "..".
    const sdk = /^websdk\/([\w./-]+)$/.exec(name);
    const file = sdk ? join(SDK_FILES, sdk[1]!) : join(PAGE_FILES, name.replace(/[^\w.-]/g, ''));
    readFile(file).then(
      (content) =>
        response
          .writeHead(200, { 'content-type': TYPES[file.split('.').at(-1)!] ?? 'application/octet-stream' })
          .end(content),
      () => response.writeHead(404).end(),
    );
  });
}

export interface StreamOutcome {
  readonly status: string;
  readonly info?: string;
}

export interface PageEvent {
  readonly what: 'session' | 'stream' | 'event';
  readonly name?: string;
  readonly status?: string;
  readonly info?: string;
  /** The frame size that the SDK reports with status RESIZE. */
  readonly resolution?: { readonly width: number; readonly height: number };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- any message of the gateway
  readonly event?: any;
}

export interface PublishOptions {
  readonly name: string;
  readonly rtmpUrl?: string;
  /** `camera` is Chromium's fake device (640x480, a beep every second); the other sources are in page/sources.js. */
  readonly source?: 'camera' | 'flashAndBeep' | 'tone' | 'noise' | 'videoOnly' | 'audioOnly';
  readonly sourceOptions?: { readonly width?: number; readonly height?: number; readonly frequency?: number };
  readonly constraints?: Record<string, unknown>;
  /** Codecs that the SDK removes from its offer, comma-separated: `H264` leaves VP8. */
  readonly stripCodecs?: string;
  readonly transport?: 'UDP' | 'TCP';
  readonly custom?: { readonly token: string };
}

/** The part of a browser tab that tests need, from Playwright or {@link startFirefox}. */
export interface BrowserPage {
  goto(url: string): Promise<unknown>;
  /** The value of an expression, awaited. */
  evaluate(expression: string): Promise<unknown>;
  on(event: 'console', listener: (message: { type(): string; text(): string }) => void): unknown;
  close(): Promise<void>;
}

export interface PageBrowser {
  newPage(): Promise<BrowserPage>;
}

/** One browser page with the official SDK, controlled by a test. */
export class SdkPage {
  readonly page: BrowserPage;
  /** Warnings and errors of Chromium's console; scripts see failures without their cause. */
  readonly #complaints: string[] = [];

  private constructor(page: BrowserPage) {
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error') this.#complaints.push(message.text());
    });
  }

  static async open(browser: PageBrowser, server: LoopbackServer): Promise<SdkPage> {
    const page = await browser.newPage();
    await page.goto(server.url);
    return new SdkPage(page);
  }

  /** Calls a function of `testPage` in page/session.js. */
  async #call<Result>(name: string, ...args: unknown[]): Promise<Result> {
    try {
      return (await this.page.evaluate(
        `testPage.${name}(${args.map((arg) => JSON.stringify(arg) ?? 'undefined').join(', ')})`,
      )) as Result;
    } catch (error) {
      throw new Error([(error as Error).message, ...this.#complaints].join('\n'), { cause: error });
    }
  }

  connect(
    url: string,
    options: { readonly authToken?: string; readonly custom?: { readonly token: string } } = {},
  ): Promise<string> {
    return this.#call('connect', url, options);
  }

  disconnect(): Promise<void> {
    return this.#call('disconnect');
  }

  /** On a busy machine a gateway that has just started says for some seconds that it is overloaded, and to try again. */
  async publish(options: PublishOptions): Promise<StreamOutcome> {
    for (let tries = 0; ; tries++) {
      const outcome = await this.#call<StreamOutcome>('publish', options);
      if (tries === MOST_TRIES || !outcome.info?.includes('is overloaded')) return outcome;
      await sleep(1000);
    }
  }

  play(options: {
    readonly name: string;
    readonly constraints?: { readonly audio: boolean; readonly video: boolean };
  }): Promise<StreamOutcome> {
    return this.#call('play', options);
  }

  stop(name: string): Promise<StreamOutcome> {
    return this.#call('stop', name);
  }

  available(name: string): Promise<{ readonly available: boolean; readonly info?: string }> {
    return this.#call('available', name);
  }

  muteAudio(name: string): Promise<void> {
    return this.#call('muteAudio', name);
  }

  unmuteAudio(name: string): Promise<void> {
    return this.#call('unmuteAudio', name);
  }

  /** Changes the size of the canvas that is being published. */
  resize(width: number, height: number): Promise<void> {
    return this.#call('resize', width, height);
  }

  /** Sends this page's media to that loopback port (a {@link startUdpRelay}) instead of the gateway's. Call before publishing. */
  sendThrough(port: number): Promise<void> {
    return this.#call('sendThrough', port);
  }

  playback(): Promise<
    | { readonly width: number; readonly height: number; readonly framesDecoded: number; readonly audioEnergy: number }
    | undefined
  > {
    return this.#call('playback');
  }

  /** Statistics of the page's audio: packets sent, retransmitted and still missing at the gateway, and seconds of audio from its source. */
  audioSent(): Promise<{
    readonly packets: number;
    readonly retransmitted: number;
    readonly lost: number;
    readonly seconds: number;
  }> {
    return this.#call('audioSent');
  }

  events(): Promise<PageEvent[]> {
    return this.page.evaluate('testPage.events') as Promise<PageEvent[]>;
  }

  /** Waits for an SDK event that satisfies the condition. */
  event(what: string, condition: (event: PageEvent) => boolean, timeout?: number): Promise<PageEvent> {
    return waitFor(what, async () => (await this.events()).find(condition), { timeout });
  }

  /** Connects and publishes; throws on failure. */
  async publishTo(url: string, options: PublishOptions): Promise<void> {
    await this.connect(url);
    const outcome = await this.publish(options);
    if (outcome.status !== 'PUBLISHING')
      throw new Error(`publishing ${options.name}: ${outcome.status} ${outcome.info ?? ''}`);
  }

  /** As when a user closes the tab. */
  close(): Promise<void> {
    return this.page.close();
  }
}
