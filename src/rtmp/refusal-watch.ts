import { endsPublish, PUBLISH_STARTED, refusalOf, statusOf } from './refusals.ts';
import type { RtmpCommand, RtmpConnection } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';
import type { Redact } from './server-words.ts';

/**
 * Notices when a server refuses or ends a publish. Listens from the first command on: a server may refuse in the answer
 * to `FCPublish`, or in the same packet as `NetStream.Publish.Start`.
 */
export class RefusalWatch {
  readonly #redact: Redact;
  /** The publish has begun: a status that ends a publish now refers to it. */
  #started = false;
  /** A refusal that may refer to something else, such as `releaseStream`. */
  #objection: RtmpError | undefined;

  constructor(redact: Redact) {
    this.#redact = redact;
  }

  /** Closes the connection when the server ends the publish. Of several connections the last one counts. */
  listen(connection: RtmpConnection): void {
    this.#objection = undefined;
    connection.on('command', (command) => {
      const end = this.#hear(command);
      if (end) connection.abort(end);
    });
  }

  /** Why an attempt has failed: when a server sends a refusal and closes the connection, the refusal is the reason. */
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
