import { resolveSrv } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Settings } from '../../config/schema.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { DestinationPolicy, type DestinationPolicyOptions } from '../../net/destination-policy.ts';
import type { Flow } from '../transport/flow.ts';
import type { ServerName } from './account.ts';

type PolicySettings = Pick<Settings, 'sip_allow_networks' | 'sip_allow_hosts' | 'sip_deny_hosts' | 'sip_allow_ports'>;

interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

interface Place {
  readonly host: string;
  readonly port: number;
}

export interface SipPolicyOptions extends DestinationPolicyOptions {
  readonly srv?: (name: string) => Promise<readonly SrvRecord[]>;
}

const SERVICES = { udp: '_sip._udp', tcp: '_sip._tcp', tls: '_sips._tcp' } as const;
const DEFAULT_PORT = { udp: 5060, tcp: 5060, tls: 5061 } as const;
const SRV_TIMEOUT_MS = 3000;
/** Targets of one name that are tried. */
const MAX_TARGETS = 4;

/** Decides where SIP and its media may go: REST clients and peers name hosts, and the gateway must not reach its own network for them. */
export class SipPolicy {
  readonly #policy: DestinationPolicy;
  readonly #ports: PolicySettings['sip_allow_ports'];
  readonly #srv: NonNullable<SipPolicyOptions['srv']>;

  constructor(settings: PolicySettings, { srv = resolveSrv, ...options }: SipPolicyOptions = {}) {
    this.#policy = new DestinationPolicy(
      {
        destination_allow_networks: settings.sip_allow_networks,
        destination_allow_hosts: settings.sip_allow_hosts,
        destination_deny_hosts: settings.sip_deny_hosts,
      },
      options,
    );
    this.#ports = settings.sip_allow_ports;
    this.#srv = srv;
  }

  /** Where requests to a server go. @throws {GatewayError} SIP_DESTINATION_NOT_RESOLVED, SIP_DESTINATION_FORBIDDEN */
  async resolve(server: ServerName): Promise<Flow> {
    let failure: unknown;
    for (const place of await this.#places(server))
      try {
        return (await this.#flows(place, server))[0]!;
      } catch (error) {
        failure ??= error;
      }
    throw failure;
  }

  /** All places of a server, at least one, in the order in which they should be tried. @throws {GatewayError} as {@link resolve} */
  async resolveAll(server: ServerName): Promise<readonly Flow[]> {
    const places = await this.#places(server);
    const found = await Promise.allSettled(places.map((place) => this.#flows(place, server)));
    const flows = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (flows.length > 0) return flows;
    throw found.find((one) => one.status === 'rejected')?.reason;
  }

  /** Whether requests of a call may go where the peer says. */
  permits(address: string, port: number): boolean {
    return this.#takesPort(port) && this.#policy.permitsAddress(address, port);
  }

  /** Whether media may go where the peer says. */
  permitsMedia(address: string): boolean {
    return this.#policy.permitsAddress(address, 0);
  }

  async #places({ host, port, protocol }: ServerName): Promise<readonly Place[]> {
    const targets = port === undefined && isIP(host) === 0 ? await this.#targets(host, protocol) : [];
    return targets.length > 0 ? targets : [{ host, port: port ?? DEFAULT_PORT[protocol] }];
  }

  async #flows({ host, port }: Place, { host: serverName, protocol }: ServerName): Promise<readonly Flow[]> {
    if (!this.#takesPort(port))
      throw new GatewayError(
        'SIP_DESTINATION_FORBIDDEN',
        `Port ${port} is not allowed for SIP. The operator of the gateway can allow it with sip_allow_ports.`,
      );
    try {
      const addresses = (await this.#policy.resolve({ host, port })).addresses.filter((one) => isIP(one) === 4);
      if (addresses.length === 0)
        throw new GatewayError('SIP_DESTINATION_NOT_RESOLVED', `${host} has no IPv4 address.`);
      return addresses.map((address) => ({ protocol, address, port, ...(protocol === 'tls' && { serverName }) }));
    } catch (error) {
      throw asSipError(error, host);
    }
  }

  #takesPort(port: number): boolean {
    return this.#ports.some(({ first, last }) => port >= first && port <= last);
  }

  async #targets(host: string, protocol: Flow['protocol']): Promise<Place[]> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer')), SRV_TIMEOUT_MS);
    });
    try {
      const records = await Promise.race([this.#srv(`${SERVICES[protocol]}.${host}`), timeout]);
      return [...records]
        .sort((one, other) => one.priority - other.priority || other.weight - one.weight)
        .slice(0, MAX_TARGETS)
        .filter(({ name }) => name !== '' && name !== '.')
        .map(({ name, port }) => ({ host: name, port }));
    } catch {
      // Most domains have no such record: their address is taken.
      return [];
    } finally {
      clearTimeout(timer);
    }
  }
}

function asSipError(error: unknown, host: string): GatewayError {
  const { code } = toGatewayError(error);
  if (code === 'DESTINATION_FORBIDDEN')
    return new GatewayError(
      'SIP_DESTINATION_FORBIDDEN',
      `Calls to ${host} are not allowed: it is a private or reserved address, or its host is not permitted. ` +
        'The operator of the gateway can allow it with sip_allow_networks or sip_allow_hosts, unless ' +
        'sip_deny_hosts names it.',
      { cause: error },
    );
  if (code === 'DESTINATION_NOT_RESOLVED' || code === 'DNS_UNAVAILABLE')
    return new GatewayError(
      'SIP_DESTINATION_NOT_RESOLVED',
      `The SIP server ${host} could not be resolved. Check sipDomain and sipOutboundProxy, and the gateway's DNS.`,
      { cause: error },
    );
  return toGatewayError(error);
}
