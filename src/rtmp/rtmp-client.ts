import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { announcedCodecs, mayOffend, NO_EXTRAS, RECONNECT_ONLY } from './connect-extras.ts';
import type { ConnectExtras, ServerCodecs } from './connect-extras.ts';
import { mediaChunks, type MediaChunks, type MediaGroup } from './media-chunks.ts';
import { ReconnectWatch, type ReconnectRequest } from './reconnect-watch.ts';
import { RefusalWatch } from './refusal-watch.ts';
import { endsPublish, PUBLISH_STARTED, refusalOf, statusOf } from './refusals.ts';
import type { ServerStatus } from './refusals.ts';
import { appendQuery, parseAuthRequest, responseQuery, userQuery } from './rtmp-auth.ts';
import { RtmpConnection } from './rtmp-connection.ts';
import type { RtmpCommand } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';
import { createRedact } from './server-words.ts';
import type { Redact } from './server-words.ts';
import { openTransport } from './transport.ts';
import type { TransportOptions, TransportTimeouts } from './transport.ts';

/**
 * Milliseconds for each step. The number of steps is fixed, so that the time for a server that sends byte by byte is
 * bounded.
 */
export interface RtmpTimeouts extends TransportTimeouts {
  readonly handshake: number;
  /** Milliseconds for the answer to each command. */
  readonly command: number;
}

/**
 * Ten seconds each: the slowest answers of large platforms take two to three seconds, a lost packet costs one more, and
 * a user who waits for the reason of a failure should have it within half a minute.
 */
export const DEFAULT_TIMEOUTS: RtmpTimeouts = { tcp: 10_000, tls: 10_000, handshake: 10_000, command: 10_000 };

/**
 * Bytes in a chunk: the most that Flash Media Server accepts. All but the largest key frames then fit into one chunk.
 */
const DEFAULT_OUT_CHUNK_SIZE = 65_536;

export interface RtmpClientOptions extends TransportOptions {
  /** As `connect` sends it, query included, byte for byte. */
  readonly app: string;
  /** As `publish` sends it, query included, byte for byte. */
  readonly streamName: string;
  readonly tcUrl: string;
  readonly flashVersion: string;
  /** For servers that ask for authentication; not sent before. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly chunkSize?: number | undefined;
  /** Default: {@link RECONNECT_ONLY}. A server that fails on more than that is asked once more without any. */
  readonly extras?: ConnectExtras | undefined;
  readonly timeouts?: RtmpTimeouts | undefined;
  /** Called for each message of the server that cannot be decoded. */
  readonly onUndecodable?: ((why: string) => void) | undefined;
}

interface RtmpClientEvents {
  /** Everything written has been passed to the kernel, after `full` was true. */
  drain: [];
  /** The peer has acknowledged bytes. */
  acknowledged: [];
  /** The server asks for another connection. */
  reconnect: [ReconnectRequest];
  /** The connection has ended, not by `close()`. At most once, and the last event. */
  lost: [RtmpError];
}

/** What the server has said in its answer to `connect`. */
export interface ConnectAnswer {
  readonly codecs: ServerCodecs;
  /** The server has failed on the extra fields, and accepted a connection without them. */
  readonly failedOnExtras: boolean;
}

/** A connection to an application. */
export interface ApplicationConnection {
  readonly connection: RtmpConnection;
  readonly answer: ConnectAnswer;
}

/** The steps of a connection, as they are completed; again for each connection that authentication takes. */
export interface ConnectProgress {
  /** There is a TCP connection. */
  readonly reached?: () => void;
  /** The socket is ready for RTMP: with RTMPS, TLS is established. */
  readonly opened?: (socket: Socket) => void;
  /** The RTMP handshake is complete. */
  readonly greeted?: () => void;
}

/** Adobe's authentication takes three connections: without a user, with the user, with a proof. */
const MAX_AUTH_STEPS = 3;

/** A publish that the server has accepted. */
export class RtmpClient extends EventEmitter<RtmpClientEvents> {
  readonly answer: ConnectAnswer;
  /** The server has asked for another connection before it confirmed the publish. */
  readonly reconnectRequest: ReconnectRequest | undefined;
  readonly #connection: RtmpConnection;
  readonly #refusals: RefusalWatch;
  readonly #streamId: number;
  readonly #streamName: string;
  /** What the chunks of a group depend on besides the group. */
  readonly #form: string;
  readonly #makeChunks: (group: MediaGroup) => MediaChunks;

