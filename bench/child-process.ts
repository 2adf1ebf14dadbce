import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** The requests that a child process of a benchmark answers, by name: each has one argument and one answer, both plain data. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the type of each is its function's
export type Requests = Record<string, (argument: any) => unknown>;

type Answer<Served extends Requests, Name extends keyof Served> = Awaited<ReturnType<Served[Name]>>;

/** The child's side: answers until the parent is gone. */
export function serve(requests: Requests): void {
  process.on('message', (message: { id: number; name: string; argument: unknown }) => {
    void (async () => {
      try {
        process.send?.({ id: message.id, value: await requests[message.name]!(message.argument) });
      } catch (error) {
        process.send?.({ id: message.id, error: error instanceof Error ? error.message : String(error) });
      }
    })();
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ id: 0, value: 'ready' });
}

/** A part of a benchmark in a process of its own, so that its CPU is not counted. */
export class BenchProcess<Served extends Requests> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #lastId = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`a process of the benchmark ended (${code ?? signal})`));
      this.#waiting.clear();
    });
  }

  static async start<Served extends Requests>(
    file: string,
    args: readonly string[] = [],
  ): Promise<BenchProcess<Served>> {
    const child = fork(new URL(file, import.meta.url), [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const started = new BenchProcess<Served>(child);
    await new Promise<unknown>((resolve, reject) => started.#waiting.set(0, { resolve, reject }));
    return started;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  ask<Name extends keyof Served & string>(
    name: Name,
    argument?: Parameters<Served[Name]>[0],
  ): Promise<Answer<Served, Name>> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, name, argument });
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}
