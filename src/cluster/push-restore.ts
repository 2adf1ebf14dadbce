import { toGatewayError, type GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { hasStandby } from '../outputs/push/record/push-record.ts';
import type { StoredPush, StoredPushes } from './stored-pushes.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface PushRestoreOptions {
  readonly stored: Pick<StoredPushes, 'read' | 'replace' | 'owns'>;
  /** Starts a push that this node does not have yet, under its id or another one. */
  readonly start: (push: StoredPush) => Promise<{ readonly mediaSessionId: string }>;
  /** Shows a push that cannot be started here in the list of ended ones. */
  readonly refuse: (push: StoredPush, reason: GatewayError) => void;
  readonly logger: Logger;
}

/**
 * Starts the stored pushes of a stream whose publisher comes back to this node because its earlier one is gone. What
 * Redis does not answer is read again with the next heartbeats.
 */
export class PushRestore {
  readonly #options: PushRestoreOptions;
  /** Streams whose stored pushes have not been read, and who may continue them. */
  readonly #waiting = new Map<string, string | undefined>();
  #restored = 0;

  constructor(options: PushRestoreOptions) {
    this.#options = options;
  }

  /** Pushes that were started again. */
  get restored(): number {
    return this.#restored;
  }

  /** @param resumeKey of the publisher: only the one who published the stream before gets its pushes back */
  streamStarted(stream: string, resumeKey: string | undefined): void {
    this.#waiting.set(stream, resumeKey);
    inBackground(this.#restore(stream));
  }

  streamEnded(stream: string): void {
    this.#waiting.delete(stream);
  }

  /** To be called once a second. */
  async retry(): Promise<void> {
    await Promise.all([...this.#waiting.keys()].map((stream) => this.#restore(stream)));
  }

  async #restore(stream: string): Promise<void> {
    const { stored, logger } = this.#options;
    let pushes;
    try {
      pushes = await stored.read(stream);
    } catch {
      return; // Redis is away.
    }
    if (!this.#waiting.has(stream)) return;
    const resumeKey = this.#waiting.get(stream);
    this.#waiting.delete(stream);
    for (const push of pushes) {
      if (stored.owns(push.id)) continue;
      if (push.resumeKey !== resumeKey && !hasStandby(push)) {
        logger.info({ streamName: stream, mediaSessionId: push.id }, 'a stored push belongs to another publisher');
        stored.replace(push, undefined);
        continue;
      }
      await this.#start(push);
    }
  }

  async #start(push: StoredPush): Promise<void> {
    const { stored, start, logger } = this.#options;
    const about = { streamName: push.order.streamName, mediaSessionId: push.id };
    try {
      const { mediaSessionId } = await start(push);
      this.#restored++;
      logger.info({ ...about, startedAs: mediaSessionId }, 'push started again on this node');
      stored.replace(push, mediaSessionId);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      // This node has taken it over at the same time.
      if (stored.owns(push.id)) return;
      // The publisher has asked for the same push, or it cannot be started here.
      if (error.code !== 'TRANSPONDER_EXISTS') {
        this.#options.refuse(push, error);
        logger.warn({ ...about, code: error.code, reason: error.message }, 'push not started again on this node');
      }
      stored.replace(push, undefined);
    }
  }
}
