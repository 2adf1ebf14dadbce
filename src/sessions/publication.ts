import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Directory, StreamLease } from '../streams/directory.ts';
import type { LiveStream, Publisher, StreamMessage } from '../streams/live-stream.ts';
import type { NameReservation, StreamRegistry } from '../streams/stream-registry.ts';
import {
  stepPublication,
  type EndCause,
  type PublicationEffect,
  type PublicationEvent,
  type PublicationState,
} from './publication-state.ts';
import { keepLease, leaseLoss } from './kept-lease.ts';
import { PublishRight, type PublicationRights, type PublishGrant } from './publish-right.ts';
import type { PushControl } from './push-control.ts';
import { checkRecording, tryToRecord, type RecordControl, type RequestedRecording } from './record-control.ts';
import { startRequestedPushes } from './requested-pushes.ts';
import { findSilent } from './silent-publisher.ts';
import type { SourceSession } from './source-session.ts';
import { inBackground } from '../runtime/in-background.ts';
import type { PushView } from '../views/push-view.ts';

/** Refuses new publications while the gateway is overloaded. */
export interface Admission {
  /** @throws {GatewayError} OVERLOADED */
  check(): void;
}

/** What every publication works with. */
export interface PublicationContext {
  readonly registry: StreamRegistry;
  readonly directory: Directory;
  readonly pushes: PushControl;
  readonly recorders?: RecordControl;
  readonly admission: Admission;
}

export interface PublicationRequest<Session extends SourceSession> {
  readonly streamName: string;
  /** Who may continue the stream after a loss: the publisher with the same key. */
  readonly resumeKey: string | undefined;
  /** Creates the source's session. Called when the name is reserved. */
  readonly openSession: () => Promise<Session>;
  /** Where the stream is pushed as soon as it is live. */
  readonly rtmpUrls: readonly string[];
  /** The stream is recorded as soon as it is live. */
  readonly record?: boolean;
  readonly rights?: PublicationRights;
  /** Of the request; also in the log lines of its pushes. */
  readonly requestId?: string | undefined;
  /**
   * Milliseconds after the loss of the media in which a stop may still explain it; then the publication ends and the
   * stream stays held. Without a value the publication lasts as long as its stream is held.
   */
  readonly graceMs?: number;
  /** Has the ids of the client's session, for the log. */
  readonly logger: Logger;
}

export interface PublicationEnd {
  readonly cause: EndCause;
  readonly reason: GatewayError;
}

export interface PublicationEvents {
  /** The stream has this publisher now. */
  live: [];
  /** A push of the stream has changed, or one that was requested with the publication was refused. */
  push: [view: PushView];
  /** Emitted once; nothing follows. Never emitted synchronously by {@link Publication.start}. */
  ended: [end: PublicationEnd];
}

/** The session of a publisher with the gateway, from its request to its end, whatever the door and the source. */
export class Publication<Session extends SourceSession = SourceSession> extends EventEmitter<PublicationEvents> {
  readonly #context: PublicationContext;
  readonly #request: PublicationRequest<Session>;
  #streamName: string;
  #logger: Logger;
  readonly #negotiated = Promise.withResolvers<Session>();
  readonly #events: PublicationEvent[] = [];
  #state: PublicationState = 'reserving';
  #dispatching = false;
  #reservation: NameReservation | undefined;
  #lease: StreamLease | undefined;
  #session: Session | undefined;
  #stream: LiveStream | undefined;
  #grace: NodeJS.Timeout | undefined;
  #stopReports: (() => void) | undefined;
  #right: PublishRight | undefined;
  #recording: RequestedRecording | undefined;

  private constructor(context: PublicationContext, request: PublicationRequest<Session>) {
    super();
    this.#streamName = request.streamName;
    this.#context = context;
    this.#request = request;
    this.#logger = request.logger.child({ streamName: request.streamName, requestId: request.requestId });
    // A door that listens to `ended` does not have to handle this rejection too.
    this.#negotiated.promise.catch(() => undefined);
  }

