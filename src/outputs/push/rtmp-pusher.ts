import { EventEmitter } from 'node:events';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import { RtmpClient } from '../../rtmp/rtmp-client.ts';
import type { RtmpClientOptions, RtmpTimeouts } from '../../rtmp/rtmp-client.ts';
import { RtmpError } from '../../rtmp/rtmp-error.ts';
import type { RtmpErrorCode } from '../../rtmp/rtmp-error.ts';
import { Ticker } from '../../runtime/ticker.ts';
import { Liveness } from './liveness.ts';
import type { Pusher, PusherEvents, PusherFactory, PushTarget } from './pusher.ts';
import { skipsVerification, trustedAuthorities, type TlsTrust } from '../../net/tls-trust.ts';

export interface RtmpPusherOptions extends TlsTrust {
  /**
   * Queue what does not fit the socket's buffer (`rtmp.server_buffer_enabled`). Otherwise the pusher is not writable
   * until it fits.
   */
  readonly serverBuffer?: boolean | undefined;
  /** Bytes in an RTMP chunk. */
  readonly chunkSize?: number | undefined;
  readonly timeouts?: RtmpTimeouts | undefined;
  /** Called for each message of a server that cannot be decoded. */
  readonly onUndecodable?: (() => void) | undefined;
}

/** Bytes that may be queued for the socket with `serverBuffer`: two key frames of 4K. */
const MAX_QUEUED = 512 * 1024;
/**
 * Bytes that may be in transit to a peer that acknowledges. More would only add delay (this is 8 s at 1 Mbit/s) and
 * hide that the peer does not keep up.
 */
const MAX_UNACKNOWLEDGED = 1024 * 1024;
/** A peer that acknowledges rarely needs more in transit; in steps between its acknowledgements. */
const MAX_UNACKNOWLEDGED_STEPS = 4;
/** Interval of liveness checks, in milliseconds. */
const LIVENESS_INTERVAL = 1000;

const ERROR_CODES: Readonly<Record<RtmpErrorCode, ErrorCode>> = {
  unreachable: 'DESTINATION_UNREACHABLE',
  timeout: 'DESTINATION_TIMEOUT',
  lost: 'DESTINATION_LOST',
  protocol: 'DESTINATION_PROTOCOL',
  refused: 'DESTINATION_REFUSED',
  'name-refused': 'DESTINATION_REFUSED',
  authentication: 'DESTINATION_AUTHENTICATION',
  tls: 'DESTINATION_TLS',
  aborted: 'PUSHER_FAILED',
};

/**
 * Creates pushers with the gateway's own RTMP client (`push_engine=rtmp`). Reads the system's authorities once, which
 * blocks for a moment (`tls-trust.ts`).
 *
 * @throws {GatewayError} SETTINGS_INVALID if `caFile` cannot be read
 */
export function createRtmpPusher(options: RtmpPusherOptions = {}): PusherFactory {
  const secureContext = createSecureContext({ ca: [...trustedAuthorities(options.caFile)] });
  return (target) => new RtmpPusher(target, options, secureContext);
}

class RtmpPusher extends EventEmitter<PusherEvents> implements Pusher {
  readonly #serverBuffer: boolean;
  readonly #stallTimeoutMs: number;
  readonly #abort = new AbortController();
  readonly #connecting: Promise<void>;
  #client: RtmpClient | undefined;
  readonly #ignoresSilence: boolean;
  #liveness: Liveness | undefined;
  #stopTicking: (() => void) | undefined;
  #lastTickMs = 0;
  /** Total time during which this process could not run. It does not count as a stall of the peer. */
  #stoppedMs = 0;
  #over = false;
  #blocked = false;
  #acknowledgedMs = -Infinity;
  /** The peer owes acknowledgements and is silent: only what it takes then shows whether it hangs. */
  #unlimited = false;
  /** Something has been written. */
  #begun = false;
  /** Bytes sent before the first tag. */
  #overhead = 0;
  #reported = 0;

