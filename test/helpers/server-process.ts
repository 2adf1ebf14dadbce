import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isRefusedByBrowsers } from '../../src/config/browser-ports.ts';
import { childrenOf } from './processes.ts';

/** Milliseconds that a server may need to listen on a busy machine. */
const LISTEN_TIMEOUT = 60_000;
const POLL_INTERVAL = 10;
/** Milliseconds that a server may need to end before it is killed. */
const STOP_TIMEOUT = 10_000;

/** Below Linux's ephemeral ports (`net.ipv4.ip_local_port_range`), which outgoing connections could take first. */
const [LOWEST_PORT, LOWEST_MEDIA_PORT, END] = [10_000, 28_000, 32_000];

/**
 * Keeps other test processes from choosing the port before a server listens there. The kernel frees the name with this
 * process.
 */
const reserve = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const reservation = createServer().unref();
    reservation.once('error', () => resolve(false)).listen(`\0transponder-test-port-${port}`, () => resolve(true));
  });

/** A free port of 127.0.0.1 that browsers do not refuse, and that no other call returns, in any process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (LOWEST_MEDIA_PORT - LOWEST_PORT));
    if (isRefusedByBrowsers(port) || !(await reserve(port))) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) =>
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
    );
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** The first, even port of a range for media, which contains no {@link freePort}. Ranges of other tests may overlap with it. */
export const mediaPorts = (count: number): number =>
  LOWEST_MEDIA_PORT + 2 * Math.floor((Math.random() * (END - LOWEST_MEDIA_PORT - count)) / 2);

/** A server in a process of its own. It listens when `start()` returns, and ends with the test process at the latest. */
export class ServerProcess {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #port: number;
  readonly #transport: 'tcp' | 'udp';
  #child: ChildProcess | undefined;
  #output = '';

  constructor(command: string, args: readonly string[], port: number, transport: 'tcp' | 'udp' = 'tcp') {
    this.#command = command;
    this.#args = args;
    this.#port = port;
    this.#transport = transport;
  }

  get pid(): number {
    if (!this.#child?.pid) throw new Error(`${this.#command} is not running`);
    return this.#child.pid;
  }

  /** Its stdout and stderr so far. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    // The kernel ends it with this process, even if this process is killed without an `exit` event.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', this.#command, ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    const failed = new Promise<never>((_resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`${this.#command} ended (${code ?? signal}): ${this.#output}`)),
      );
    });
    failed.catch(() => {});
    await Promise.race([this.#listening(), failed]);
  }

  /** Read from the kernel: connecting would use up the one connection of `ffmpeg -listen 1`, and might reach another process. */
  async #listening(): Promise<void> {
    const port = this.#port.toString(16).toUpperCase().padStart(4, '0');
    // A TCP socket that listens, or a UDP socket that is not connected.
    const state = this.#transport === 'tcp' ? '0A' : '07';
    const wanted = new RegExp(`:${port} [0-9A-F]+:0000 ${state} (?:\\S+ +){5}(\\d+)`);
    const tables = [`/proc/net/${this.#transport}`, `/proc/net/${this.#transport}6`];
    for (const end = Date.now() + LISTEN_TIMEOUT; Date.now() < end; await delay(POLL_INTERVAL)) {
      const inodes = tables.map((table) => wanted.exec(readFileSync(table, 'utf8'))?.[1]);
      if (inodes.some((inode) => inode !== undefined && this.#holds(`socket:[${inode}]`))) return;
    }
    throw new Error(`${this.#command} does not listen on port ${this.#port}: ${this.#output}`);
  }

  /** The process or a child: kamailio leaves its TCP socket to one. */
  #holds(file: string): boolean {
    return [this.pid, ...childrenOf(this.pid).map(({ pid }) => pid)].some((pid) => {
      const folder = `/proc/${pid}/fd`;
      try {
        return readdirSync(folder).some((fd) => readlinkSync(`${folder}/${fd}`) === file);
      } catch {
        // A file descriptor was closed meanwhile, or the process has ended.
        return false;
      }
    });
  }

  /** Stops the process: connections stay open, but are not read. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Kills it; only the kernel closes its connections. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** `null`: it runs, or a signal has ended it. */
  get exitCode(): number | null {
    return this.#child?.exitCode ?? null;
  }

  /** Resolves when it has ended by itself. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    child.kill('SIGCONT');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
    await exited;
    clearTimeout(timer);
  }
}

/** An RTMP server that a test pushes to. */
export interface RtmpServer {
  /** `rtmp://127.0.0.1:PORT/live` */
  readonly rtmpUrl: string;
  readonly port: number;
  /** Folder of the recordings (FLV). */
  readonly recordDir: string;
  readonly pid: number;
  /** The server's output. */
  readonly output: string;
  freeze(): void;
  resume(): void;
  /** Kills the server and starts it on the same port. */
  restart(): Promise<void>;
  /** Kills the server; `restart()` starts it again. */
  kill(): Promise<void>;
  /** Stops the server and deletes its recordings. */
  stop(): Promise<void>;
}
