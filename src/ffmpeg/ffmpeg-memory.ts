import { readFile } from 'node:fs/promises';
import { inBackground } from '../runtime/in-background.ts';

/** Milliseconds between two measurements of all processes. */
const INTERVAL_MS = 1000;
/** The unit of `/proc/PID/statm` on the platforms that mediasoup supports with prebuilt workers. */
const PAGE_BYTES = 4096;
const MB = 1024 * 1024;

/**
 * Watches the resident memory of child processes and ends those above a limit. Memory is measured and not limited by
 * the kernel: an address-space limit counts the stacks of ffmpeg's threads, which are reserved and not used. Where
 * there is no /proc, nothing is watched.
 */
export class MemoryWatch {
  /** Bytes; 0: no limit. */
  #limit = 0;
  readonly #processes = new Map<number, (reason: string) => void>();
  #timer: NodeJS.Timeout | undefined;
  readonly #residentBytes: (pid: number) => Promise<number>;

  constructor(residentBytes = readResidentBytes) {
    this.#residentBytes = residentBytes;
  }

  /** @param megabytes for each process; 0: no limit */
  setLimit(megabytes: number): void {
    this.#limit = megabytes * MB;
  }

  /**
   * Watches a process until the returned function is called.
   *
   * @param exceeded called once, with the reason, when the process uses more memory than allowed
   */
  add(pid: number, exceeded: (reason: string) => void): () => void {
    this.#processes.set(pid, exceeded);
    if (!this.#timer) {
      this.#timer = setInterval(() => inBackground(this.measure()), INTERVAL_MS);
      this.#timer.unref();
    }
    return () => this.#remove(pid);
  }

  /** Measures all processes once. */
  async measure(): Promise<void> {
    if (this.#limit === 0) return;
    await Promise.all(
      [...this.#processes].map(async ([pid, exceeded]) => {
        const bytes = await this.#residentBytes(pid).catch(() => 0); // it has ended, or there is no /proc
        if (bytes <= this.#limit || this.#processes.get(pid) !== exceeded) return;
        this.#remove(pid);
        exceeded(
          `it used ${Math.round(bytes / MB)} MB of memory, and ${this.#limit / MB} MB are allowed (max_encoder_memory_mb)`,
        );
      }),
    );
  }

  #remove(pid: number): void {
    this.#processes.delete(pid);
    if (this.#processes.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

async function readResidentBytes(pid: number): Promise<number> {
  const [, resident] = (await readFile(`/proc/${pid}/statm`, 'latin1')).split(' ');
  return Number(resident) * PAGE_BYTES;
}

/** Watches every ffmpeg of the process. */
export const ffmpegMemory = new MemoryWatch();
