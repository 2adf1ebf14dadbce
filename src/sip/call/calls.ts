import { EventEmitter } from 'node:events';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import { TokenBucket } from '../../net/token-bucket.ts';
import { limitReached } from '../../observe/limits.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { dtmfInfo, DTMF_MS, parseDigits } from '../media/dtmf.ts';
import type { InjectedStream } from '../media/injected-stream.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { AudioCodec } from '../../streams/live-stream.ts';
import { callAddress } from './account.ts';
import { Call, type CallContext, type OpenCall } from './call.ts';
import type { CallRequest, CallSubject } from './call-request.ts';
import type { CallView } from './call-view.ts';
import { openOutgoing, type CallPlant } from './outgoing-call.ts';
import type { SipPolicy } from './sip-policy.ts';

export interface CallFilter {
  readonly callId?: string | undefined;
  readonly callee?: string | undefined;
  readonly rtmpUrl?: string | undefined;
  readonly status?: string | undefined;
}

export type DtmfType = 'RFC2833' | 'INFO' | 'INFO_RELAY';

/** What REST may do with calls. All methods throw {@link GatewayError}. */
export interface CallControl {
  /** Resolves when the request is checked and the call is queued. */
  start(request: CallRequest): Promise<void>;
  /** Calls that are not over. */
  list(): CallView[];
  /** The last calls that are over. */
  ended(): CallView[];
  terminate(callId: string): void;
  sendDtmf(callId: string, dtmf: string, type: DtmfType): void;
  injectSound(callId: string, fileName: string): Promise<void>;
  /** Sends the audio of a stream to the peer, in place of the one before. */
  injectStream(callId: string, streamName: string): Promise<void>;
  /** Idempotent. */
  endInjection(callId: string): void;
}

export interface CallsEvents {
  /** A call has begun, has another status, or is over. */
  call: [call: Call];
}

export interface CallsOptions {
  readonly settings: Settings;
  readonly context: CallContext;
  readonly plant: CallPlant;
  readonly policy: SipPolicy;
  readonly clock: Clock;
  /** Frames of 20 ms of a sound file in the codec of a call. */
  readonly loadSound: (fileName: string, codec: AudioCodec) => Promise<readonly Buffer[]>;
  /** The audio of a stream in the codec of a call. */
  readonly openStream: (streamName: string, codec: AudioCodec, onEnd: () => void) => Promise<InjectedStream>;
}

/** Digits of one call that wait. */
const MAX_QUEUED_DIGITS = 256;

/** The calls of the gateway. */
export class Calls extends EventEmitter<CallsEvents> implements CallControl {
  readonly #options: CallsOptions;
  readonly #calls = new Map<string, Call>();
  /** Call ids of requests that are being checked. */
  readonly #starting = new Map<string, CallSubject>();
  readonly #ended: CallView[] = [];
  readonly #injections = new Map<string, InjectedStream>();
  /** Callers must not keep the gateway from calling. */
  readonly #rates: Readonly<Record<'incoming' | 'outgoing', TokenBucket>>;
  #closing = false;

  constructor(options: CallsOptions) {
    super();
    this.#options = options;
    const { max_calls_per_minute: perMinute } = options.settings;
    const rate = (): TokenBucket => new TokenBucket({ burst: perMinute, perSecond: perMinute / 60 });
    this.#rates = { incoming: rate(), outgoing: rate() };
  }

  get size(): number {
    return this.#calls.size;
  }

