import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { WebSocket, type RawData } from 'ws';
import type { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { giveToken, ownerOf } from './auth-token.ts';
import * as messages from './messages.ts';
import { encodeMessage, INFO, type ServerMessages } from './messages.ts';
import { PlayedStream } from './played-stream.ts';
import { PublishedStream } from './published-stream.ts';
import { TokenBucket } from './token-bucket.ts';
import type { WcsContext } from './wcs-server.ts';

export interface WcsSessionEvents {
  /** The socket is closed and its streams are taken care of; nothing follows. */
  closed: [];
}

/** Milliseconds between two pings. Also keeps the connection open through proxies, which drop idle ones after 30 to 60 s. */
const PING_INTERVAL_MS = 10_000;
/** Milliseconds without a message, which includes pongs, after which the client is gone: two lost pongs are forgiven. */
const SILENCE_LIMIT_MS = 30_000;
/** Milliseconds that a client has to say `connection`. */
const CONNECTION_TIMEOUT_MS = 10_000;
/** Messages: a page that stops all its streams at once sends some dozens, then repeats each five times a second. */
const RATE_LIMIT = { burst: 300, perSecond: 100 };
/** Streams that one page publishes and plays at the same time, at most. */
const MAX_STREAMS_PER_SESSION = 64;
/** Frames that are being made for one page at the same time, at most: each costs a decoder. */
const MAX_SNAPSHOTS = 4;
/** Bytes not yet taken by a client after which it is cut off: it reads nothing any more. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;

/** One socket of one page: reads messages, checks them, hands them to the streams they are for. */
export class WcsSession extends EventEmitter<WcsSessionEvents> {
  readonly id = randomUUID();
  readonly context: WcsContext;
  readonly logger: Logger;
  readonly remoteAddress: string;
  readonly #socket: WebSocket;
  readonly #streams = new Map<string, PublishedStream | PlayedStream>();
  readonly #bucket = new TokenBucket(RATE_LIMIT);
  readonly #ping: NodeJS.Timeout;
  readonly #connectionTimeout: NodeJS.Timeout;
  #heardAt = performance.now();
  #snapshots = 0;
  #appKey: string | undefined;
  #owner: string | undefined;
  #ended = false;

  constructor(socket: WebSocket, context: WcsContext, remoteAddress: string) {
    super();
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
    this.context = context;
    this.logger = context.logger.child({ session: this.id });
    this.logger.debug({ remoteAddress }, 'WebSocket opened');
    this.#ping = setInterval(() => this.#checkAlive(), PING_INTERVAL_MS);
    this.#connectionTimeout = setTimeout(() => {
      this.logger.info('closing a WebSocket that never said "connection"');
      socket.close(1008, 'connection expected');
    }, CONNECTION_TIMEOUT_MS);
    socket.on('message', (data, binary) => this.#receive(data, binary));
    socket.on('error', (error) => this.logger.debug({ err: error }, 'WebSocket error'));
    socket.on('close', (code) => this.#end(code));
  }

  /** What the client called its application; part of its stream events. */
  get appKey(): string {
    return this.#appKey ?? '';
  }

  /** Whose streams those of this session are; nobody's in particular without an `authToken` of the client. */
  get owner(): string | undefined {
    return this.#owner;
  }

  send<Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) return this.#socket.terminate();
    this.#socket.send(encodeMessage(message, ...data));
  }

  /** Closes the socket as a server that goes away. Idempotent; resolves when the streams are taken care of. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise<void>((resolve) => this.once('closed', resolve));
    this.#socket.close(1001, 'going away');
    // A page that does not answer the close must not hold the shutdown up.
    const impatience = setTimeout(() => this.#socket.terminate(), 500);
    await closed;
    clearTimeout(impatience);
  }

  #checkAlive(): void {
    if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) {
      this.logger.info('the client has been silent too long; closing its WebSocket');
      return this.#socket.terminate();
    }
    this.send('ping');
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#ping);
    clearTimeout(this.#connectionTimeout);
    this.logger.debug({ code }, 'WebSocket closed');
    for (const stream of [...this.#streams.values()]) stream.disconnect();
    this.#streams.clear();
    this.emit('closed');
  }

  #receive(data: RawData, binary: boolean): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#heardAt = performance.now();
    if (!this.#bucket.take(this.#heardAt)) {
      this.logger.warn('the client sends too many messages; closing its WebSocket');
      return this.#socket.close(1008, 'too many messages');
    }
    if (binary) return this.logger.debug('binary message ignored');
    let envelope;
    try {
      envelope = messages.EnvelopeSchema.parse(JSON.parse(String(data)));
    } catch {
      return this.logger.debug('message that is not {"message", "data"} ignored');
    }
    try {
      this.#dispatch(envelope.message, envelope.data[0]);
    } catch (error) {
      this.logger.error({ err: error, message: envelope.message }, 'message failed');
    }
  }

  #dispatch(message: string, argument: unknown): void {
    if (message === 'connection') return this.#connect(argument);
    if (message === 'ping') return this.send('pong');
    if (message === 'pong') return;
    if (this.#appKey === undefined) return this.logger.debug({ message }, 'message before "connection" ignored');
    switch (message) {
      case 'publishStream':
        return this.#publish(argument);
      case 'playStream':
        return this.#play(argument);
      case 'unPublishStream':
        return this.#stop(argument, true);
      case 'stopStream':
        return this.#stop(argument, false);
      case 'availableStream':
        return this.#available(argument);
      case 'snapshot':
        return this.#snapshot(argument);
      case 'sendStreamEvent':
        return this.#streamEvent(argument);
      case 'sendData':
        return this.#sendData(argument);
      default:
        // pushLogs, sessionDebug, webRTCMetricsBatch and whatever the SDK may learn.
        this.logger.debug({ message }, 'message ignored');
    }
  }

  #connect(argument: unknown): void {
    const connection = messages.ConnectionSchema.safeParse(argument ?? {});
    if (!connection.success) return this.logger.debug('malformed "connection" ignored');
    clearTimeout(this.#connectionTimeout);
    this.#appKey = connection.data.appKey;
    const { authToken } = connection.data;
    this.#owner = ownerOf(authToken);
    this.send('getVersion', this.context.version);
    this.send('getUserData', {
      ...connection.data,
      authToken: typeof authToken === 'string' ? authToken : giveToken(this.id),
      status: 'ESTABLISHED',
    });
  }

  #publish(argument: unknown): void {
    const request = this.#openRequest(messages.PublishStreamSchema, argument, true);
    if (request) this.#open(request.mediaSessionId, PublishedStream.open(this, request));
  }

  #play(argument: unknown): void {
    const request = this.#openRequest(messages.PlayStreamSchema, argument, false);
    if (request) this.#open(request.mediaSessionId, PlayedStream.open(this, request));
  }

  /** Checks what publishing and playing have in common; a refusal has been told when this returns nothing. */
  #openRequest<Schema extends typeof messages.PublishStreamSchema | typeof messages.PlayStreamSchema>(
    schema: Schema,
    argument: unknown,
    published: boolean,
  ): z.output<Schema> | undefined {
    const parsed = schema.safeParse(argument);
    const { mediaSessionId = '', name = '' } = (
      typeof argument === 'object' && argument !== null ? argument : {}
    ) as Record<string, unknown>;
    const refuse = (info: string): undefined => {
      this.send('notifyStreamStatusEvent', {
        mediaSessionId: String(mediaSessionId),
        name: String(name),
        published,
        status: 'FAILED',
        info,
      });
      return undefined;
    };
    if (!parsed.success) {
      if (typeof mediaSessionId !== 'string' || mediaSessionId === '') return refuse(INFO.idMissing);
      const issue = parsed.error.issues[0];
      return refuse(`Invalid request: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
    }
    if (this.#streams.has(parsed.data.mediaSessionId)) return refuse(INFO.idInUse);
    if (this.#streams.size >= MAX_STREAMS_PER_SESSION)
      return refuse(`More than ${MAX_STREAMS_PER_SESSION} streams in one session`);
    return parsed.data as z.output<Schema>;
  }

  #open(mediaSessionId: string, stream: PublishedStream | PlayedStream): void {
    if (stream.over) return;
    this.#streams.set(mediaSessionId, stream);
    stream.once('over', () => this.#streams.delete(mediaSessionId));
  }

  #stop(argument: unknown, published: boolean): void {
    const request = messages.StopStreamSchema.safeParse(argument);
    if (!request.success) return this.logger.debug('malformed stop ignored');
    const { mediaSessionId, name } = request.data;
    const stream = this.#streams.get(mediaSessionId);
    if (stream) return stream.stop();
    if (published) this.#endHeld(name);
    // Unknown ones are answered too: the SDK asks again every 200 ms until it hears something.
    this.send('notifyStreamStatusEvent', {
      mediaSessionId,
      name,
      published,
      status: published ? 'UNPUBLISHED' : 'STOPPED',
      info: INFO.stoppedByUser,
    });
  }

  /**
   * Ends a stream that this client published over a connection that was lost. Only one that is held, and only its owner's: others may
   * have made up the same name, and without an owner nobody knows whose it is.
   */
  #endHeld(name: string): void {
    const { registry } = this.context;
    const stream = registry.find(name);
    if (!stream || stream.publisher || this.#owner === undefined || stream.resumeKey !== this.#owner) return;
    registry.end(stream, new GatewayError('STREAM_STOPPED', INFO.stoppedByUser));
  }

  #available(argument: unknown): void {
    const request = messages.NamedStreamSchema.safeParse(argument);
    const id = String((argument as { mediaSessionId?: unknown } | null)?.mediaSessionId ?? '');
    const available = request.success && this.context.registry.find(request.data.name)?.publisher !== undefined;
    this.send(
      'availableStream',
      available ? { id, status: 'true' } : { id, status: 'false', info: INFO.streamNotFound },
    );
  }

  #snapshot(argument: unknown): void {
    const request = messages.NamedStreamSchema.safeParse(argument);
    if (!request.success) return this.logger.debug('malformed snapshot request ignored');
    const { mediaSessionId, name } = request.data;
    const fail = (info: string): void => {
      // The status FAILED would end a stream of this id in the page: a running one hears of it as an event.
      if (this.#streams.has(mediaSessionId))
        this.send('notifyStreamEvent', { mediaSessionId, type: 'snapshotFailed', payload: { info } });
      else this.send('notifyStreamStatusEvent', { mediaSessionId, name, published: false, status: 'FAILED', info });
    };
    const stream = this.context.registry.find(name);
    const { takeSnapshot } = this.context;
    if (!stream?.publisher) return fail(INFO.streamNotFound);
    if (!takeSnapshot) return fail('Snapshots are not available');
    if (this.#snapshots >= MAX_SNAPSHOTS) return fail('Too many snapshots at once');
    this.#snapshots++;
    const done = takeSnapshot(stream).then(
      (frame) =>
        this.send('notifyStreamStatusEvent', {
          mediaSessionId,
          name,
          published: false,
          status: 'SNAPSHOT_COMPLETE',
          info: frame.toString('base64'),
        }),
      (error: unknown) => {
        this.logger.warn({ err: error, streamName: name }, 'snapshot failed');
        fail(INFO.failedByError);
      },
    );
    void done.finally(() => this.#snapshots--);
  }

  #streamEvent(argument: unknown): void {
    const event = messages.StreamEventSchema.safeParse(argument);
    const stream = event.success && this.#streams.get(event.data.mediaSessionId);
    if (stream instanceof PublishedStream) stream.announce({ type: event.data!.type, payload: event.data!.payload });
  }

  #sendData(argument: unknown): void {
    const data = messages.SendDataSchema.safeParse(argument);
    if (data.success) this.send('DataStatusEvent', { operationId: data.data.operationId, status: 'ACCEPTED' });
  }
}
