import { createSecureContext, type SecureContext } from 'node:tls';
import { toGatewayError } from '../../../errors.ts';
import type { Destination } from '../../../net/destination.ts';
import type { ResolvedDestination } from '../../../net/destination-policy.ts';
import { skipsVerification, trustedAuthorities, type TlsTrust } from '../../../net/tls-trust.ts';
import type { ConnectExtras } from '../../../rtmp/connect-extras.ts';
import type { ConnectAnswer, RtmpTimeouts } from '../../../rtmp/rtmp-client.ts';
import { probeRtmp, type ProbeStep, type ProbeStepResult } from '../../../rtmp/rtmp-probe.ts';
import { verdict } from './verdict.ts';
import type { Verdict } from '../../../views/push-view.ts';

export interface WireCheckOptions extends TlsTrust {
  readonly resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly flashVersion: string;
  readonly localAddress?: string;
  /** Default: ten seconds for each step. */
  readonly timeouts?: RtmpTimeouts;
}

/** What `connect` says besides the fields of RTMP 1.0, and where the answer goes. */
export interface WireConnect {
  readonly extras: ConnectExtras;
  readonly onAnswer: (answer: ConnectAnswer) => void;
}

/** Connects to the server of a push as a push would, but publishes nothing. */
export class WireCheck {
  readonly #options: WireCheckOptions;
  readonly #secureContext: SecureContext;

  /** @throws {GatewayError} SETTINGS_INVALID if `caFile` cannot be read */
  constructor(options: WireCheckOptions) {
    this.#options = options;
    this.#secureContext = createSecureContext({ ca: [...trustedAuthorities(options.caFile)] });
  }

  /** The verdicts up to the first step that failed. */
  async check(
    destination: Destination,
    flashVersion: string | undefined,
    signal: AbortSignal,
    connect?: WireConnect,
  ): Promise<Verdict[]> {
    const { verdicts, addresses } = await this.#resolve(destination);
    signal.throwIfAborted();
    if (!addresses) return verdicts;
    const insecure = skipsVerification(destination, this.#options);
    const { steps, answer } = await probeRtmp(
      {
        host: destination.host,
        addresses,
        port: destination.port,
        localAddress: this.#options.localAddress,
        tls: destination.scheme === 'rtmps' ? { secureContext: this.#secureContext, insecure } : undefined,
        app: destination.app.reveal(),
        streamName: destination.streamName.reveal(),
        tcUrl: destination.tcUrl.reveal(),
        flashVersion: flashVersion ?? this.#options.flashVersion,
        extras: connect?.extras,
        user: destination.user?.reveal(),
        password: destination.password?.reveal(),
        timeouts: this.#options.timeouts,
      },
      signal,
    );
    if (answer) connect?.onAnswer(answer);
    const wire = steps.map((step) => verdictOf(step, insecure));
    return [...verdicts, ...wire, ...(wire.every(({ level }) => level !== 'error') ? [KEY_NOT_CHECKED] : [])];
  }

  async #resolve(destination: Destination): Promise<{ verdicts: Verdict[]; addresses?: readonly string[] }> {
    const startMs = performance.now();
    const resolved = (): Verdict =>
      verdict('dns', 'ok', `${destination.host} resolves, ${milliseconds(performance.now() - startMs)}`);
    try {
      const { addresses } = await this.#options.resolve(destination);
      return {
        verdicts: [resolved(), verdict('policy', 'ok', 'pushing to this server is allowed')],
        addresses,
      };
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (error.code === 'DESTINATION_FORBIDDEN')
        return {
          verdicts: [
            resolved(),
            verdict('policy', 'error', error.message, {
              rule: 'the destination policy of the gateway',
              source: 'settings of the gateway',
              remedy: 'Ask the operator of the gateway to allow this host, or push to another one.',
            }),
          ],
        };
      if (error.code === 'DNS_UNAVAILABLE')
        return { verdicts: [verdict('dns', 'error', error.message, { remedy: 'Try again in a moment.' })] };
      if (error.code !== 'DESTINATION_NOT_RESOLVED') throw error;
      return {
        verdicts: [
          verdict('dns', 'error', error.message, { remedy: "Check the spelling of the host and the gateway's DNS." }),
        ],
      };
    }
  }
}

/** A platform answers `connect` with any key. */
const KEY_NOT_CHECKED = verdict(
  'streamKey',
  'ok',
  'not checked: servers compare the key only when a stream is published',
  {
    remedy: 'If the push is refused or ends at once, copy the key from the platform again.',
  },
);

const milliseconds = (ms: number): string => `${Math.round(ms)} ms`;

function verdictOf({ step, ms, error, certificate }: ProbeStepResult, insecure: boolean): Verdict {
  const time = milliseconds(ms);
  if (error) return verdict(step, 'error', `${error.message} (${time})`, { remedy: remedyOf(step, error.code) });
  if (step !== 'tls') return verdict(step, 'ok', time);
  if (insecure)
    return verdict(step, 'warning', `the certificate is not verified, ${time}`, {
      rule: 'the certificate is valid for the host',
      source: 'rtmps_insecure_host of the gateway',
      remedy: 'Remove rtmps_insecure_host, and name the authority of the server in rtmps_ca_file if it has its own.',
    });
  const { protocol = '', issuer = '', validTo = '' } = certificate ?? {};
  return verdict(step, 'ok', `${protocol}, certificate of ${issuer || 'an unnamed issuer'} until ${validTo}, ${time}`);
}

function remedyOf(step: ProbeStep, code: string): string {
  if (code === 'authentication') return 'Write user and password into the URL: rtmp://USER:PASSWORD@HOST/…';
  if (code === 'tls')
    return (
      'Check the host name of the URL. If the server has its own authority, the operator of the gateway can name ' +
      'it in rtmps_ca_file. If the server does not speak TLS, use rtmp://.'
    );
  return REMEDIES[step];
}

const REMEDIES: Readonly<Record<ProbeStep, string>> = {
  tcp: 'Check host and port, and whether a firewall blocks connections from the gateway to this port.',
  tls: 'Check the port: RTMPS has another one than RTMP. Try again, because the connection may have been lost.',
  handshake: 'Check the port: a server answers there that does not speak RTMP, or needs rtmps://.',
  connect: 'Check the application, the part of the URL after the host.',
  createStream: 'Try again. If it stays so, the server does not accept streams at the moment.',
};
