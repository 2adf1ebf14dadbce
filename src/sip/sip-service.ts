import { createSecureContext, type SecureContext } from 'node:tls';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Certificate } from '../net/certificate.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { trustedAuthorities } from '../net/tls-trust.ts';
import { limitHits } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { LoginGuard } from '../access/login-guard.ts';
import type { PublicationContext } from '../sessions/publication.ts';
import { mediaAddresses } from '../webrtc/media-addresses.ts';
import type { WorkerPool } from '../webrtc/worker-pool.ts';
import { Calls } from './call/calls.ts';
import type { CallContext } from './call/call.ts';
import type { CallPlant } from './call/outgoing-call.ts';
import { registerOnce } from './call/register-once.ts';
import { SipPolicy } from './call/sip-policy.ts';
import { SerialWork } from '../runtime/async.ts';
import { systemClock } from '../runtime/clock.ts';
import { UserAgent } from './dialog/user-agent.ts';
import { takesTls } from '../config/sip-contradictions.ts';
import { createCallers, mayCall } from './incoming/callers.ts';
import { IncomingCalls } from './incoming/incoming-calls.ts';
import { CallSounds } from './media/call-sounds.ts';
import { CODEC_NAMES, type CodecName } from './media/codecs.ts';
import { InjectedStream, type InjectedStreamOptions } from './media/injected-stream.ts';
import { PortPool } from './media/port-pool.ts';
import { Registration } from './registration/registration.ts';
import { Registrations } from './registration/registrations.ts';
import { registerSipMetrics } from './sip-metrics.ts';
import { TransactionLayer } from './transaction/transaction-layer.ts';
import { LocalAddresses } from './transport/local-addresses.ts';
import { PeerAddresses } from './transport/peer-addresses.ts';
import { SipTransport } from './transport/sip-transport.ts';

export interface SipServiceOptions {
  readonly settings: Settings;
  readonly pool: WorkerPool;
  readonly publication: PublicationContext;
  /** For audio that calls are sent. */
  readonly streams: InjectedStreamOptions;
  readonly authorizer: Pick<LoginGuard, 'identify' | 'authorize' | 'failures'>;
  /** For calls that come over TLS. */
  readonly certificate: Certificate | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

interface SipParts {
  readonly calls: Calls;
  readonly registrations: Registrations;
  readonly transport: SipTransport;
  readonly layer: TransactionLayer;
  readonly ports: PortPool;
}

/** Addresses whose requests are counted. */
const MAX_COUNTED = 10_000;

/** Everything of SIP: its sockets, its calls, and what joins them to the rest of the gateway. */
export class SipService {
  readonly calls: Calls;
  /** Not started: calls come as soon as they are. */
  readonly registrations: Registrations;
  readonly #transport: SipTransport;
  readonly #layer: TransactionLayer;
  readonly #ports: PortPool;
  #closing: Promise<void> | undefined;

  private constructor(parts: SipParts) {
    this.calls = parts.calls;
    this.registrations = parts.registrations;
    this.#transport = parts.transport;
    this.#layer = parts.layer;
    this.#ports = parts.ports;
  }

