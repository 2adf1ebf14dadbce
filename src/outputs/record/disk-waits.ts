import { backoffMs } from '../../runtime/async.ts';

/** A disk that is full again and again must not be filled with short files. The first attempt does not wait. */
const RULES = { intervalMs: 10_000, capMs: 300_000 };

/** Streams whose recording waits for room on the disk. Pure; times are arguments, in milliseconds of a clock that does not step. */
export class DiskWaits {
  readonly #streams = new Map<string, { attempts: number; isWaiting: boolean; dueMs: number }>();

  /** The disk was full. @param random 0 to 1, for jitter */
  add(stream: string, nowMs: number, random = Math.random()): void {
    const attempts = this.#streams.get(stream)?.attempts ?? 0;
    const dueMs = attempts === 0 ? nowMs : nowMs + backoffMs(RULES, attempts - 1, random);
    this.#streams.set(stream, { attempts, isWaiting: true, dueMs });
  }

  /** The stream has ended, or is not to be recorded. */
  forget(stream: string): void {
    this.#streams.delete(stream);
  }

  /** The streams to try now, if there is room. */
  due(nowMs: number): string[] {
    return [...this.#streams].filter(([, { isWaiting, dueMs }]) => isWaiting && dueMs <= nowMs).map(([name]) => name);
  }

  tried(stream: string): void {
    const { attempts = 0, dueMs = 0 } = this.#streams.get(stream) ?? {};
    this.#streams.set(stream, { attempts: attempts + 1, isWaiting: false, dueMs });
  }
}