  /** Starts the publication. {@link negotiated} and the events report its progress. */
  static start<Session extends SourceSession>(
    context: PublicationContext,
    request: PublicationRequest<Session>,
  ): Publication<Session> {
    const publication = new Publication(context, request);
    inBackground(publication.#reserve());
    return publication;
  }

  /** The requested name, or the one that the application server has chosen instead. */
  get streamName(): string {
    return this.#streamName;
  }

  get state(): PublicationState {
    return this.#state;
  }

  /** The first file of the recording that was requested with the publication, as soon as there is one. */
  get recordName(): string | undefined {
    return this.#recording?.firstFile;
  }

  /**
   * The source's session, once the client can be answered; rejected with the reason when the publication ends before.
   */
  get negotiated(): Promise<Session> {
    return this.#negotiated.promise;
  }

  /** The client stops publishing: ends the stream, also one that is held. Idempotent. */
  stop(reason: GatewayError): void {
    this.#dispatch({ type: 'stopped', reason });
  }

  /** The client's signalling connection has closed: holds the stream for its return. Idempotent. */
  disconnect(reason: GatewayError): void {
    this.#dispatch({ type: 'disconnected', reason });
  }

  /** Sets a new end of the right to publish, in milliseconds since 1970; `undefined`: it does not end. */
  renew(endsAt: number | undefined): void {
    if (this.#state !== 'ended') this.#right?.renew(endsAt);
  }

  /** Passes a message of the publisher on to the players of its stream. */
  announce(message: StreamMessage): void {
    if (this.#state === 'live') this.#stream?.emit('message', message);
  }

  /** Events that effects cause are handled after those effects. */
  #dispatch(event: PublicationEvent): void {
    this.#events.push(event);
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (let next; (next = this.#events.shift());) {
        const { state, effects } = stepPublication(this.#state, next);
        this.#state = state;
        for (const effect of effects) this.#run(effect);
      }
    } finally {
      this.#dispatching = false;
    }
  }

  #run(effect: PublicationEffect): void {
    switch (effect.type) {
      case 'openSession':
        inBackground(this.#open());
        return;
      case 'answer':
        this.#negotiated.resolve(this.#session!);
        return;
      case 'attach':
        return this.#attach(this.#session!);
      case 'startPushes':
        return this.#startPushes();
      case 'holdStream':
        return this.#hold(effect.reason);
      case 'awaitStop':
        return this.#awaitStop(effect.reason);
      case 'endStream':
        if (this.#stream) this.#context.registry.end(this.#stream, effect.reason);
        return;
      case 'cleanUp':
        return this.#cleanUp();
      case 'finish':
        return this.#finish(effect);
    }
  }

  async #reserve(): Promise<void> {
    const { registry, directory, admission } = this.#context;
    const { resumeKey, rights, record } = this.#request;
    try {
      this.#accept((await rights?.publish()) ?? {});
      if (record) await checkRecording(this.#context.recorders);
      const streamName = this.#streamName;
      const replaces = await findSilent(registry.find(streamName), resumeKey);
      if (!replaces && !registry.resumable(streamName, resumeKey)) admission.check();
      this.#lease = await directory.claim(streamName);
      this.#reservation = registry.reserve(streamName, resumeKey, replaces);
      this.#lease.lost.addEventListener('abort', this.#onLeaseLost);
    } catch (error) {
      this.#lease?.release();
      return this.#dispatch({ type: 'failed', reason: toGatewayError(error) });
    }
    this.#dispatch({ type: 'reserved' });
  }

  #accept(grant: PublishGrant): void {
    // It has been stopped meanwhile.
    if (this.#state === 'ended') return grant.release?.();
    const { streamName: name = this.#streamName } = grant;
    if (name !== this.#streamName) {
      this.#logger.info({ publishedName: name }, 'the application server has renamed the stream');
      this.#logger = this.#request.logger.child({ streamName: name });
      this.#streamName = name;
    }
    this.#right = new PublishRight(grant, () => this.#expire());
  }

  async #open(): Promise<void> {
    try {
      this.#session = await this.#request.openSession();
    } catch (error) {
      return this.#dispatch({ type: 'failed', reason: toGatewayError(error) });
    }
    this.#session.on('connected', () => this.#dispatch({ type: 'connected' }));
    this.#session.on('lost', (reason) => this.#dispatch({ type: 'mediaLost', reason }));
    this.#dispatch({ type: 'negotiated' });
  }

  #attach(session: Session): void {
    const { registry } = this.#context;
    const before = registry.find(this.streamName);
    let stream;
    try {
      stream = this.#reservation!.publish(session);
    } catch (error) {
      return this.#dispatch({ type: 'failed', reason: toGatewayError(error) });
    }
    this.#stream = stream;
    keepLease(stream, this.#lease!, registry);
    this.#lease!.lost.removeEventListener('abort', this.#onLeaseLost);
    this.#logger.info(
      { publishSession: session.id, audio: session.audio?.codec, video: session.video?.codec },
      stream === before ? 'stream resumed' : 'stream published',
    );
    stream.on('ended', this.#onStreamEnded);
    session.on('unmatched', (problem) => {
      if (stream.publisher === session) stream.reportVideo(problem);
    });
    stream.on('published', this.#onPublished);
    this.#dispatch({ type: 'attached' });
    if (stream.endedBy) this.#dispatch({ type: 'streamEnded', reason: stream.endedBy });
  }

  #startPushes(): void {
    const { rtmpUrls, rights, requestId } = this.#request;
    this.emit('live');
    inBackground(this.#record());
    this.#stopReports = startRequestedPushes({
      streamName: this.streamName,
      rtmpUrls,
      ordered: this.#right?.pushes ?? [],
      requestId,
      control: this.#context.pushes,
      authorize: rights && ((rtmpUrl) => rights.push(rtmpUrl, this.#streamName)),
      onView: (view) => this.emit('push', view),
      logger: this.#logger,
    });
  }

  async #record(): Promise<void> {
    if (this.#request.record || this.#right?.record)
      this.#recording = await tryToRecord(this.#context.recorders, this.#streamName, this.#logger);
  }

  #hold(reason: GatewayError): void {
    const [stream, session] = [this.#stream, this.#session];
    if (!stream || !session) return;
    this.#context.registry.lose(stream, session);
    this.#logger.warn(
      {
        publishSession: session.id,
        code: reason.code,
        reason: reason.message,
        heldUntil: stream.absence?.until.toISOString(),
      },
      'publisher lost',
    );
  }

  #awaitStop(reason: GatewayError): void {
    const { graceMs } = this.#request;
    if (graceMs === undefined) return;
    this.#grace = setTimeout(() => this.#dispatch({ type: 'graceExpired', reason }), graceMs);
  }

  #cleanUp(): void {
    clearTimeout(this.#grace);
    this.#stopReports?.();
    this.#reservation?.release();
    if (this.#stream) {
      this.#stream.off('ended', this.#onStreamEnded);
      this.#stream.off('published', this.#onPublished);
      this.#right?.leave(this.#stream);
    } else {
      this.#right?.giveUp();
      this.#lease?.lost.removeEventListener('abort', this.#onLeaseLost);
      this.#lease?.release();
    }
    this.#right = undefined; // `cleanUp` can follow a second time.
    this.#session?.close();
  }

  #finish({ cause, reason }: PublicationEnd): void {
    if (!this.#stream && cause === 'failed')
      this.#logger.info({ code: reason.code, reason: reason.message }, 'publication refused');
    this.#negotiated.reject(reason);
    this.emit('ended', { cause, reason });
  }

  /** Also ends a stream that is still held for this publication, which keeps its pushes. */
  #expire(): void {
    const reason = new GatewayError(
      'TOKEN_EXPIRED',
      'The right to publish has expired. Get a new token and publish again.',
    );
    this.#dispatch({ type: 'failed', reason });
    if (this.#stream && !this.#stream.publisher) this.#context.registry.end(this.#stream, reason);
  }

  readonly #onLeaseLost = (): void => this.#dispatch({ type: 'failed', reason: leaseLoss(this.#lease!) });

  readonly #onStreamEnded = (reason: GatewayError): void => this.#dispatch({ type: 'streamEnded', reason });

  readonly #onPublished = (publisher: Publisher): void => {
    if (publisher === this.#session) return;
    const reason = new GatewayError('PUBLISHER_LOST', 'The stream has been continued over another connection.');
    this.#dispatch({ type: 'takenOver', reason });
  };
}