  /** @throws {GatewayError} SETTINGS_INVALID */
  static async create({
    settings,
    pool,
    publication,
    streams,
    authorizer,
    certificate,
    metrics,
    logger: parent,
  }: SipServiceOptions): Promise<SipService> {
    const logger = parent.child({ part: 'sip' });
    const clock = systemClock;
    const [{ ip: bound, announced }] = mediaAddresses(settings) as [{ ip: string; announced?: string }];
    const address = settings.ip_local || (bound === '::' ? '0.0.0.0' : bound);
    const peers = new PeerAddresses();
    const callers = createCallers(settings, {
      // Made below, before a call can come.
      registrations: { accepts: (source, contactUser) => registrations.accepts(source, contactUser) },
      failures: authorizer.failures,
      clock,
    });
    const locals = new LocalAddresses({
      bound: address,
      announced: settings.ip === '' ? '' : (announced ?? settings.ip),
      learns: settings.sip_nat === 'auto',
    });
    const transport = await SipTransport.create({
      address,
      port: settings.sip_port,
      tls: takesTls(settings) && certificate ? { port: settings.sip_tls_port, certificate } : undefined,
      locals,
      secureContext: secureContextOf(settings),
      admits: (from) => peers.has(from) || mayCall(callers, from),
      takesRequest: requestLimit(settings.max_sip_requests_per_second_per_ip),
      maxConnections: settings.max_sip_connections,
      onFull: () => limitHits.count('max_sip_connections'),
      clock,
      logger,
    });
    const layer = new TransactionLayer({ wire: transport, clock, maxDatagram: settings.sip_udp_mtu });
    const policy = new SipPolicy(settings);
    const dialog = {
      userAgent: settings.user_agent,
      localOf: transport.localOf.bind(transport),
      permits: policy.permits.bind(policy),
    };
    // Set below, before anything can come.
    let incoming: IncomingCalls | undefined;
    const agent = new UserAgent({
      layer,
      clock,
      ...dialog,
      ...(callers && {
        onInvite: (request, flow) => incoming?.take(request, flow),
        isTrunk: (from) => mayCall(callers, from),
      }),
    });
    const ports = new PortPool({ address, from: settings.media_port_from, to: settings.media_port_to, clock });
    const registering = {
      layer,
      clock,
      random: Math.random,
      expiresS: settings.sip_register_expires_s,
      dialog,
      locals,
      hold: peers.hold.bind(peers),
    };
    const plant: CallPlant = {
      agent,
      pool,
      ports,
      locals,
      clock,
      codecs: codecsOf(settings, logger),
      srtp: settings.sip_srtp,
      permitsMedia: policy.permitsMedia.bind(policy),
      sessionExpiresS: settings.sip_session_expires_s,
      answerTimeoutMs: settings.sip_answer_timeout_s * 1000,
      inactivityMs: settings.rtp_activity_detecting * 1000,
      maxDatagram: settings.sip_udp_mtu,
      keepAlive: transport.keepAlive.bind(transport),
      hold: peers.hold.bind(peers),
      registerOnce: registerOnce(
        ({ credentials }, account, flow) =>
          new Registration({
            ...registering,
            account,
            registrar: `sip:${account.slice(account.indexOf('@') + 1)}`,
            locate: async () => [flow],
            credentials,
            // The call sends them.
            keepAlive: () => undefined,
            turns: new SerialWork(),
          }),
      ),
      logger,
    };
    const context: CallContext = {
      publication,
      clock,
      streamNamePrefix: settings.rtmp_transponder_stream_name_prefix,
      maxCallMs: settings.max_call_minutes * 60_000,
      nodeId: settings.node_id || undefined,
      logger,
    };
    const sounds = new CallSounds(settings.media_dir, logger);
    const calls = new Calls({
      settings,
      context,
      plant,
      policy,
      clock,
      loadSound: (fileName, codec) => sounds.load(fileName, codec),
      openStream: (...about) => InjectedStream.open(streams, ...about),
    });
    if (callers)
      incoming = new IncomingCalls({
        callers,
        streams: settings.sip_streams,
        asksServer: settings.auth_url !== '',
        ...{ calls, layer, plant, authorizer, logger },
      });
    calls.on('call', ({ subject: { callId, incoming, streamName }, status, end }) => {
      const why = end && { code: end.error.code, reason: end.error.message };
      logger.info({ callId, incoming, streamName, status, ...why }, 'call');
    });
    const registrations = new Registrations({
      ...registering,
      accounts: settings.sip_register,
      transport: settings.sip_transport,
      policy,
      keepAlive: transport.keepAlive.bind(transport),
      logger,
    });
    transport.on('failed', (flow) => registrations.wireFailed(flow));
    registerSipMetrics(metrics, { calls, registrations, transport, layer, ports });
    logger.info({ address, port: transport.port }, 'SIP listens');
    return new SipService({ calls, registrations, transport, layer, ports });
  }

  get port(): number {
    return this.#transport.port;
  }

  /** Ends all calls with a BYE and all registrations, then everything else. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const hadCalls = this.calls.size > 0;
    this.calls.close(new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.'));
    // The BYEs leave, and most of their answers come.
    const byes = hadCalls && new Promise<void>((resolve) => systemClock.after(BYE_MS, resolve));
    await Promise.all([byes, this.registrations.close()]);
    this.#layer.close();
    this.#ports.close();
    await this.#transport.close();
  }
}

/** Milliseconds for the last messages. */
const BYE_MS = 300;

function secureContextOf({ sip_tls_ca: caFile }: Settings): () => SecureContext {
  let context: SecureContext | undefined;
  return () => (context ??= createSecureContext({ ca: [...trustedAuthorities(caFile || undefined)] }));
}

/** Requests of one address, with a burst of two seconds. */
function requestLimit(perSecond: number): (address: string) => boolean {
  const buckets = new Map<string, TokenBucket>();
  return (address) => {
    let bucket = buckets.get(address);
    if (!bucket) {
      if (buckets.size >= MAX_COUNTED) buckets.clear();
      buckets.set(address, (bucket = new TokenBucket({ burst: 2 * perSecond, perSecond })));
    }
    if (bucket.take(performance.now())) return true;
    limitHits.count('max_sip_requests_per_second_per_ip');
    return false;
  };
}

function codecsOf({ codecs, codecs_exclude_sip: excluded }: Settings, logger: Logger): CodecName[] {
  const known = codecs.filter((name): name is CodecName => (CODEC_NAMES as readonly string[]).includes(name));
  const unknown = codecs.filter((name) => !(CODEC_NAMES as readonly string[]).includes(name));
  if (unknown.length > 0) logger.warn({ codecs: unknown }, 'codecs that calls do not have here are ignored');
  return known.filter((name) => !excluded.includes(name));
}
