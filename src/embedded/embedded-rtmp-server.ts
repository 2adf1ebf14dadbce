import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { EmbeddedRtmpMessage } from './embedded-rtmp-main.ts';

const MAIN = fileURLToPath(new URL('./embedded-rtmp-main.ts', import.meta.url));
/** Milliseconds that a start may take. Loading the library takes about half a second on a slow machine. */
const START_TIMEOUT = 15_000;
/** Milliseconds from asking the process to end until it is killed. */
const STOP_TIMEOUT = 2000;
/** Milliseconds before the first restart, doubled with each death up to the cap. */
const RESTART_DELAY = 500;
const RESTART_DELAY_CAP = 30_000;
/** Milliseconds of running after which the restart delay starts again from its minimum. */
const STEADY_AFTER = 60_000;
/** Characters of the end of the process's stderr that are kept for the log. */
const STDERR_TAIL = 2000;

export interface EmbeddedRtmpServerOptions {
  /** TCP port of RTMP, on 127.0.0.1. */
  readonly rtmpPort: number;
  /** TCP port of HTTP-FLV playback, on 127.0.0.1. */
  readonly httpFlvPort: number;
  readonly logger: Logger;
}

export interface EmbeddedRtmpServerEvents {
  /** The process has ended unexpectedly. It is restarted after a delay. */
  died: [];
  /** The process runs again. */
  restarted: [];
}

/**
 * A small RTMP server to push to and to play from, for trying the gateway without an account elsewhere. It listens on
 * loopback only. It runs in a process of its own, because node-media-server exists once per process and an error in it
 * must not end the gateway.
 */
export class EmbeddedRtmpServer extends EventEmitter<EmbeddedRtmpServerEvents> {
  readonly httpFlvPort: number;
  readonly rtmpPort: number;
  readonly #logger: Logger;
  #process: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #deaths = 0;
  #closing: Promise<void> | undefined;

  /**
   * Starts the server and waits until both ports accept connections.
   *
   * @throws {GatewayError} SETTINGS_INVALID if a port cannot be opened, SETUP_INCOMPLETE if the process does not start
   */
  static async create(options: EmbeddedRtmpServerOptions): Promise<EmbeddedRtmpServer> {
    const server = new EmbeddedRtmpServer(options);
    await server.#start();
    return server;
  }

  private constructor(options: EmbeddedRtmpServerOptions) {
    super();
    this.rtmpPort = options.rtmpPort;
    this.httpFlvPort = options.httpFlvPort;
    this.#logger = options.logger;
  }

  /** The `rtmpUrl` for `/push/startup`. */
  get rtmpUrl(): string {
    return `rtmp://127.0.0.1:${this.rtmpPort}/live`;
  }

  /** The process id; undefined between a death and the restart, and after the end. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Ends the process and waits for its exit. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #start(): Promise<void> {
    // The process needs neither the gateway's environment nor its other Node options. The library's stdout is not used.
    const child = fork(MAIN, [String(this.rtmpPort), String(this.httpFlvPort)], {
      env: {},
      execArgv: typeStripping(process.execArgv),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process = child;
    let stderrTail = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderrTail = (stderrTail + text).slice(-STDERR_TAIL);
    });
    try {
      await this.#listening(child, () => stderrTail);
    } catch (error) {
      await stop(child);
      this.#process = undefined;
      throw error;
    }
    const startedAt = performance.now();
    child.removeAllListeners('message');
    child.once('exit', (code, signal) => this.#died(performance.now() - startedAt, { code, signal, stderrTail }));
    this.#logger.info({ rtmp: this.rtmpUrl, httpFlvPort: this.httpFlvPort }, 'embedded RTMP server is listening');
  }

  #listening(child: ChildProcess, stderrTail: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (what: string): void =>
        settle(
          new GatewayError(
            'SETUP_INCOMPLETE',
            `The embedded RTMP server did not start: ${what}. Set embedded_rtmp_server=false to run without it.`,
          ),
        );
      const timer = setTimeout(() => fail(`no answer within ${START_TIMEOUT / 1000} s`), START_TIMEOUT);
      const exited = (code: number | null): void => fail(stderrTail().trim() || `it ended with code ${code}`);
      const failed = (error: Error): void => fail(error.message);
      const settle = (error?: GatewayError): void => {
        clearTimeout(timer);
        child.off('exit', exited).off('error', failed);
        if (error) reject(error);
        else resolve();
      };
      child.once('exit', exited);
      child.once('error', failed);
      child.on('message', (message: EmbeddedRtmpMessage) =>
        settle(message.type === 'failed' ? this.#portError(message) : undefined),
      );
    });
  }

  #portError({ server, code }: Extract<EmbeddedRtmpMessage, { type: 'failed' }>): GatewayError {
    const [setting, port] =
      server === 'rtmp' ? ['embedded_rtmp_port', this.rtmpPort] : ['embedded_http_flv_port', this.httpFlvPort];
    const why =
      code === 'EADDRINUSE'
        ? 'is already in use'
        : code === 'EACCES'
          ? 'cannot be opened: this user lacks the permission'
          : `cannot be opened (${code})`;
    return new GatewayError(
      'SETTINGS_INVALID',
      `${setting}: port ${port} on 127.0.0.1 ${why}. Stop the program that uses it, set ${setting} to a free ` +
        'port, or set embedded_rtmp_server=false.',
    );
  }

  #died(ranMs: number, detail: { code: number | null; signal: string | null; stderrTail: string }): void {
    this.#process = undefined;
    if (this.#closing) return;
    this.#deaths = ranMs >= STEADY_AFTER ? 1 : this.#deaths + 1;
    this.#logger.error(detail, 'embedded RTMP server died');
    this.emit('died');
    this.#restartLater();
  }

  #restartLater(): void {
    const delay = Math.min(RESTART_DELAY * 2 ** (this.#deaths - 1), RESTART_DELAY_CAP);
    this.#restart = setTimeout(() => {
      this.#start().then(
        () => this.emit('restarted'),
        (error: unknown) => {
          if (this.#closing) return;
          this.#deaths += 1;
          this.#logger.error({ err: error }, 'embedded RTMP server could not be restarted');
          this.#restartLater();
        },
      );
    }, delay);
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#restart);
    if (this.#process) await stop(this.#process);
    this.#process = undefined;
  }
}

/** Closing the channel asks the process to end. If it does not end in time it is killed. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exit = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(timer);
}

/** The options that let Node run TypeScript below node_modules, where the gateway is installed as a package. */
const typeStripping = (options: readonly string[]): string[] =>
  options.filter((option, index) => [option, options[index + 1]].some((each) => each?.endsWith('/strip-types.mjs')));