  constructor(target: PushTarget, options: RtmpPusherOptions, secureContext: SecureContext) {
    super();
    this.#serverBuffer = options.serverBuffer ?? true;
    this.#stallTimeoutMs = target.stallTimeoutMs;
    this.#ignoresSilence = target.ignoresSilence ?? false;
    this.#connecting = this.#connect(target, options, secureContext);
  }

  async #connect(target: PushTarget, options: RtmpPusherOptions, secureContext: SecureContext): Promise<void> {
    try {
      // In a later microtask, so that the caller can listen to the pusher first.
      await Promise.resolve();
      const client = await RtmpClient.create(clientOptions(target, options, secureContext), this.#abort.signal);
      if (this.#over) return void (await client.close());
      this.#start(client, target.resumes ?? false);
    } catch (error) {
      this.#die(...toGatewayError(error, target.resumes));
    }
  }

  #start(client: RtmpClient, resumes: boolean): void {
    this.#client = client;
    this.#overhead = client.sent;
    client.acknowledgements.mediaBegins(client.sent - client.queued);
    const timing = { timeoutMs: this.#stallTimeoutMs, ignoresSilence: this.#ignoresSilence };
    this.#liveness = new Liveness(timing, performance.now());
    const intervalMs = Math.min(LIVENESS_INTERVAL, this.#stallTimeoutMs / 4);
    this.#lastTickMs = performance.now();
    this.#stopTicking = Ticker.every(intervalMs).listen((nowMs) => this.#tick(nowMs, intervalMs));
    client.on('drain', () => this.#checkWritable());
    client.on('acknowledged', () => {
      this.#acknowledgedMs = performance.now();
      this.#checkProgress();
      this.#checkWritable();
    });
    client.on('lost', (error) => this.#die(...toGatewayError(error, resumes || this.#reported > 0)));
    client.on('reconnect', (request) => !this.#over && this.emit('reconnect', request));
    this.emit('ready', client.answer);
    if (client.reconnectRequest) this.emit('reconnect', client.reconnectRequest);
  }

  write(group: TagGroup): void {
    const client = this.#client;
    if (!client || this.#over) return;
    client.send(group);
    if (!this.writable) this.#blocked = true;
    if (this.#begun) return;
    // The first progress is checked at once, because the transponder is `pushing` from then on.
    this.#begun = true;
    setImmediate(() => this.#checkProgress());
  }

  get writable(): boolean {
    const client = this.#client;
    if (!client || this.#over) return false;
    if (this.#serverBuffer ? client.queued > MAX_QUEUED : client.full) return false;
    return this.#unlimited || !this.#owes(client);
  }

  /** Whether more is in transit to a peer that acknowledges than should be. */
  #owes(client: RtmpClient): boolean {
    const acknowledged = this.#acknowledged(client);
    if (acknowledged === undefined) return false;
    const { longestStep } = client.acknowledgements;
    return client.sent - acknowledged > Math.max(MAX_UNACKNOWLEDGED, MAX_UNACKNOWLEDGED_STEPS * longestStep);
  }

  get backlog(): number {
    const client = this.#client;
    if (!client || this.#over) return 0;
    const acknowledged = this.#acknowledged(client);
    return acknowledged === undefined ? client.queued : client.sent - acknowledged;
  }

  async close(): Promise<void> {
    this.#end();
    // A connection attempt is aborted. A publish is ended properly, after everything written has been sent.
    if (!this.#client) this.#abort.abort();
    await this.#connecting;
    await this.#client?.close();
  }

  /**
   * What the peer has acknowledged, as soon as that includes media: acknowledgements while connecting do not show how
   * often it will acknowledge.
   */
  #acknowledged({ acknowledgements: { known, acknowledged } }: RtmpClient): number | undefined {
    return known && acknowledged > this.#overhead ? acknowledged : undefined;
  }

  /** Checks `writable` again: there may be room, or less room after a first acknowledgement. */
  #checkWritable(): void {
    if (this.#over) return;
    const { writable } = this;
    const drained = writable && this.#blocked;
    this.#blocked = !writable;
    if (drained) this.emit('drain');
  }

  /**
   * If the timer fires late, this process could not run: acknowledgements may be waiting to be read, and nothing was
   * sent.
   */
  #tick(nowMs: number, intervalMs: number): void {
    this.#stoppedMs += Math.max(0, nowMs - this.#lastTickMs - 2 * intervalMs);
    this.#lastTickMs = nowMs;
    this.#checkProgress();
  }

  /** Reports what has been taken, and ends the connection to a peer that takes nothing. */
  #checkProgress(): void {
    const client = this.#client;
    const liveness = this.#liveness;
    if (!client || !liveness || this.#over) return;
    const nowMs = performance.now();
    const bytes = {
      handed: client.sent,
      queued: client.queued,
      acknowledged: this.#acknowledged(client),
      rhythm: client.acknowledgements.rhythm,
    };
    const isSilent = nowMs - this.#acknowledgedMs >= this.#stallTimeoutMs / 2;
    this.#unlimited = this.#owes(client) && (this.#unlimited || isSilent);
    if (this.#unlimited) this.#checkWritable();
    if (liveness.update(bytes, nowMs - this.#stoppedMs)) {
      const before = client.objection ? `. Before that: ${client.objection.message}` : '';
      return this.#die(
        new GatewayError(
          'DESTINATION_STALLED',
          `The server has taken nothing for ${this.#stallTimeoutMs / 1000} s${before}`,
        ),
      );
    }
    const taken = liveness.taken - this.#overhead;
    if (taken <= this.#reported) return;
    this.#reported = taken;
    this.emit('progress', taken);
  }

  #die(error: GatewayError, nameInUse = false): void {
    if (this.#over) return;
    this.#end();
    this.#client?.abort(new RtmpError('aborted', error.message));
    this.emit('died', error, nameInUse);
  }

  #end(): void {
    this.#over = true;
    this.#stopTicking?.();
  }
}

function clientOptions(
  target: PushTarget,
  options: RtmpPusherOptions,
  secureContext: SecureContext,
): RtmpClientOptions {
  const { destination } = target;
  const insecure = skipsVerification(destination, options);
  return {
    host: destination.host,
    addresses: target.addresses,
    port: destination.port,
    localAddress: target.localAddress,
    tls: destination.scheme === 'rtmps' ? { secureContext, insecure } : undefined,
    app: destination.app.reveal(),
    streamName: destination.streamName.reveal(),
    tcUrl: destination.tcUrl.reveal(),
    flashVersion: target.flashVersion,
    extras: target.extras,
    user: destination.user?.reveal(),
    password: destination.password?.reveal(),
    chunkSize: options.chunkSize,
    timeouts: options.timeouts,
    onUndecodable: (reason) => {
      options.onUndecodable?.();
      target.logger?.debug({ reason }, 'the server sent a message that cannot be decoded: ignored');
    },
  };
}

/** The error, and whether the server still holds the name for an earlier connection of this push. */
function toGatewayError(error: unknown, resumes = false): [error: GatewayError, nameInUse: boolean] {
  if (!(error instanceof RtmpError))
    return [new GatewayError('PUSHER_FAILED', 'The RTMP client failed', { cause: error }), false];
  // A refusal that may be temporary counts as a lost connection, which is retried. So does the refusal of a name that
  // was accepted before: a server may need minutes to notice that the previous connection is gone (docs/rtmp.md).
  const nameInUse = error.code === 'name-refused' && resumes;
  const isTemporary = nameInUse || (error.code === 'refused' && !error.final);
  const code = isTemporary ? 'DESTINATION_LOST' : ERROR_CODES[error.code];
  return [new GatewayError(code, error.message, { cause: error }), nameInUse];
}
