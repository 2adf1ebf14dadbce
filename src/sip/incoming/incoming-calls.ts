import type { Authorizer, Principal } from '../../access/authorizer.ts';
import { matchesName } from '../../access/rights.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import { DEFAULT_APPLICATION } from '../../sessions/client-sessions.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { isStreamName } from '../../streams/stream-name.ts';
import type { CallSubject } from '../call/call-request.ts';
import type { Calls } from '../call/calls.ts';
import { LaterMedia, openIncoming } from '../call/incoming-call.ts';
import type { CallPlant } from '../call/outgoing-call.ts';
import { SDP } from '../dialog/call-leg.ts';
import { isShortSession, MIN_SESSION_S } from '../dialog/session-timer.ts';
import { parseNameAddr, tryParseUri } from '../message/address.ts';
import { BadMessage } from '../message/bad-message.ts';
import { respond, type SipRequest } from '../message/message.ts';
import { CallSdp } from '../media/call-sdp.ts';
import { randomText } from '../random-text.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import type { Flow } from '../transport/flow.ts';
import { mayCall, type Callers } from './callers.ts';
import { noCommonCodec, refusalOf, type Refusal } from './refusal.ts';

export interface IncomingCallsOptions {
  readonly callers: Callers;
  /** Patterns of names. Empty: all. */
  readonly streams: readonly string[];
  readonly calls: Pick<Calls, 'check' | 'take'>;
  readonly layer: TransactionLayer;
  readonly plant: CallPlant;
  readonly authorizer: Authorizer;
  /** Whether an application server decides about callers, too. */
  readonly asksServer: boolean;
  readonly logger: Logger;
}

/** Who calls, as far as it is proven, and the stream that the call asks for. */
interface Caller {
  readonly user: string;
  readonly stream: string | undefined;
  /** Whether the next call with the same names is of the same caller. */
  readonly isKnown: boolean;
}

const refuse = (status: number, headers: Refusal['headers'] = {}): Refusal => ({ status, headers });
const EXTENSIONS = new Set(['100rel', 'timer']);
const ANONYMOUS = 'anonymous';
/** Characters of a name that the caller has chosen. */
const MAX_SHOWN = 128;
/** For a look at an offer before there are sockets. */
const ANY_PORT = 9;

/**
 * Calls that come. Each check refuses without a transaction, so that a flood of them leaves nothing behind; the address,
 * the rate and the size were checked before.
 */
export class IncomingCalls {
  readonly #options: IncomingCallsOptions;

  constructor(options: IncomingCallsOptions) {
    this.#options = options;
  }

  /** An INVITE that begins a call. */
  take(request: SipRequest, flow: Flow): void {
    const { callers, layer } = this.#options;
    // It may have the address of a peer that the gateway has called.
    if (callers.mode !== 'registered' && !mayCall(callers, flow.address)) return;
    const refusal = this.#admit(request, flow);
    if (!refusal) return;
    const { status, headers } = refusal;
    if (status !== 401) this.#log({ from: flow.address, caller: callerOf(request), status });
    layer.reply(respond(request, status, { toTag: randomText(), headers }), flow);
  }

  #admit(request: SipRequest, flow: Flow): Refusal | undefined {
    if (!isComplete(request)) return refuse(400);
    const caller = this.#identify(request, flow);
    if ('status' in caller) return caller;
    const stream = caller.stream ?? '';
    const subject = this.#subjectOf(request, flow, caller, stream);
    try {
      if (this.#options.layer.isFull)
        throw new GatewayError('LIMIT_REACHED', 'There are too many transactions of SIP.');
      this.#options.calls.check(subject);
    } catch (error) {
      return refusalOf(toGatewayError(error));
    }
    if (!this.#permits(stream)) return refuse(404);
    const unknown = request.all('require').filter((extension) => !EXTENSIONS.has(extension.toLowerCase()));
    if (unknown.length > 0) return refuse(420, { unsupported: unknown.join(', ') });
    if (isShortSession(request)) return refuse(422, { 'min-se': String(MIN_SESSION_S) });
    const offer = request.bodyOf(SDP);
    if (offer === undefined && request.body.length > 0) return refuse(415, { accept: SDP });
    const kinds = this.#kindsOf(offer, flow);
    if (!kinds) return noCommonCodec;
    this.#start({ ...subject, ...kinds }, request, flow);
    return undefined;
  }

  #identify(request: SipRequest, { address }: Flow): Caller | Refusal {
    const { callers } = this.#options;
    const target = tryParseUri(request.uri);
    const stream = readUser(target?.params.get('stream')) ?? readUser(target?.user);
    switch (callers.mode) {
      case 'registered': {
        const account = callers.registrations.accepts({ address }, target?.user ?? '');
        if (!account) return refuse(403);
        const called = readUser(tryParseUri(request.to.uri)?.user);
        const isKnown = callerOf(request) !== ANONYMOUS;
        return { user: account.account, stream: account.stream ?? called, isKnown };
      }
      case 'trusted': {
        const user = callerOf(request);
        return { user, stream, isKnown: user !== ANONYMOUS };
      }
      case 'digest': {
        const proof = callers.gate.check(request, address);
        if (proof.kind === 'proven') return { user: proof.user, stream, isKnown: true };
        if (proof.kind === 'wrong') return refuse(403);
        const isStale = proof.kind === 'stale';
        return refuse(401, { 'www-authenticate': callers.gate.challenge(address, { isStale }) });
      }
    }
  }

