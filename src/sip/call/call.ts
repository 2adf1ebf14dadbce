import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { parseDestination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import { Publication, type PublicationContext } from '../../sessions/publication.ts';
import { guarded } from '../../runtime/in-background.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { LegEnd } from '../dialog/leg-end.ts';
import type { CallMedia } from '../media/call-media.ts';
import type { SipSession } from '../media/sip-session.ts';
import { endOf, type CallEnd } from './call-end.ts';
import type { CallSubject } from './call-request.ts';
import { isOver, stepCall, type CallEvent, type CallStatus } from './call-state.ts';
import type { CallView } from './call-view.ts';

/** What a call needs of its signalling, in both directions. */
export interface CallLink {
  /** Sends CANCEL or BYE, whatever the state is. Idempotent. */
  hangUp(): void;
  /** @returns the status of the answer */
  sendInfo(type: string, text: string): Promise<number>;
}

/** Tells the call what happens while it is set up. */
export interface CallProgress {
  linked(link: CallLink): void;
  prepared(media: CallMedia): void;
  provisional(status: number, hasMedia: boolean): void;
  answered(): void;
  ended(end: LegEnd): void;
}

export interface CallContext {
  readonly publication: PublicationContext;
  readonly clock: Clock;
  readonly streamNamePrefix: string;
  readonly maxCallMs: number;
  readonly nodeId: string | undefined;
  readonly logger: Logger;
}

export interface CallEvents {
  /** The status or something else that is shown has changed. */
  changed: [];
  /** The stream of the call is live. */
  live: [];
  /** Emitted once; nothing follows. */
  over: [];
}

/** Sets a call up: resolves with its media when it is answered. */
export type OpenCall = (progress: CallProgress) => Promise<SipSession>;

/** One call, from its request to its end: joins its signalling and its media to a publication. */
export class Call extends EventEmitter<CallEvents> {
  readonly subject: CallSubject;
  readonly #context: CallContext;
  readonly #publication: Publication<SipSession>;
  readonly #opened = Promise.withResolvers<void>();
  readonly #createdAt = wallClockDate();
  readonly #cancelTimer: () => void;
  #status: CallStatus = 'PENDING';
  #sipStatus = 0;
  #link: CallLink | undefined;
  #media: CallMedia | undefined;
  #session: SipSession | undefined;
  #end: CallEnd | undefined;
  #isOver = false;
  #isAnswered = false;
  #answeredAt: Date | undefined;
  #endedAt: Date | undefined;
  #pushStatus: string | undefined;

  private constructor(context: CallContext, subject: CallSubject, open: OpenCall) {
    super();
    this.subject = subject;
    this.#context = context;
    const { streamName, rights, requestId, resumeKey } = subject;
    const push = pushOf(subject, context.streamNamePrefix);
    this.#publication = Publication.start<SipSession>(context.publication, {
      streamName,
      resumeKey,
      openSession: () => this.#open(open),
      rtmpUrls: [],
      rights: {
        publish: async () => {
          const grant = (await rights?.publish()) ?? {};
          if (!push) return grant;
          await rights?.push(push.rtmpUrl, grant.streamName ?? streamName);
          return { ...grant, pushes: [...(grant.pushes ?? []), push] };
        },
        push: async (rtmpUrl, stream) => rights?.push(rtmpUrl, stream),
      },
      requestId,
      graceMs: 0,
      logger: context.logger,
    });
    const shown = shownUrl(push, streamName, context.streamNamePrefix);
    this.#publication.on('push', ({ destination, status }) => {
      if (destination === shown) this.#pushStatus = status;
    });
    this.#publication.once('live', () => this.emit('live'));
    this.#publication.once('ended', ({ cause, reason }) => this.#finish(reason, cause === 'failed'));
    this.#publication.negotiated.catch((error: unknown) => this.#opened.reject(toGatewayError(error)));
    this.#cancelTimer = context.clock.after(context.maxCallMs, () =>
      this.hangUp(new GatewayError('TERMINATED', 'The call has lasted as long as max_call_minutes allows.')),
    );
  }

  /**
   * Resolves when the call may be made: its stream name is reserved.
   *
   * @throws {GatewayError} why it may not
   */
  static async start(context: CallContext, subject: CallSubject, open: OpenCall): Promise<Call> {
    const call = new Call(context, subject, open);
    await call.#opened.promise;
    return call;
  }

  get status(): CallStatus {
    return this.#status;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get streamName(): string {
    return this.#publication.streamName;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  get link(): CallLink | undefined {
    return this.#link;
  }

  /** The media of an established call. */
  get session(): SipSession | undefined {
    return this.#status === 'ESTABLISHED' || this.#status === 'HOLD' ? this.#session : undefined;
  }

  get publication(): Publication<SipSession> {
    return this.#publication;
  }

  /** Ends the call and its stream. Idempotent. */
  hangUp(reason: GatewayError): void {
    this.#end ??= { error: reason, sipStatus: undefined, isFailure: false };
    this.#link?.hangUp();
    this.#publication.stop(reason);
  }

  get view(): CallView {
    const { subject } = this;
    const agreed = this.#media?.agreed;
    const { error } = this.#end ?? {};
    return {
      custom: {},
      nodeId: this.#context.nodeId ?? null,
      appKey: subject.appKey,
      sessionId: subject.callId,
      callId: subject.callId,
      parentCallId: null,
      incoming: subject.incoming,
      status: this.#status,
      sipStatus: this.#sipStatus,
      rtmpUrl: subject.rtmpUrl ?? null,
      rtmpStream: subject.rtmpStream ?? null,
      streamName: this.streamName,
      rtmpStreamStatus: this.#pushStatus ?? null,
      caller: subject.caller,
      callee: subject.callee,
      hasAudio: agreed ? agreed.audio !== undefined : subject.hasAudio,
      hasVideo: agreed ? agreed.video !== undefined : subject.hasVideo,
      sdp: this.#media?.sdp || null,
      visibleName: subject.visibleName ?? null,
      inviteParameters: null,
      mediaProvider: 'SIP',
      sipMessageRaw: null,
      isMsrp: false,
      target: null,
      holdForTransfer: false,
      reason: error?.message ?? null,
      reasonCode: error?.code ?? null,
      audioCodec: agreed?.audio?.codec.name ?? null,
      videoCodec: agreed?.video?.codec.name ?? null,
      secure: agreed?.audio?.keys !== undefined || agreed?.video?.keys !== undefined,
      createdAt: this.#createdAt.toISOString(),
      answeredAt: this.#answeredAt?.toISOString() ?? null,
      endedAt: this.#endedAt?.toISOString() ?? null,
    };
  }

  async #open(open: OpenCall): Promise<SipSession> {
    this.#opened.resolve();
    const session = await open({
      linked: (link) => {
        this.#link = link;
        if (this.#isOver) link.hangUp();
      },
      prepared: (media) => {
        this.#media = media;
        media.on('hold', (isHeld) => this.#step({ type: 'held', isHeld }));
      },
      provisional: (status, hasMedia) => {
        this.#sipStatus = status;
        this.#step({ type: 'provisional', status, hasMedia });
      },
      answered: () => {
        this.#sipStatus = 200;
        this.#isAnswered = true;
        this.#answeredAt = wallClockDate();
      },
      ended: (end) => this.#legEnded(end),
    });
    this.#session = session;
    session.once('connected', () => this.#step({ type: 'established' }));
    session.once('lost', (reason) => {
      const error = reason.cause instanceof GatewayError ? reason.cause : reason;
      this.#end ??= { error, sipStatus: undefined, isFailure: reason.code !== 'STREAM_STOPPED' };
    });
    // After the publication has added its listeners.
    setImmediate(
      guarded(
        () => session.close(),
        () => (this.#isOver ? session.close() : session.start()),
      ),
    );
    return session;
  }

  #legEnded(end: LegEnd): void {
    const reason = endOf(end, this.#isAnswered);
    this.#end ??= reason;
    if (reason.sipStatus !== undefined) this.#sipStatus = reason.sipStatus;
    // The peer that has hung up ends the stream; one that was lost may be called again.
    const code = end.by === 'peer' || end.by === 'local' ? 'STREAM_STOPPED' : 'PUBLISHER_LOST';
    this.#session?.lose(new GatewayError(code, reason.error.message));
  }

  #step(event: CallEvent): void {
    const next = stepCall(this.#status, event);
    if (next === this.#status) return;
    this.#status = next;
    this.emit('changed');
  }

  #finish(reason: GatewayError, isFailure: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    this.#end ??= { error: reason, sipStatus: undefined, isFailure: isFailure || reason.code === 'PUBLISHER_LOST' };
    this.#endedAt = wallClockDate();
    this.#link?.hangUp();
    this.#media?.close();
    this.#step({ type: 'ended', status: this.#end.sipStatus, isFailure: this.#end.isFailure });
    if (!isOver(this.#status)) this.#status = 'FINISH';
    this.emit('over');
  }
}

/** The push of a call, under the name that WCS gives it. */
function pushOf(
  { rtmpUrl, rtmpStream, streamName }: CallSubject,
  prefix: string,
): { readonly rtmpUrl: string; readonly rtmpTransponderFullUrl?: true } | undefined {
  if (rtmpUrl === undefined) return undefined;
  const name = rtmpStream ?? streamName;
  const published = name.startsWith(prefix) ? name : prefix + name;
  // The name that pushes of the stream have anyway.
  if (published === prefix + streamName) return { rtmpUrl };
  return { rtmpUrl: `${rtmpUrl.replace(/\/+$/, '')}/${encodeURIComponent(published)}`, rtmpTransponderFullUrl: true };
}

/** How the push is shown; `undefined`: its URL is not valid, and it is refused. */
function shownUrl(push: ReturnType<typeof pushOf>, streamName: string, streamNamePrefix: string): string | undefined {
  if (!push) return undefined;
  try {
    const fullUrl = push.rtmpTransponderFullUrl ?? false;
    return parseDestination(push.rtmpUrl, streamName, { streamNamePrefix, fullUrl }).redacted;
  } catch {
    return undefined;
  }
}
