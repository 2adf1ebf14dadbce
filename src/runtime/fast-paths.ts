import type { Logger } from '../observe/logger.ts';

/**
 * What relies on undocumented behaviour of Node or mediasoup; each has one file in this folder and a fallback to the
 * public API.
 */
export const FAST_PATHS = {
  /** `young-generation.ts`: a V8 flag. */
  young_generation: 'V8 sizes the young generation itself',
  /** `spawn-capture.ts`: the pipe of a mediasoup worker. */
  worker_pipe: 'packets arrive as events of mediasoup',
  /** `worker-channel.ts`: mediasoup's message format. */
  worker_channel: 'packets arrive as events of mediasoup',
  /** `pipe.ts`: reads without Node's streams, in batches. */
  pipe_reads: 'the pipe is read through its stream, without batching',
} as const;

export type FastPathName = keyof typeof FAST_PATHS;

/** Which fast paths are in use. A fallback is one warning in the log; the start line and a metric show the state. */
export class FastPaths {
  /** The setting `fast_paths`. */
  readonly enabled: boolean;
  readonly #logger: Logger;
  readonly #active = new Map<FastPathName, boolean>();

  constructor({ enabled, logger }: { enabled: boolean; logger: Logger }) {
    this.enabled = enabled;
    this.#logger = logger;
  }

  /** 1 or 0 for each path, for a metric; one that has not been tried yet is 0. */
  get states(): ReadonlyMap<FastPathName, boolean> {
    return new Map(
      Object.keys(FAST_PATHS).map((name) => [name as FastPathName, this.#active.get(name as FastPathName) ?? false]),
    );
  }

  /** The paths in use. */
  get active(): FastPathName[] {
    return [...this.states].filter(([, active]) => active).map(([name]) => name);
  }

  /** Records that the path passed its check and is in use. */
  activate(name: FastPathName): void {
    if (this.#active.get(name) === true) return;
    this.#active.set(name, true);
    this.#logger.debug({ fastPath: name }, 'fast path in use');
  }

  /** Records that the path failed its check, at start or later, and that its fallback is in use. */
  fallBack(name: FastPathName, reason: string): void {
    if (this.#active.get(name) === false) return;
    this.#active.set(name, false);
    this.#logger.warn({ fastPath: name, reason, fallback: FAST_PATHS[name] }, 'fast path unavailable');
  }
}