  get active(): Call[] {
    return [...this.#calls.values()];
  }

  async start(request: CallRequest): Promise<void> {
    const { settings, plant, policy } = this.#options;
    const address = callAddress(request, settings);
    const subject: CallSubject = {
      ...request,
      incoming: false,
      // Only the same client continues the stream with the same call.
      resumeKey: `sip ${request.principalId} ${request.callId}`,
      caller: address.user,
      callee: request.callee,
    };
    this.check(subject);
    await this.#admit(subject, async () => {
      const flow = await policy.resolve(address.server);
      return openOutgoing(plant, request, address, flow);
    });
  }

  /** A call that has come, after {@link check}. @throws {GatewayError} why its stream cannot be published */
  async take(subject: CallSubject, open: OpenCall): Promise<void> {
    await this.#admit(subject, async () => open);
  }

  list(): CallView[] {
    return this.active.map(({ view }) => view);
  }

  ended(): CallView[] {
    return [...this.#ended];
  }

  terminate(callId: string): void {
    this.#find(callId).hangUp(new GatewayError('STREAM_STOPPED', 'The call was ended by REST.'));
  }

  sendDtmf(callId: string, dtmf: string, type: DtmfType): void {
    const call = this.#find(callId);
    const digits = parseDigits(dtmf);
    if (!digits) throw new GatewayError('INVALID_REQUEST', 'dtmf must have 0-9, *, #, A-D and , (a pause) only.');
    const outgoing = this.#established(call).outgoing;
    // Pages show the end of the call after any error, so the signalling is used where the media cannot carry digits.
    if (type === 'RFC2833' && this.#options.settings.dtmf === 'rfc2833' && outgoing?.takesDigits) {
      if (outgoing.queuedDigits + digits.length > MAX_QUEUED_DIGITS)
        throw new GatewayError('RATE_LIMITED', 'Too many digits of this call wait already.');
      return outgoing.dial(digits);
    }
    inBackground(this.#sendInfos(call, digits, type === 'INFO' ? 'INFO' : 'INFO_RELAY'));
  }

  async injectSound(callId: string, fileName: string): Promise<void> {
    const call = this.#find(callId);
    const codec = this.#established(call).audio?.codec;
    if (!codec) throw new GatewayError('CALL_NOT_ESTABLISHED', 'The call has no audio.');
    const frames = await this.#options.loadSound(fileName, codec);
    this.#established(call).outgoing?.play(frames);
  }

  async injectStream(callId: string, streamName: string): Promise<void> {
    const call = this.#find(callId);
    const codec = this.#established(call).audio?.codec;
    if (!codec) throw new GatewayError('CALL_NOT_ESTABLISHED', 'The call has no audio.');
    if (streamName === call.streamName)
      throw new GatewayError(
        'INVALID_REQUEST',
        'streamName is the stream of the call itself: the other side would hear itself. Name another stream.',
      );
    let hasEnded = false;
    const stream: InjectedStream = await this.#options.openStream(streamName, codec, () => {
      hasEnded = true;
      if (this.#injections.get(callId)?.streamName === streamName) this.endInjection(callId);
    });
    try {
      if (hasEnded) throw new GatewayError('STREAM_NOT_FOUND', `The stream ${streamName} has just ended.`);
      const { outgoing } = this.#established(this.#find(callId));
      this.endInjection(callId);
      this.#injections.set(callId, stream);
      outgoing?.inject(stream.frames);
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  endInjection(callId: string): void {
    this.#injections.get(callId)?.close();
    this.#injections.delete(callId);
    this.#calls.get(callId)?.session?.outgoing?.inject(undefined);
  }

  /** Ends all calls. Idempotent. */
  close(reason: GatewayError): void {
    this.#closing = true;
    for (const call of this.active) call.hangUp(reason);
  }

  /** Whether one more call is possible. Counts it. @throws {GatewayError} LIMIT_REACHED, CALL_EXISTS, SHUTTING_DOWN */
  check({ callId, callee, incoming, rtmpUrl, rtmpStream }: CallSubject): void {
    const { settings, clock } = this.#options;
    if (this.#closing) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    const others = [...this.active.map(({ subject }) => subject), ...this.#starting.values()];
    if (others.some((other) => other.callId === callId))
      throw new GatewayError(
        'CALL_EXISTS',
        'There is a call with this callId. End it first, or choose another callId.',
      );
    if (rtmpUrl !== undefined && others.some((other) => other.rtmpUrl === rtmpUrl && other.rtmpStream === rtmpStream))
      throw new GatewayError('CALL_EXISTS', 'There is a call that is pushed to the same rtmpUrl and rtmpStream.');
    if (others.length >= settings.max_calls)
      throw limitReached('max_calls', `There are ${settings.max_calls} calls, as many as max_calls allows.`);
    const isSame = (other: CallSubject): boolean => !other.incoming && other.callee === callee;
    if (!incoming && others.filter(isSame).length >= settings.max_calls_per_callee)
      throw limitReached(
        'max_calls_per_callee',
        `There are ${settings.max_calls_per_callee} calls with ${callee}, as many as max_calls_per_callee allows.`,
      );
    if (!this.#rates[incoming ? 'incoming' : 'outgoing'].take(clock.now()))
      throw limitReached(
        'max_calls_per_minute',
        'More calls were started in the last minute than max_calls_per_minute allows.',
      );
  }

  async #admit(subject: CallSubject, prepare: () => Promise<OpenCall>): Promise<Call> {
    const { callId } = subject;
    this.#starting.set(callId, subject);
    try {
      const open = await prepare();
      const call = await Call.start(this.#options.context, subject, open);
      this.#add(call);
      return call;
    } finally {
      this.#starting.delete(callId);
    }
  }

  #add(call: Call): void {
    const { callId } = call.subject;
    const { ended_calls_kept: kept } = this.#options.settings;
    this.#calls.set(callId, call);
    const over = (): void => {
      if (this.#calls.get(callId) === call) {
        this.endInjection(callId);
        this.#calls.delete(callId);
      }
      this.#ended.push(call.view);
      if (this.#ended.length > kept) this.#ended.splice(0, this.#ended.length - kept);
      this.emit('call', call);
    };
    call.on('changed', () => this.emit('call', call));
    call.once('over', over);
    if (call.isOver) over();
    else this.emit('call', call);
  }

  #find(callId: string): Call {
    const call = this.#calls.get(callId);
    if (call) return call;
    throw new GatewayError(
      'CALL_NOT_FOUND',
      'There is no such call. Calls that are over are listed in /api/v1/calls?ended=true.',
    );
  }

  #established(call: Call): NonNullable<Call['session']> {
    const { session } = call;
    if (session) return session;
    throw new GatewayError('CALL_NOT_ESTABLISHED', `The call is not established yet: it is ${call.status}.`);
  }

  async #sendInfos(call: Call, digits: readonly string[], type: 'INFO' | 'INFO_RELAY'): Promise<void> {
    for (const digit of digits) {
      if (call.isOver) return;
      if (digit !== ',') {
        const info = dtmfInfo(type, digit);
        await call.link?.sendInfo(info.type, info.text);
      }
      await new Promise<void>((resolve) => this.#options.clock.after(digit === ',' ? 1000 : DTMF_MS, resolve));
    }
  }
}
