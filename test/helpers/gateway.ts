import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SettingKey } from '../../src/config/schema.ts';
import type { TransponderView } from '../../src/views/push-view.ts';
import { mediaWorkerEnv } from './media-worker.ts';
import { childrenOf, cpuTime, processesMarked, threadsOf, type ProcessInfo, type ProcessRole } from './processes.ts';
import { freePort } from './server-process.ts';
import { waitFor } from './wait.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

/** Node options for a gateway that answers a message with its memory use after a garbage collection. */
const COLLECTABLE = ['--expose-gc', '--import', new URL('collect-garbage.ts', import.meta.url).href];
/** Node options for a gateway whose main thread a message makes slower. */
const SLOWABLE = ['--import', new URL('slow-down.ts', import.meta.url).href];

/** Milliseconds that the gateway may need to start on a busy machine, and to end. */
const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 30_000;
const COLLECTION_TIMEOUT = 30_000;
const OUTPUT_TIMEOUT = 1000;

export interface RestAnswer {
  readonly status: number;
  /** The parsed JSON, or `undefined` if the body is empty or not JSON. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests read answers of every shape
  readonly body: any;
  readonly text: string;
}

export interface TestGateway {
  readonly pid: number;
  readonly ports: { readonly ws: number; readonly http: number; readonly rtc: number };
  /** `urlServer` for `Flashphoner.createSession({ urlServer })`. */
  readonly wsUrl: string;
  readonly httpUrl: string;
  /** Requests below `/rest-api`; by default POST with a JSON body. */
  rest(path: string, body?: unknown, method?: string): Promise<RestAnswer>;
  /** Requests any path of the HTTP server. */
  http(path: string, init?: RequestInit): Promise<RestAnswer>;
  /** Starts a push and returns the transponder; throws if the answer is not 200. */
  startPush(request: Record<string, unknown>): Promise<TransponderView>;
  /** The transponder from `/push/find`, or `undefined` if it has ended. */
  transponder(mediaSessionId: string): Promise<TransponderView | undefined>;
  /** Waits until the transponder has the status. */
  reached(mediaSessionId: string, status: string, timeout?: number): Promise<TransponderView>;
  /** Waits until the transponder is gone from `find`, and returns it from the list of ended ones. */
  ended(mediaSessionId: string, timeout?: number): Promise<TransponderView>;
  /** Everything written to stdout and stderr so far. */
  logs(): string;
  children(role?: ProcessRole): ProcessInfo[];
  /** Processor time of the gateway and of each running child, in milliseconds. */
  cpu(): { readonly gateway: number; readonly children: number };
  /** Resolves with the exit code when the process has ended, for any reason. */
  readonly exited: Promise<number | null>;
  /**
   * Collects the garbage of the gateway's heap and returns what is left.
   * @throws {Error} if it was not started `collectable`
   */
  collectGarbage(): Promise<NodeJS.MemoryUsage>;
  /**
   * Makes the main thread slower: `factor` milliseconds are lost for each one of work. 0: back to normal.
   * @throws {Error} if it was not started `slowable`
   */
  slowDown(factor: number): void;
  /** Ends the gateway with SIGTERM. Throws if it does not end by itself, failed before, or leaves a process behind. Idempotent. */
  stop(): Promise<void>;
}

export type SettingsOverrides = Partial<Record<SettingKey, string | number | boolean>>;

export interface GatewayOptions {
  /** Allow garbage collections on request; otherwise the gateway is started as usual. */
  readonly collectable?: boolean;
  /** Allow {@link TestGateway.slowDown}; not together with `collectable`. */
  readonly slowable?: boolean;
  /** Environment variables in addition to those of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** The source tree that is run; this one by default. */
  readonly root?: string;
}

