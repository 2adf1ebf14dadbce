import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { WebSocket } from 'ws';
import type { PageBrowser, BrowserPage } from './sdk-page.ts';

/** The installed Firefox: `FIREFOX_BIN`, or the first of the usual names in `PATH`, if any. */
export function firefoxPath(): string | undefined {
  if (process.env.FIREFOX_BIN) return process.env.FIREFOX_BIN;
  const paths = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => ['firefox-esr', 'firefox'].map((name) => join(folder, name)));
  return paths.find((path) => existsSync(path));
}

/** Fake camera and microphone without a prompt, and no connections to the Internet. Without the downloaded H.264 plugin Firefox sends VP8. */
const PREFERENCES = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  'media.autoplay.default': 0,
  'media.gmp-manager.updateEnabled': false,
  'media.navigator.permission.disabled': true,
  'media.navigator.streams.fake': true,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'toolkit.telemetry.enabled': false,
};

export interface Firefox extends PageBrowser {
  close(): Promise<void>;
}

/** Starts an unmodified headless Firefox and controls it with the part of WebDriver BiDi that test pages need (https://w3c.github.io/webdriver-bidi/). */
export async function startFirefox(path: string): Promise<Firefox> {
  const profile = await mkdtemp(join(tmpdir(), 'firefox-'));
  await writeFile(
    join(profile, 'user.js'),
    Object.entries(PREFERENCES)
      .map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${value});\n`)
      .join(''),
  );
  const child = spawn(
    path,
    ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(child, 'exit');
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const end = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    process.removeListener('exit', killAtExit);
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };

  try {
    const session = await BidiSession.open(`${await address(child.stderr, exited)}/session`);
    return {
      newPage: () => session.newPage(),
      close: async () => {
        session.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Reads from Firefox's output where it listens. */
async function address(stderr: NodeJS.ReadableStream, exited: Promise<unknown>): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const url = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
      if (url) resolve(url);
    });
    void exited.then(() => reject(new Error(`Firefox ended: ${said.slice(-2000)}`)));
  });
}

type Answer =
  | { readonly id: number | null; readonly result?: unknown; readonly error?: string; readonly message?: string }
  | { readonly method: string; readonly params: unknown };

class BidiSession {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #logs = new Map<string, (message: { type(): string; text(): string }) => void>();
  #commands = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#take(JSON.parse(data.toString()) as Answer));
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('Firefox closed the connection'));
    });
  }

  static async open(url: string): Promise<BidiSession> {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    const session = new BidiSession(socket);
    await session.#send('session.new', { capabilities: {} });
    await session.#send('session.subscribe', { events: ['log.entryAdded'] });
    return session;
  }

  async newPage(): Promise<BrowserPage> {
    const { context } = await this.#send<{ context: string }>('browsingContext.create', { type: 'tab' });
    return {
      goto: (url) => this.#send('browsingContext.navigate', { context, url, wait: 'complete' }),
      evaluate: (expression) => this.#evaluate(context, expression),
      on: (_event, listener) => this.#logs.set(context, listener),
      close: async () => void (await this.#send('browsingContext.close', { context })),
    };
  }

  close(): void {
    this.#socket.terminate();
  }

  async #evaluate(context: string, expression: string): Promise<unknown> {
    type Evaluated =
      | { readonly type: 'success'; readonly result: { readonly value?: string } }
      | { readonly type: 'exception'; readonly exceptionDetails: { readonly text: string } };
    const script = `Promise.resolve(${expression}).then((value) => JSON.stringify(value))`;
    const evaluated = await this.#send<Evaluated>('script.evaluate', {
      expression: script,
      target: { context },
      awaitPromise: true,
      userActivation: true,
    });
    if (evaluated.type === 'exception') throw new Error(evaluated.exceptionDetails.text);
    return evaluated.result.value === undefined ? undefined : JSON.parse(evaluated.result.value);
  }

  #send<Result>(method: string, params: object): Promise<Result> {
    const id = (this.#commands += 1);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) =>
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject }),
    );
  }

  #take(answer: Answer): void {
    if ('method' in answer) {
      const { level, text, source } = answer.params as {
        level: string;
        text: string | null;
        source: { context?: string };
      };
      if (answer.method === 'log.entryAdded' && source.context)
        this.#logs.get(source.context)?.({ type: () => level, text: () => text ?? '' });
      return;
    }
    const waiting = this.#waiting.get(answer.id ?? -1);
    this.#waiting.delete(answer.id ?? -1);
    if (answer.error === undefined) waiting?.resolve(answer.result);
    else waiting?.reject(new Error(`${answer.error}: ${answer.message}`));
  }
}
