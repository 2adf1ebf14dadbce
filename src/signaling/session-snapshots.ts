import { toGatewayError } from '../errors.ts';
import * as messages from './messages.ts';
import { encodeMessage, INFO } from './messages.ts';
import type { ClientLink } from './client-link.ts';
import type { WcsSession } from './wcs-session.ts';
import { SerialWork } from '../runtime/async.ts';

/** Snapshots that one page may wait for at the same time. They are taken one after the other. */
const MAX_WAITING = 4;

/**
 * The `snapshot` requests of one session. A snapshot is taken when the client has received the one before, so that one
 * is in memory.
 */
export class SessionSnapshots {
  readonly #session: WcsSession;
  readonly #link: ClientLink;
  readonly #requests = new SerialWork();

  constructor(session: WcsSession, link: ClientLink) {
    this.#session = session;
    this.#link = link;
  }

  request(argument: unknown): void {
    const request = messages.NamedStreamSchema.safeParse(argument);
    if (!request.success) return this.#session.logger.debug('malformed snapshot request ignored');
    const { mediaSessionId, name } = request.data;
    if (this.#requests.size >= MAX_WAITING) return this.#fail(mediaSessionId, name, 'Too many snapshots at once');
    this.#requests
      .run(() => this.#take(mediaSessionId, name))
      .catch((error: unknown) => {
        this.#session.logger.warn({ err: error, streamName: name }, 'snapshot failed');
        this.#fail(mediaSessionId, name, INFO.failedByError);
      });
  }

  async #take(mediaSessionId: string, name: string): Promise<void> {
    if (!this.#link.isOpen) return;
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
    await this.#link.sendLarge(
      encodeMessage('notifyStreamEvent', { mediaSessionId, type: 'snapshotCompleted', payload: { snapshot } }),
    );
    await this.#link.sendLarge(
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
