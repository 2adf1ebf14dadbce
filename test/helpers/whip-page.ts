import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLoopbackServer, type LoopbackServer } from './loopback-server.ts';
import type { BrowserPage, PageBrowser } from './sdk-page.ts';

const PAGE_FILES = fileURLToPath(new URL('./page/', import.meta.url));
const WHIP_CLIENT = fileURLToPath(import.meta.resolve('@eyevinn/whip-web-client'));

/**
 * Bundles a CommonJS module with everything it requires as one ES module for a browser, with unmodified files. The WHIP client imports
 * two such modules by name, which its users leave to a bundler.
 */
function asBrowserModule(file: string, names: readonly string[]): string {
  const files = new Map<string, string>();
  const collect = (path: string): void => {
    if (files.has(path)) return;
    const text = readFileSync(path, 'utf8');
    const required = [...text.matchAll(/\brequire\(['"](\.[^'"]+)['"]\)/g)].map(
      ([, name]) => [name!, createRequire(path).resolve(name!)] as const,
    );
    files.set(
      path,
      `${JSON.stringify(path)}: [function (module, exports, require) {${text}\n}, ${JSON.stringify(Object.fromEntries(required))}]`,
    );
    for (const [, target] of required) collect(target);
  };
  collect(file);
  return `const files = {${[...files.values()].join(',\n')}};
const loaded = {};
function load(path) {
  if (loaded[path]) return loaded[path].exports;
  const module = (loaded[path] = { exports: {} });
  const [run, required] = files[path];
  run(module, module.exports, (name) => load(required[name]));
  return module.exports;
}
export const { ${names.join(', ')} } = load(${JSON.stringify(file)});
`;
}

/** Serves the WHIP test page and the unmodified WHIP client of Eyevinn. */
export async function startWhipPageServer(): Promise<LoopbackServer> {
  const require = createRequire(WHIP_CLIENT);
  const files = new Map<string, string | Buffer>([
    ['/', readFileSync(join(PAGE_FILES, 'whip.html'))],
    ['/whip.js', readFileSync(join(PAGE_FILES, 'whip.js'))],
    ['/sources.js', readFileSync(join(PAGE_FILES, 'sources.js'))],
    ['/whip-client.js', readFileSync(join(WHIP_CLIENT, '../whip-client.modern.js'))],
    ['/modules/events.js', asBrowserModule(require.resolve('events/'), ['EventEmitter'])],
    ['/modules/sdp-transform.js', asBrowserModule(require.resolve('sdp-transform'), ['parse', 'write'])],
  ]);
  return startLoopbackServer((request, response) => {
    const content = files.get(request.url ?? '');
    if (content === undefined) response.writeHead(404).end();
    else
      response
        .writeHead(200, {
          'content-type': request.url === '/' ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8',
        })
        .end(content);
  });
}

export interface PageAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
}

export interface OfferOptions {
  readonly source?: 'camera' | 'flashAndBeep' | 'tone' | 'videoOnly' | 'audioOnly';
  readonly sourceOptions?: { readonly width?: number; readonly height?: number };
  readonly codec?: 'h264' | 'vp8' | 'vp9' | 'av1';
  readonly layers?: readonly {
    readonly rid?: string;
    readonly scalabilityMode?: string;
    readonly scaleResolutionDownBy?: number;
    readonly maxBitrate?: number;
  }[];
  readonly dataChannel?: string;
  readonly setup?: 'active';
}

export interface Flow {
  readonly state: string;
  readonly channel?: string;
  readonly streams: readonly {
    readonly kind: string;
    readonly rid?: string;
    readonly framesEncoded?: number;
    readonly framesDecoded?: number;
    readonly packetsSent?: number;
    readonly packetsReceived?: number;
    readonly frameHeight?: number;
    readonly totalAudioEnergy?: number;
  }[];
}

/** One browser page with plain WebRTC code, controlled by a test. */
export class WhipPage {
  readonly page: BrowserPage;

  private constructor(page: BrowserPage) {
    this.page = page;
  }

  static async open(browser: PageBrowser, server: LoopbackServer): Promise<WhipPage> {
    const page = await browser.newPage();
    await page.goto(server.url);
    return new WhipPage(page);
  }

  /** Calls a function of `whipPage` in page/whip.js. */
  async #call<Result>(name: string, ...args: unknown[]): Promise<Result> {
    return this.page.evaluate(
      `whipPage.${name}(${args.map((arg) => JSON.stringify(arg) ?? 'undefined').join(', ')})`,
    ) as Promise<Result>;
  }

  offer(options: OfferOptions = {}): Promise<string> {
    return this.#call('offer', options);
  }

  publish(
    url: string,
    options: OfferOptions & { readonly headers?: Record<string, string>; readonly mediaPort?: number } = {},
  ): Promise<PageAnswer & { readonly answeredAt: number }> {
    return this.#call('publish', url, options);
  }

  play(url: string, options: Pick<OfferOptions, 'dataChannel'> = {}): Promise<PageAnswer> {
    return this.#call('play', url, options);
  }

  /** Sends text over the data channel. */
  async say(text: string): Promise<void> {
    await this.page.evaluate(`whipPage.channel.send(${JSON.stringify(text)})`);
  }

  /** What has arrived over the data channel. */
  async heard(): Promise<readonly string[]> {
    return (await this.page.evaluate('whipPage.received')) as readonly string[];
  }

  restartIce(): Promise<PageAnswer> {
    return this.#call('restartIce');
  }

  /** Sends a request to the resource of this page's session. */
  async request(
    method: string,
    init: { readonly headers?: Record<string, string>; readonly body?: string } = {},
  ): Promise<PageAnswer> {
    return this.#call('request', method, await this.page.evaluate('whipPage.location'), init);
  }

  flow(type: 'outbound-rtp' | 'inbound-rtp'): Promise<Flow> {
    return this.#call('flow', type);
  }

  eyevinn(
    endpoint: string,
    options: { readonly authkey?: string; readonly noTrickleIce?: boolean } = {},
  ): Promise<{
    readonly resource: string;
    readonly etag: string;
    readonly extensions: readonly string[];
    readonly trickle: boolean;
  }> {
    return this.#call('eyevinn', endpoint, options);
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
