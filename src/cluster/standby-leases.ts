import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Directory, StreamLease } from '../streams/directory.ts';

export interface StandbyLeasesOptions {
  readonly directory: Pick<Directory, 'claim'>;
  /** Ends a push whose stream name another node owns now. */
  readonly end: (mediaSessionId: string, reason: GatewayError) => Promise<void>;
  readonly logger: Logger;
}

/**
 * The names of streams whose pushes outlive their publisher: the node that pushes in standby keeps the name, so that the
 * publisher comes back to it and no other node pushes to the same destination.
 */
export class StandbyLeases {
  readonly #options: StandbyLeasesOptions;
  readonly #leases = new Map<string, StreamLease>();

  constructor(options: StandbyLeasesOptions) {
    this.#options = options;
  }

  /**
   * Starts a push that holds the name of its stream until {@link ended}.
   *
   * @throws {GatewayError} STREAM_NAME_IN_USE if another node owns the name, CLUSTER_UNAVAILABLE, and what `start` throws
   */
  async start<T extends { readonly mediaSessionId: string }>(stream: string, start: () => Promise<T>): Promise<T> {
    const lease = await this.#options.directory.claim(stream);
    try {
      const view = await start();
      this.#leases.set(view.mediaSessionId, lease);
      this.#watch(view.mediaSessionId, lease);
      return view;
    } catch (error) {
      lease.release();
      throw error;
    }
  }

  ended(mediaSessionId: string): void {
    this.#leases.get(mediaSessionId)?.release();
    this.#leases.delete(mediaSessionId);
  }

  #watch(mediaSessionId: string, { lost }: StreamLease): void {
    const onLost = (): void => {
      const reason =
        lost.reason instanceof GatewayError
          ? lost.reason
          : new GatewayError('STREAM_NAME_IN_USE', 'Another node owns the name of the stream.');
      this.#options
        .end(mediaSessionId, reason)
        .catch((error: unknown) => this.#options.logger.error({ err: error }, 'a push could not be ended'));
    };
    if (lost.aborted) onLost();
    else lost.addEventListener('abort', onLost, { once: true });
  }
}
