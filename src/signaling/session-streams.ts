import type { z } from 'zod';
import { toGatewayError, type ErrorCode } from '../errors.ts';
import { limitHits } from '../observe/limits.ts';
import * as messages from './messages.ts';
import { INFO } from './messages.ts';
import { PlayedStream } from './played-stream.ts';
import { PublishedStream } from './published-stream.ts';
import type { WcsSession } from './wcs-session.ts';

/** The streams of one session, by `mediaSessionId`: handles the messages that are about them. */
export class SessionStreams {
  readonly #session: WcsSession;
  readonly #streams = new Map<string, PublishedStream | PlayedStream>();

  constructor(session: WcsSession) {
    this.#session = session;
  }

  has(mediaSessionId: string): boolean {
    return this.#streams.has(mediaSessionId);
  }

  publish(argument: unknown): void {
    const request = this.#check(messages.PublishStreamSchema, argument, true);
    if (!request) return;
    this.#add(request.mediaSessionId, new PublishedStream(this.#session, request));
  }

  play(argument: unknown): void {
    const request = this.#check(messages.PlayStreamSchema, argument, false);
    if (request) this.#add(request.mediaSessionId, new PlayedStream(this.#session, request));
  }

  stop(argument: unknown, published: boolean): void {
    const request = messages.StopStreamSchema.safeParse(argument);
    if (!request.success) return this.#session.logger.debug('malformed stop ignored');
    const { mediaSessionId, name } = request.data;
    const stream = this.#streams.get(mediaSessionId);
    if (stream) return stream.stop();
    // The stream may be held since the connection over which it was published was lost.
    if (published) this.#session.context.publications.stopHeld(name, this.#session.owner, INFO.stoppedByUser);
    // Unknown streams are answered too: the SDK repeats the stop every 200 ms until it is answered.
    this.#session.send('notifyStreamStatusEvent', {
      mediaSessionId,
      name,
      published,
      status: published ? 'UNPUBLISHED' : 'STOPPED',
      info: INFO.stoppedByUser,
    });
  }

  available(argument: unknown): void {
    const request = messages.NamedStreamSchema.safeParse(argument);
    const { id } = namesOf(argument);
    const refuse = (info: string): void => this.#session.send('availableStream', { id, status: 'false', info });
    if (!request.success) return refuse(INFO.streamNotFound);
    const { name } = request.data;
    this.#session.authorize('play', { stream: name }).then(
      () => {
        const available = this.#session.context.registry.find(name)?.publisher !== undefined;
        if (!available) return refuse(INFO.streamNotFound);
        this.#session.send('availableStream', { id, status: 'true' });
      },
      (error: unknown) => refuse(toGatewayError(error).message),
    );
  }

  streamEvent(argument: unknown): void {
    const event = messages.StreamEventSchema.safeParse(argument);
    if (!event.success) return this.#session.logger.debug('malformed stream event ignored');
    const { mediaSessionId, type, payload } = event.data;
    const stream = this.#streams.get(mediaSessionId);
    if (stream instanceof PublishedStream) stream.announce({ type, payload });
  }

  /** Ends all streams; the page learns `info`. */
  terminate(info: string): void {
    for (const stream of [...this.#streams.values()]) stream.terminate(info);
  }

  /** The socket has closed. */
  disconnect(): void {
    for (const stream of [...this.#streams.values()]) stream.disconnect();
    this.#streams.clear();
  }

  /** Checks what publishing and playing have in common. Returns undefined after it has sent a refusal. */
  #check<Schema extends typeof messages.PublishStreamSchema | typeof messages.PlayStreamSchema>(
    schema: Schema,
    argument: unknown,
    published: boolean,
  ): z.output<Schema> | undefined {
    const parsed = schema.safeParse(argument);
    const refuse = (info: string, code: ErrorCode = 'INVALID_REQUEST'): undefined =>
      void this.#refuse(argument, published, info, code);
    if (!parsed.success) {
      if (namesOf(argument).id === '') return refuse(INFO.idMissing);
      const issue = parsed.error.issues[0];
      return refuse(`Invalid request: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
    }
    if (this.has(parsed.data.mediaSessionId)) return refuse(INFO.idInUse);
    const { maxStreams } = this.#session.context.limits;
    if (this.#streams.size >= maxStreams) {
      limitHits.count('max_ws_streams');
      return refuse(`More than ${maxStreams} streams in one session (max_ws_streams)`, 'LIMIT_REACHED');
    }
    return parsed.data as z.output<Schema>;
  }

  #refuse(argument: unknown, published: boolean, info: string, code: ErrorCode): void {
    const { id: mediaSessionId, name } = namesOf(argument);
    this.#session.logger.info({ streamName: name, mediaSessionId, reason: info }, 'stream request refused');
    this.#session.send('notifyStreamStatusEvent', { mediaSessionId, name, published, status: 'FAILED', info, code });
  }

  #add(mediaSessionId: string, stream: PublishedStream | PlayedStream): void {
    this.#streams.set(mediaSessionId, stream);
    stream.once('over', () => this.#streams.delete(mediaSessionId));
  }
}

/** What an answer to a request repeats, also when the request is invalid. Cut to the lengths of valid ones. */
function namesOf(argument: unknown): { readonly id: string; readonly name: string } {
  const { mediaSessionId, name } = (argument ?? {}) as { readonly mediaSessionId?: unknown; readonly name?: unknown };
  const text = (value: unknown): string =>
    typeof value === 'string' ? value.slice(0, messages.MAX_ID_LENGTH * 2) : '';
  return { id: text(mediaSessionId), name: text(name) };
}
