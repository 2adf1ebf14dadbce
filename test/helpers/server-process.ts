import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isRefusedByBrowsers } from '../../src/config/browser-ports.ts';

/** How long a server may take to listen on a busy machine, in ms. */
const LISTEN_TIMEOUT = 15_000;
const POLL_INTERVAL = 10;
/** How long a server may take to end by itself, in ms; then it is killed. */
const STOP_TIMEOUT = 3_000;

/** Below the ports from which Linux takes those of outgoing connections (`net.ipv4.ip_local_port_range`): one of these would be gone before it is used. */
const [LOWEST_PORT, PORTS] = [10_000, 22_000];

/** A port of 127.0.0.1 that was free a moment ago, and that browsers connect to. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    if (isRefusedByBrowsers(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) =>
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
    );
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** A server in a process of its own, listening when `start()` returns, and ended with the test process at the latest. */
export class ServerProcess {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #port: number;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(command: string, args: readonly string[], port: number) {
    this.#command = command;
    this.#args = args;
    this.#port = port;
  }

  get pid(): number {
    if (!this.#child?.pid) throw new Error(`${this.#command} is not running`);
    return this.#child.pid;
  }

  /** What it has printed so far, both outputs together. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    // The kernel ends it with us, also when we are killed and no `exit` is heard.
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

  /** Asked of the kernel: connecting would use up the one connection of a server such as `ffmpeg -listen 1`, and might reach another process. */
  async #listening(): Promise<void> {
    const wanted = new RegExp(
      `:${this.#port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 0A (?:\\S+ +){5}(\\d+)`,
    );
    for (const end = Date.now() + LISTEN_TIMEOUT; Date.now() < end; await delay(POLL_INTERVAL)) {
      const inodes = ['/proc/net/tcp', '/proc/net/tcp6'].map((table) => wanted.exec(readFileSync(table, 'utf8'))?.[1]);
      if (inodes.some((inode) => inode !== undefined && this.#holds(`socket:[${inode}]`))) return;
    }
    throw new Error(`${this.#command} does not listen on port ${this.#port}: ${this.#output}`);
  }

  #holds(file: string): boolean {
    const folder = `/proc/${this.pid}/fd`;
    try {
      return readdirSync(folder).some((fd) => readlinkSync(`${folder}/${fd}`) === file);
    } catch {
      // One of its files was closed meanwhile, or it has ended.
      return false;
    }
  }

  /** The process stands still: connections stay open, and nobody reads from them. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Ends it at once and without a word to its connections but the kernel's. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** When it has ended by itself. */
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
  /** Where recordings of what was published appear as FLV files. */
  readonly recordDir: string;
  readonly pid: number;
  /** What the server has printed. */
  readonly output: string;
  freeze(): void;
  resume(): void;
  /** Dies and comes back on the same port. */
  restart(): Promise<void>;
  /** Dies without a farewell; `restart()` brings it back. */
  kill(): Promise<void>;
  /** Ends it and deletes its recordings. */
  stop(): Promise<void>;
}
