import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Destination } from './destination.ts';
import { normaliseHost } from './host-pattern.ts';

/**
 * Addresses that have been checked, at least one, in the order in which they should be tried. Connections may be made
 * to these only.
 */
export interface ResolvedDestination {
  readonly addresses: readonly string[];
}

export interface DestinationPolicyOptions {
  /** The gateway's own servers, such as the embedded RTMP server: always allowed. */
  readonly alsoAllow?: readonly { readonly address: string; readonly port: number }[];
  /** All addresses of a host, in the order in which they should be tried. Default: the system's resolver. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  /** Milliseconds after which a name counts as not resolved. */
  readonly timeoutMs?: number;
}

/**
 * The system's resolver tries each of its servers for 5 s. A REST client should get its answer before its own timeout.
 */
const LOOKUP_TIMEOUT_MS = 5000;

/** Errors of resolvers that are about the name. All others are about the resolver, and may pass. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'ENODATA',
  'NXDOMAIN',
  'EAI_NONAME',
  'EAI_NODATA',
  'EAI_ADDRFAMILY',
  'EBADNAME',
  'EINVAL',
]);
const NO_ANSWER = 'no answer';

/** Public IPv6 addresses are in this network (IANA's global unicast allocation, RFC 4291). */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3];

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Rule = (host: string, address: Address) => boolean;

/**
 * Decides where pushes may go, so that the gateway cannot be used to reach its own network. Must be asked before each
 * connection: what a name resolves to changes, sometimes on purpose (DNS rebinding).
 */
export class DestinationPolicy {
  readonly #allowNetworks: readonly Rule[];
  readonly #allowHosts: readonly Rule[];
  readonly #denyHosts: readonly Rule[];
  readonly #options: Required<DestinationPolicyOptions>;

  constructor(
    settings: Pick<Settings, 'destination_allow_networks' | 'destination_allow_hosts' | 'destination_deny_hosts'>,
    { alsoAllow = [], lookup = lookupAll, timeoutMs = LOOKUP_TIMEOUT_MS }: DestinationPolicyOptions = {},
  ) {
    this.#allowNetworks = settings.destination_allow_networks.map(parseRule);
    this.#allowHosts = settings.destination_allow_hosts.map(parseRule);
    this.#denyHosts = settings.destination_deny_hosts.map(parseRule);
    this.#options = { alsoAllow, lookup, timeoutMs };
  }

  /**
   * The addresses to connect to: those of the host that may be pushed to.
   *
   * @throws {GatewayError} DESTINATION_NOT_RESOLVED, DNS_UNAVAILABLE, DESTINATION_FORBIDDEN
   */
  async resolve(destination: Pick<Destination, 'host' | 'port'>): Promise<ResolvedDestination> {
    const host = normaliseHost(destination.host);
    const addresses = isIP(host) ? [host] : await this.#lookUp(host);
    const permitted = addresses.filter((address) => this.#permits(host, destination.port, ipaddr.process(address)));
    if (permitted.length > 0) return { addresses: permitted };
    throw new GatewayError(
      'DESTINATION_FORBIDDEN',
      `Pushing to ${host} is not allowed: it is a private or reserved address, or its host is not permitted. ` +
        'The operator of the gateway can allow it with destination_allow_networks or destination_allow_hosts, ' +
        'unless destination_deny_hosts names it.',
    );
  }

  /** Whether packets may go to an address that nobody has named by a host. */
  permitsAddress(address: string, port: number): boolean {
    return isIP(address) !== 0 && this.#permits(address, port, ipaddr.process(address));
  }

  /**
   * Denied hosts are never permitted. A private address must be named explicitly; a public one needs a permitted host.
   */
  #permits(host: string, port: number, address: Address): boolean {
    const matches = (rule: Rule): boolean => rule(host, address);
    if (this.#denyHosts.some(matches)) return false;
    if (
      this.#options.alsoAllow.some(
        (own) => own.port === port && ipaddr.process(own.address).toString() === address.toString(),
      )
    )
      return true;
    if (this.#allowNetworks.some(matches)) return true;
    return isPublic(address) && (this.#allowHosts.length === 0 || this.#allowHosts.some(matches));
  }

  async #lookUp(host: string): Promise<readonly string[]> {
    const { lookup, timeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${NO_ANSWER} within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      const addresses = (await Promise.race([lookup(host), timeout])).filter((address) => isIP(address) !== 0);
      if (addresses.length === 0) throw new Error('no addresses');
      return addresses;
    } catch (error) {
      throw notResolved(host, error as NodeJS.ErrnoException);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A name that does not exist is the client's fault; that it cannot be looked up at present is not. */
function notResolved(host: string, error: NodeJS.ErrnoException): GatewayError {
  const { code, message } = error;
  const why = `The host ${host} of rtmpUrl could not be resolved (${code ?? message}).`;
  const isPassing = code === undefined ? message.startsWith(NO_ANSWER) : !NO_SUCH_NAME.has(code);
  return isPassing
    ? new GatewayError(
        'DNS_UNAVAILABLE',
        `${why} The gateway's DNS does not answer at present. Try again, or send restore to let the push do it.`,
        { cause: error },
      )
    : new GatewayError('DESTINATION_NOT_RESOLVED', `${why} Check its spelling and the gateway's DNS.`, {
        cause: error,
      });
}

const lookupAll = async (host: string): Promise<string[]> =>
  (await dnsLookup(host, { all: true })).map(({ address }) => address);

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || (address as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

/** Whether an address is one of these addresses and networks. */
export function inNetworks(networks: readonly string[]): (address: string) => boolean {
  const rules = networks.map(parseRule);
  return (address) => isIP(address) !== 0 && rules.some((rule) => rule(address, ipaddr.process(address)));
}

/** An address, a network, a host name, `*.example.com` for all hosts below a domain, or `*`. */
function parseRule(text: string): Rule {
  if (ipaddr.isValidCIDR(text)) {
    const [network, bits] = ipaddr.parseCIDR(text);
    return (_, address) => address.kind() === network.kind() && address.match(network as never, bits);
  }
  if (isIP(text)) {
    const wanted = ipaddr.process(text).toString();
    return (_, address) => address.toString() === wanted;
  }
  const pattern = text.toLowerCase().replace(/\.$/, '');
  if (pattern === '*') return () => true;
  if (pattern.startsWith('*.')) return (host) => host.endsWith(pattern.slice(1));
  return (host) => host === pattern;
}