  #subjectOf(request: SipRequest, { address }: Flow, { user, isKnown }: Caller, streamName: string): CallSubject {
    const { authorizer } = this.#options;
    const caller = callerOf(request);
    const own: Principal = { id: `sip:${user}`, actions: new Set(['publish']) };
    const principal = async (): Promise<Principal> =>
      this.#options.asksServer ? authorizer.identify({ door: 'sip', username: user, ip: address }) : own;
    return {
      callId: randomText(),
      incoming: true,
      resumeKey: isKnown ? `sip from ${user} ${caller}` : undefined,
      caller,
      callee: readUser(tryParseUri(request.to.uri)?.user) ?? streamName,
      streamName,
      hasAudio: false,
      hasVideo: false,
      appKey: DEFAULT_APPLICATION,
      visibleName: request.from.name.slice(0, MAX_SHOWN) || undefined,
      principalId: own.id,
      rights: {
        publish: async () => authorizer.authorize(await principal(), 'publish', { stream: streamName }),
        push: async (rtmpUrl, stream) =>
          authorizer.authorize(await principal(), 'push', { stream, destination: hostOfRtmpUrl(rtmpUrl) }),
      },
      clientAddress: address,
    };
  }

  #permits(stream: string): boolean {
    const { streams } = this.#options;
    return isStreamName(stream) && (streams.length === 0 || streams.some((pattern) => matchesName(pattern, stream)));
  }

  /** What of an offer can be taken; without one, what the gateway offers. */
  #kindsOf(offer: string | undefined, { protocol }: Flow): Pick<CallSubject, 'hasAudio' | 'hasVideo'> | undefined {
    if (offer === undefined) return { hasAudio: true, hasVideo: true };
    const { codecs, srtp } = this.#options.plant;
    const ports = { audio: ANY_PORT, video: ANY_PORT };
    const sdp = new CallSdp({ address: '0.0.0.0', ports, codecs, srtp, isPrivate: protocol === 'tls' });
    const agreed = sdp.answer(offer)?.agreed;
    return agreed && { hasAudio: agreed.audio !== undefined, hasVideo: agreed.video !== undefined };
  }

  #start(subject: CallSubject, request: SipRequest, flow: Flow): void {
    const { plant, layer, calls } = this.#options;
    const later = new LaterMedia();
    const leg = plant.agent.take(layer.accept(request, flow)!, later, randomText());
    const { hasAudio, hasVideo } = subject;
    const open = openIncoming(plant, { leg, later, hasAudio, hasVideo });
    leg.trying();
    const started = calls.take(subject, open).catch((error: unknown) => {
      const { code, message: reason } = toGatewayError(error);
      const { status, headers } = refusalOf(toGatewayError(error));
      this.#log({ from: flow.address, caller: subject.caller, streamName: subject.streamName, status, code, reason });
      leg.refuse(status, headers);
    });
    inBackground(started);
  }

  #log(refused: Readonly<Record<string, string | number>>): void {
    this.#options.logger.info(refused, 'an incoming call was refused');
  }
}

/** Everything that the dialog needs can be read. */
function isComplete(request: SipRequest): boolean {
  try {
    for (const route of request.all('record-route')) parseNameAddr(route);
    return request.all('contact').length === 1 && tryParseUri(parseNameAddr(request.get('contact')).uri) !== undefined;
  } catch (error) {
    if (error instanceof BadMessage) return false;
    throw error;
  }
}

/** Who calls, as the call itself says. */
function callerOf(request: SipRequest): string {
  const { uri } = request.from;
  return readUser(tryParseUri(uri)?.user) ?? /^tel:([+\d*#().-]{1,64})/i.exec(uri)?.[1] ?? ANONYMOUS;
}

/** Without parameters of the user, and without control characters, which could be escaped. */
function readUser(user = ''): string | undefined {
  const [name = ''] = user.split(';');
  try {
    const decoded = decodeURIComponent(name);
    return isStreamName(decoded) ? decoded : undefined;
  } catch {
    return undefined;
  }
}