/** Starts the real gateway on free loopback ports and waits until `/health/ready` says that it serves. */
export async function startGateway(
  overrides: SettingsOverrides = {},
  { collectable = false, slowable = false, env = {}, root = ROOT }: GatewayOptions = {},
): Promise<TestGateway> {
  const portOf = async (key: 'ws.port' | 'http.port' | 'rtc_port'): Promise<number> =>
    Number(overrides[key] ?? (await freePort()));
  const ports = { ws: await portOf('ws.port'), http: await portOf('http.port'), rtc: await portOf('rtc_port') };
  const settings: SettingsOverrides = {
    'ws.port': ports.ws,
    'http.port': ports.http,
    rtc_port: ports.rtc,
    ip_local: '127.0.0.1',
    embedded_rtmp_server: false,
    destination_allow_networks: '127.0.0.0/8',
    log_format: 'json',
    log_level: 'debug',
    ...overrides,
  };
  const folder = await mkdtemp(join(tmpdir(), 'gateway-'));
  const file = join(folder, 'gateway.properties');
  await writeFile(
    file,
    Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );

  // Every process that the gateway starts inherits the marker, so a leaked one is found even if its parent has changed.
  const marker = randomUUID();
  const child = spawn(
    process.execPath,
    [...(collectable ? COLLECTABLE : slowable ? SLOWABLE : []), join(root, 'src/main.ts'), '--config', file],
    {
      cwd: root,
      env: { ...process.env, ...mediaWorkerEnv(), ...env, GATEWAY_TEST_MARKER: marker },
      stdio: ['ignore', 'pipe', 'pipe', ...(collectable || slowable ? (['ipc'] as const) : [])],
    },
  );
  let logs = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (logs += chunk));
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (logs += chunk));
  const closed = once(child, 'close').catch(() => undefined);
  const exited = once(child, 'exit').then(async ([code]) => {
    // Its last lines may be read after its end. Pipes that another process keeps open are not awaited.
    await Promise.race([closed, delay(OUTPUT_TIMEOUT, undefined, { ref: false })]);
    return code as number | null;
  });
  // An aborted test must not leave a gateway behind.
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);

  const httpUrl = `http://127.0.0.1:${ports.http}`;
  const http = async (path: string, init?: RequestInit): Promise<RestAnswer> => {
    // No keep-alive: an idle connection would look like a leaked file descriptor.
    const headers = { connection: 'close', ...(init?.headers as Record<string, string> | undefined) };
    const response = await fetch(httpUrl + path, { signal: AbortSignal.timeout(30_000), ...init, headers });
    const text = await response.text();
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      // Empty or text.
    }
    return { status: response.status, body, text };
  };
  const rest = (path: string, body?: unknown, method = 'POST'): Promise<RestAnswer> =>
    http(`/rest-api${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  const transponder = async (mediaSessionId: string): Promise<TransponderView | undefined> => {
    const answer = await rest('/push/find', { mediaSessionId });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`find answered ${answer.status}: ${answer.text}`);
    return answer.body[0];
  };

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    process.removeListener('exit', killAtExit);
    child.kill('SIGTERM');
    const code = await Promise.race([
      exited,
      new Promise<'timeout'>((resolve) => setTimeout(resolve, STOP_TIMEOUT, 'timeout').unref()),
    ]);
    const threads = code === 'timeout' ? threadsOf(child.pid!) : [];
    if (code === 'timeout') child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
    if (code === 'timeout')
      throw new Error(
        `the gateway did not end within ${STOP_TIMEOUT} ms of SIGTERM:\n${logs.slice(-4000)}\n${threads.join('\n')}`,
      );
    // It may have died long before; the test then only reported that there was no answer.
    if (code !== 0) throw new Error(`the gateway ended with code ${code}:\n${logs.slice(-4000)}`);
    // Children end a moment after their parent; none may remain.
    await waitFor('the processes of the gateway to be gone', () => processesMarked(marker).length === 0, {
      timeout: 10_000,
    }).catch(() => {
      const left = processesMarked(marker);
      for (const pid of left) process.kill(pid, 'SIGKILL');
      throw new Error(`the gateway left ${left.length} process(es) behind`);
    });
  };

  const gateway: TestGateway = {
    pid: child.pid!,
    ports,
    wsUrl: `ws://127.0.0.1:${ports.ws}`,
    httpUrl,
    http,
    rest,
    async startPush(request) {
      const answer = await rest('/push/startup', request);
      if (answer.status !== 200) throw new Error(`startup answered ${answer.status}: ${answer.text}`);
      return answer.body;
    },
    transponder,
    reached: (mediaSessionId, status, timeout) =>
      waitFor(
        `transponder ${status}`,
        async () => {
          const view = await transponder(mediaSessionId);
          if (view?.status === status) return view;
          throw new Error(view ? `${view.status}: ${view.reason}` : 'ended');
        },
        { timeout },
      ),
    ended: (mediaSessionId, timeout) =>
      waitFor(
        'the end of a transponder',
        async () => {
          const view = await transponder(mediaSessionId);
          if (view) throw new Error(`${view.status}: ${view.reason}`);
          const history = await http('/api/v1/transponders?ended=true');
          return (history.body as TransponderView[]).find((ended) => ended.mediaSessionId === mediaSessionId);
        },
        { timeout },
      ),
    logs: () => logs,
    children: (role) => childrenOf(child.pid!).filter((info) => !role || info.role === role),
    cpu: () => ({
      gateway: cpuTime(child.pid!),
      children: childrenOf(child.pid!).reduce((sum, info) => sum + cpuTime(info.pid), 0),
    }),
    async collectGarbage() {
      if (!collectable) throw new Error('this gateway was not started with { collectable: true }');
      const collected = once(child, 'message', { signal: AbortSignal.timeout(COLLECTION_TIMEOUT) });
      child.send('collect');
      return (await collected)[0] as NodeJS.MemoryUsage;
    },
    slowDown(factor) {
      if (!slowable) throw new Error('this gateway was not started with { slowable: true }');
      child.send({ slowDown: factor });
    },
    exited,
    stop: () => (stopping ??= stop()),
  };

  try {
    await Promise.race([
      // Version 0.1.0, with which bench compares, has no such path.
      waitFor('the gateway to serve', async () => [200, 404].includes((await http('/health/ready')).status), {
        timeout: START_TIMEOUT,
      }),
      exited.then((code) => {
        throw new Error(`the gateway ended with code ${code}`);
      }),
    ]);
  } catch (error) {
    await stop().catch(() => undefined);
    throw new Error(`${(error as Error).message}\n${logs.slice(-4000)}`, { cause: error });
  }
  return gateway;
}