  private constructor(
    { connection, answer }: ApplicationConnection,
    streamId: number,
    streamName: string,
    refusals: RefusalWatch,
    reconnects: ReconnectWatch,
  ) {
    super();
    this.answer = answer;
    this.#refusals = refusals;
    this.reconnectRequest = reconnects.latest;
    reconnects.on('request', (request) => this.emit('reconnect', request));
    this.#connection = connection;
    this.#streamId = streamId;
    this.#streamName = streamName;
    const { chunkSize } = connection;
    this.#form = `rtmp ${streamId} ${chunkSize}`;
    this.#makeChunks = ({ tags }) => mediaChunks(tags, streamId, chunkSize);
    connection.on('drain', () => this.emit('drain'));
    connection.on('acknowledged', () => this.emit('acknowledged'));
    connection.on('lost', (error) => this.emit('lost', refusals.explain(error)));
  }

  /**
   * Connects and publishes; resolves when the server has confirmed the publish. The signal closes the connection at any
   * time.
   *
   * @throws {RtmpError} with the description that the server gave, if any
   */
  static async create(options: RtmpClientOptions, signal: AbortSignal): Promise<RtmpClient> {
    const redact = createRedact(options);
    const timeouts = options.timeouts ?? DEFAULT_TIMEOUTS;
    const watch = new RefusalWatch(redact);
    const reconnects = new ReconnectWatch(redact);
    const watches = {
      listen(opened: RtmpConnection): void {
        watch.listen(opened);
        reconnects.listen(opened);
        if (options.onUndecodable) opened.on('undecodable', options.onUndecodable);
      },
    };
    let connection: RtmpConnection | undefined;
    try {
      const application = await connectApplication(options, timeouts, redact, watches, signal);
      connection = application.connection;
      connection.setUp(options.chunkSize ?? DEFAULT_OUT_CHUNK_SIZE);
      // Answered by some servers, with an error by others, and by many not at all.
      connection.tell(0, 'releaseStream', null, options.streamName);
      connection.tell(0, 'FCPublish', null, options.streamName);
      const streamId = await createStream(connection, timeouts, redact);
      watch.publishes(streamId);
      await publish(connection, streamId, options.streamName, timeouts, redact);
      if (connection.endedBy) throw connection.endedBy;
      return new RtmpClient(application, streamId, options.streamName, watch, reconnects);
    } catch (error) {
      connection?.abort(new RtmpError('aborted', 'The connection attempt was cancelled'));
      throw watch.explain(error);
    }
  }

  /** Bytes written, as the peer counts them. */
  get sent(): number {
    return this.#connection.sent;
  }

  /** Bytes that have not been passed to the kernel. */
  get queued(): number {
    return this.#connection.queued;
  }

  /** More has been written than the socket should buffer; `drain` follows. */
  get full(): boolean {
    return this.#connection.full;
  }

  /** What the server has said a moment ago that may be the end of the publish. */
  get objection(): RtmpError | undefined {
    return this.#refusals.objection;
  }

  /** What the peer has acknowledged. */
  get acknowledgements(): RtmpConnection['acknowledgements'] {
    return this.#connection.acknowledgements;
  }

  /** Sends audio, video and metadata, which must not change afterwards. */
  send(group: MediaGroup): void {
    this.#connection.sendMedia(group.once(this.#form, this.#makeChunks));
  }

  /** Unpublishes as encoders do, sends what has been written, and closes the connection. Idempotent. */
  async close(): Promise<void> {
    this.#connection.tell(0, 'FCUnpublish', null, this.#streamName);
    this.#connection.tell(0, 'deleteStream', null, this.#streamId);
    await this.#connection.end();
  }

  /** Closes the connection at once; `lost` is emitted with `reason`. */
  abort(reason: RtmpError): void {
    this.#connection.abort(reason);
  }
}

/**
 * Connects, and connects again with credentials if the server asks for them, and once without extra fields if it fails on
 * them.
 *
 * @param onProgress is told which steps have been completed
 */
