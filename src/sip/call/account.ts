import { isIP } from 'node:net';
import { matchesName } from '../../access/rights.ts';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import { normaliseHost, hostMatches } from '../../net/host-pattern.ts';
import { Secret } from '../../net/secret.ts';
import type { SipCredentials } from '../digest.ts';
import { formatHost, tryParseUri, type Protocol } from '../message/address.ts';

/** The account fields of a request, as they were sent. */
export interface AccountFields {
  readonly callee: string;
  readonly sipLogin?: string | undefined;
  readonly sipAuthenticationName?: string | undefined;
  readonly sipPassword?: string | undefined;
  readonly sipDomain?: string | undefined;
  readonly sipOutboundProxy?: string | undefined;
  readonly sipPort?: number | undefined;
  readonly sipTransport?: Protocol | undefined;
}

/** A server by its name or address. */
export interface ServerName {
  readonly host: string;
  /** `undefined`: as DNS says, or the default. */
  readonly port: number | undefined;
  readonly protocol: Protocol;
}

/** Whom a call is from and to, and where it goes. */
export interface CallAddress {
  readonly remoteUri: string;
  /** Host of the callee: the number is known there. */
  readonly host: string;
  /** The user of From; the domain is `undefined` if it is the gateway's own address. */
  readonly user: string;
  readonly domain: string | undefined;
  readonly server: ServerName;
  readonly credentials: SipCredentials | undefined;
}

type AccountSettings = Pick<
  Settings,
  | 'domain'
  | 'outbound_proxy'
  | 'outbound_port'
  | 'sip_login'
  | 'sip_auth_name'
  | 'sip_password'
  | 'sip_transport'
  | 'sip_callees'
  | 'sip_allow_hosts'
>;

const ANONYMOUS = 'gateway';
const USER = /^[A-Za-z0-9\-_.!~*'()&=+$,;?/%#]{1,128}$/;

/**
 * Completes a request with the account of the settings. A password of the settings is never sent to another server than
 * theirs.
 *
 * @throws {GatewayError} INVALID_REQUEST, CALLEE_FORBIDDEN
 */
export function callAddress(fields: AccountFields, settings: AccountSettings): CallAddress {
  const domain = fields.sipDomain ?? (settings.domain || undefined);
  const isSameDomain = fields.sipDomain === undefined || sameHost(fields.sipDomain, settings.domain);
  const proxy = fields.sipOutboundProxy ?? (isSameDomain ? settings.outbound_proxy || undefined : undefined);
  const callee = readCallee(fields.callee, domain ?? proxy);
  const protocol = callee.isSecure ? 'tls' : (fields.sipTransport ?? callee.protocol ?? settings.sip_transport);
  const named = splitPort(proxy ?? domain ?? callee.host);
  const isDirect = proxy === undefined && domain === undefined;
  const port =
    fields.sipPort ??
    named.port ??
    (isDirect ? callee.port : isSameDomain && settings.outbound_port !== '' ? settings.outbound_port : undefined);
  const isStored =
    isSameDomain &&
    (fields.sipOutboundProxy === undefined || sameHost(fields.sipOutboundProxy, settings.outbound_proxy)) &&
    (fields.sipPort === undefined || fields.sipPort === settings.outbound_port) &&
    (fields.sipLogin === undefined || fields.sipLogin === settings.sip_login) &&
    (settings.domain !== '' || settings.outbound_proxy !== '');
  const login = fields.sipLogin ?? (isSameDomain ? settings.sip_login : '');
  const name =
    fields.sipAuthenticationName ?? (isStored && settings.sip_auth_name !== '' ? settings.sip_auth_name : login);
  const password = fields.sipPassword ?? (isStored ? settings.sip_password : '');
  if (login !== '' && !USER.test(login))
    throw invalid("sipLogin must have letters, digits and -_.!~*'()&=+$,;?/% only.");
  checkCallee(callee, domain, settings, fields.sipPassword === undefined && password !== '');
  const portOfCallee = callee.port === undefined ? '' : `:${callee.port}`;
  return {
    remoteUri: `${callee.isSecure ? 'sips' : 'sip'}:${callee.user}@${formatHost(callee.host)}${portOfCallee}`,
    host: callee.host,
    user: login === '' ? ANONYMOUS : login,
    domain,
    server: { host: named.host, port, protocol },
    credentials: password === '' ? undefined : { username: name, password: new Secret(password) },
  };
}

interface Callee {
  readonly user: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly protocol: Protocol | undefined;
  readonly isSecure: boolean;
}

/** A number, `user@host`, or a SIP URI. */
function readCallee(text: string, domain: string | undefined): Callee {
  const hasScheme = /^sips?:/i.test(text);
  if (!hasScheme && !text.includes('@')) {
    if (!USER.test(text)) throw invalid('callee must be a number, user@host or a sip: URI.');
    if (domain === undefined)
      throw invalid('callee has no host, and there is no sipDomain: send user@host, or set domain.');
    return { user: text, host: splitPort(domain).host, port: undefined, protocol: undefined, isSecure: false };
  }
  const uri = tryParseUri(hasScheme ? text : `sip:${text}`);
  if (!uri?.user || !USER.test(uri.user)) throw invalid('callee must be a number, user@host or a sip: URI.');
  const transport = uri.params.get('transport')?.toLowerCase();
  const protocol = transport === 'udp' || transport === 'tcp' || transport === 'tls' ? transport : undefined;
  return { user: uri.user, host: uri.host, port: uri.port, protocol, isSecure: uri.scheme === 'sips' };
}

/** Calls cost money: who may be called is decided here. */
function checkCallee(
  { user, host }: Callee,
  domain: string | undefined,
  settings: AccountSettings,
  usesStoredPassword: boolean,
): void {
  const { sip_callees: patterns, sip_allow_hosts: hosts } = settings;
  const isListed = patterns.some((pattern) => matchesName(pattern, user) || matchesName(pattern, `${user}@${host}`));
  if ((patterns.length > 0 || usesStoredPassword) && !isListed)
    throw new GatewayError(
      'CALLEE_FORBIDDEN',
      `${user} may not be called. The operator of the gateway allows numbers with sip_callees.`,
    );
  if (domain !== undefined && !sameHost(host, domain) && !hosts.some((pattern) => hostMatches(pattern, host)))
    throw new GatewayError(
      'CALLEE_FORBIDDEN',
      `The callee is at ${host}, which is not sipDomain. The operator of the gateway allows other hosts with sip_allow_hosts.`,
    );
}

/** `host` or `host:port`. */
function splitPort(text: string): { readonly host: string; readonly port: number | undefined } {
  const match = /^([\w.-]{1,253}|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i.exec(text);
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  if (isIP(text) === 6) return { host: text, port: undefined };
  if (!match || port === 0 || (port ?? 1) > 65_535)
    throw invalid('sipDomain and sipOutboundProxy must be host names or addresses, with :port where it is needed.');
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
}

const sameHost = (one: string, other: string): boolean =>
  normaliseHost(one.split(':')[0]!) === normaliseHost(other.split(':')[0]!);

const invalid = (message: string): GatewayError => new GatewayError('INVALID_REQUEST', message);
