import { toGatewayError } from '../errors.ts';
import * as messages from './messages.ts';
import { encodeMessage, INFO } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { WcsSession } from './wcs-session.ts';

/** Snapshots that one page may wait for at the same time. They are taken one after the other. */
const MAX_WAITING = 4;

/**
 * The `snapshot` requests of one session. A snapshot is taken when the client has received the one before, so that one
 * is in memory.
 */
export class SessionSnapshots {
  readonly #session: WcsSession;
  readonly #outbox: Outbox;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(session: WcsSession, outbox: Outbox) {
    this.#session = session;
    this.#outbox = outbox;
  }

  request(argument: unknown): void {
    const request = messages.NamedStreamSchema.safeParse(argument);
    if (!request.success) return this.#session.logger.debug('malformed snapshot request ignored');
    const { mediaSessionId, name } = request.data;
    if (this.#waiting >= MAX_WAITING) return this.#fail(mediaSessionId, name, 'Too many snapshots at once');
    this.#waiting++;
    this.#last = this.#last
      .then(() => this.#take(mediaSessionId, name))
      .catch((error: unknown) => {
        this.#session.logger.warn({ err: error, streamName: name }, 'snapshot failed');
        this.#fail(mediaSessionId, name, INFO.failedByError);
      })
      .finally(() => this.#waiting--);
  }

  async #take(mediaSessionId: string, name: string): Promise<void> {
    if (!this.#outbox.isOpen) return;
    const { registry, takeSnapshot } = this.#session.context;
    try {
      await this.#session.authorize('play', { stream: name });
    } catch (error) {
      return this.#fail(mediaSessionId, name, toGatewayError(error).message);
    }
    const stream = registry.find(name);
    if (!stream?.publisher) return this.#fail(mediaSessionId, name, INFO.streamNotFound);
    if (!takeSnapshot) return this.#fail(mediaSessionId, name, 'Snapshots are not available');
    const snapshot = (await takeSnapshot(stream)).toString('base64');
    // Pages of SDK 2 wait for the event, older ones for the status.
    await this.#outbox.sendLarge(
      encodeMessage('notifyStreamEvent', { mediaSessionId, type: 'snapshotCompleted', payload: { snapshot } }),
    );
    await this.#outbox.sendLarge(
      encodeMessage('notifyStreamStatusEvent', {
        mediaSessionId,
        name,
        published: false,
        status: 'SNAPSHOT_COMPLETE',
        info: snapshot,
      }),
    );
  }

  #fail(mediaSessionId: string, name: string, info: string): void {
    this.#session.send('notifyStreamEvent', { mediaSessionId, type: 'snapshotFailed', payload: { info } });
    // Older pages wait for the status FAILED. It would end a stream with this id in the page, so running streams do not
    // get it.
    if (this.#session.hasStream(mediaSessionId)) return;
    this.#session.send('notifyStreamStatusEvent', { mediaSessionId, name, published: false, status: 'FAILED', info });
  }
}