export async function connectApplication(
  options: RtmpClientOptions,
  timeouts: RtmpTimeouts,
  redact: Redact,
  watch: Pick<RefusalWatch, 'listen'>,
  signal: AbortSignal,
  onProgress: ConnectProgress = {},
): Promise<ApplicationConnection> {
  let extras = options.extras ?? RECONNECT_ONLY;
  let failedOnExtras = false;
  let query = '';
  for (let step = 1; ;) {
    const socket = await openTransport(options, timeouts, signal, onProgress.reached);
    onProgress.opened?.(socket);
    const connection = await RtmpConnection.open(socket, timeouts.handshake, signal);
    onProgress.greeted?.();
    watch.listen(connection);
    const parameters = {
      app: appendQuery(options.app, query),
      type: 'nonprivate',
      flashVer: options.flashVersion,
      tcUrl: appendQuery(options.tcUrl, query),
      ...extras,
    };
    const answer = await connection
      .call(timeouts.command, 0, 'connect', [parameters])
      .catch((error: unknown) => asFailure(error, signal));
    if (!(answer instanceof RtmpError) && answer.name === '_result')
      return { connection, answer: { codecs: announcedCodecs(answer.values), failedOnExtras } };
    connection.abort(new RtmpError('aborted', 'The connection attempt was cancelled'));
    if (mayOffend(extras) && (answer instanceof RtmpError || !parseAuthRequest(statusOf(answer.values).description))) {
      extras = NO_EXTRAS;
      failedOnExtras = true;
      continue;
    }
    if (answer instanceof RtmpError) throw answer;
    query = authenticationQuery(answer, options, redact, step);
    step++;
  }
}

/** The failure of a connection that was not cancelled. @throws others */
function asFailure(error: unknown, signal: AbortSignal): RtmpError {
  if (error instanceof RtmpError && !signal.aborted) return error;
  throw error;
}

/** What to append to the application in the next attempt. @throws {RtmpError} if there is no next attempt */
function authenticationQuery(answer: RtmpCommand, options: RtmpClientOptions, redact: Redact, step: number): string {
  const status = statusOf(answer.values);
  const request = parseAuthRequest(status.description);
  if (!request) throw refusalOf('to connect', status, redact);
  const denied = (message: string): RtmpError => new RtmpError('authentication', message, true);
  if (request.kind === 'unknown')
    throw denied('The server requires a kind of authentication that is not supported (supported: authmod=adobe)');
  if (options.user === undefined || options.password === undefined)
    throw denied('The server requires a user and a password: rtmp://USER:PASSWORD@HOST/…');
  if (request.kind === 'failed' || step >= MAX_AUTH_STEPS)
    throw denied('The server did not accept the user or the password');
  return request.kind === 'user' ? userQuery(options.user) : responseQuery(options.user, options.password, request);
}

/** Creates a message stream and returns its id. */
export async function createStream(
  connection: RtmpConnection,
  timeouts: RtmpTimeouts,
  redact: Redact,
): Promise<number> {
  const answer = await connection.call(timeouts.command, 0, 'createStream', [null]);
  if (answer.name === '_error') throw refusalOf('createStream', statusOf(answer.values), redact);
  const streamId = answer.values[1];
  if (typeof streamId !== 'number' || !Number.isInteger(streamId) || streamId < 0 || streamId > 0xffffffff) {
    throw new RtmpError('protocol', 'The server answered createStream without a stream id');
  }
  return streamId;
}

/** The answer to `publish` is an `onStatus`, with some servers an `_error`. */
async function publish(
  connection: RtmpConnection,
  streamId: number,
  streamName: string,
  timeouts: RtmpTimeouts,
  redact: Redact,
): Promise<void> {
  const started = (status: ServerStatus): boolean => status.code === PUBLISH_STARTED;
  const answers = ({ name, values }: RtmpCommand): boolean =>
    name === 'onStatus' && (started(statusOf(values)) || endsPublish(statusOf(values)));
  const answer = await connection.call(timeouts.command, streamId, 'publish', [null, streamName, 'live'], answers);
  const status = statusOf(answer.values);
  if (!started(status)) throw refusalOf('the publish', status, redact);
}
