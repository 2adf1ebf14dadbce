import { meaningOf, PUBLISH_STARTED, refusalOf, statusOf } from './refusals.ts';
import type { RtmpCommand, RtmpConnection } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';
import type { Redact } from './server-words.ts';

/** How long an objection may explain what follows, in milliseconds: as long as it takes to find a server that hangs. */
const OBJECTION_MS = 60_000;
/** The message stream of the connection itself. */
const CONTROL_STREAM = 0;

/**
 * Notices when a server refuses or ends a publish. Listens from the first command on: a server may refuse in the answer
 * to `FCPublish`, or in the same packet as `NetStream.Publish.Start`.
 */
export class RefusalWatch {
  readonly #redact: Redact;
  /** The publish has begun: a status that ends a publish now refers to it. */
  #started = false;
  /** The message streams of the publish, as the client and the server call it. */
  readonly #streams = new Set([CONTROL_STREAM]);
  /** A refusal that may refer to something else, such as `releaseStream` or an earlier connection. */
  #objection: { readonly error: RtmpError; readonly ms: number } | undefined;

  constructor(redact: Redact) {
    this.#redact = redact;
  }

  /** What the server has objected to a moment ago. */
  get objection(): RtmpError | undefined {
    const latest = this.#objection;
    return latest && performance.now() - latest.ms < OBJECTION_MS ? latest.error : undefined;
  }

  /** Closes the connection when the server ends the publish. Of several connections the last one counts. */
  listen(connection: RtmpConnection): void {
    this.#objection = undefined;
    connection.on('command', (command) => {
      const end = this.#hear(command);
      if (end) connection.abort(end);
    });
  }

  /** The message stream on which the stream is published. */
  publishes(streamId: number): void {
    this.#streams.add(streamId);
  }

  /** Why an attempt has failed: when a server sends a refusal and closes the connection, the refusal is the reason. */
  explain<Reason>(error: Reason): Reason | RtmpError {
    return error instanceof RtmpError && error.code === 'lost' ? (this.objection ?? error) : error;
  }

  #hear({ name, values, streamId }: RtmpCommand): RtmpError | undefined {
    if (name === 'close') return new RtmpError('lost', 'The server ended the connection');
    if (name !== 'onStatus') return undefined;
    const status = statusOf(values);
    if (status.code === PUBLISH_STARTED) {
      this.#started = true;
      this.#streams.add(streamId);
      this.#objection = undefined;
    }
    const meaning = this.#started && !this.#streams.has(streamId) ? undefined : meaningOf(status);
    if (!meaning) return undefined;
    const refusal = refusalOf(this.#started ? 'to go on' : 'the publish', status, this.#redact);
    if (meaning === 'end' && (this.#started || refusal.final)) return refusal;
    this.#objection = { error: refusal, ms: performance.now() };
    return undefined;
  }
}
