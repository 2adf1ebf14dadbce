import { endsPublish, PUBLISH_STARTED, refusalOf, statusOf } from './refusals.ts';
import type { RtmpCommand, RtmpConnection } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';
import type { Redact } from './server-words.ts';

/**
 * Hears what a server says against a publish. Listens from the first command on, and not only when the publish has begun: a server says so in
 * answer to `FCPublish`, or in one packet with `NetStream.Publish.Start`.
 */
export class RefusalWatch {
  readonly #redact: Redact;
  /** The publish has begun; whatever ends one now ends this one. */
  #started = false;
  /** What may have been said of something else, such as `releaseStream`. */
  #objection: RtmpError | undefined;

  constructor(redact: Redact) {
    this.#redact = redact;
  }

  /** Cuts the connection when the server says that it is over. Of several connections the last one counts. */
  listen(connection: RtmpConnection): void {
    this.#objection = undefined;
    connection.on('command', (command) => {
      const end = this.#hear(command);
      if (end) connection.abort(end);
    });
  }

  /** Why an attempt has failed: a connection that was closed after words was closed because of them. */
  explain(error: unknown): unknown {
    return error instanceof RtmpError && error.code === 'lost' ? (this.#objection ?? error) : error;
  }

  #hear({ name, values }: RtmpCommand): RtmpError | undefined {
    if (name === 'close') return new RtmpError('lost', 'The server ended the connection');
    if (name !== 'onStatus') return undefined;
    const status = statusOf(values);
    if (status.code === PUBLISH_STARTED) {
      this.#started = true;
      this.#objection = undefined;
    }
    if (!endsPublish(status)) return undefined;
    const refusal = refusalOf(this.#started ? 'to go on' : 'the publish', status, this.#redact);
    if (this.#started || refusal.final) return refusal;
    this.#objection = refusal;
    return undefined;
  }
}
