import { isIP } from 'node:net';
import { DestinationPolicy } from '../net/destination-policy.ts';
import { hostMatches } from '../net/host-pattern.ts';
import type { Contradiction } from './contradictions.ts';
import type { SettingKey, Settings } from './schema.ts';

/** Whether calls may come over TLS, on a port of their own. */
export const takesTls = ({
  sip,
  sip_incoming: incoming,
  sip_tls_port: port,
  tls_cert: certificate,
}: Settings): boolean => sip && incoming !== 'off' && port !== 0 && certificate !== '';

export function findSipMistakes(settings: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  const add = (key: SettingKey, message: string) => found.push({ key, message });
  const { sip_login: login, sip_password: password, sip_auth_name: authName } = settings;
  if (!settings.sip) {
    const [used] = (['sip_password', 'sip_login'] as const).filter((key) => settings[key] !== '');
    if (used) add(used, 'needs sip=true.');
    if (settings.sip_register.length > 0) add('sip_register', 'needs sip=true.');
    if (settings.sip_incoming !== 'off') add('sip_incoming', 'needs sip=true.');
    return found;
  }
  if (settings.media_port_to - settings.media_port_from < 4)
    add('media_port_to', 'must be above media_port_from: a call with video needs four ports.');
  const { rtc_port: rtcPort, rtc_workers: workers } = settings;
  if (rtcPort !== 0 && rtcPort <= settings.media_port_to && rtcPort + workers - 1 >= settings.media_port_from)
    add('media_port_from', 'to media_port_to contain rtc_port. Give calls ports of their own.');
  if (password !== '' && login === '' && authName === '')
    add('sip_password', 'needs the name of its account: set sip_login.');
  if (password !== '' && settings.domain === '' && settings.outbound_proxy === '')
    add('sip_password', 'needs the server that it is for: set domain or outbound_proxy.');
  if (password !== '' && settings.sip_callees.length === 0)
    add(
      'sip_password',
      'lets every client that may call telephone on this account: set sip_callees to the numbers that may be called, or to * for all.',
    );
  if (authName !== '' && login === '') add('sip_auth_name', 'needs the name of its account: set sip_login.');
  findIncomingMistakes(settings, add);
  return [...found, ...findRegistrationMistakes(settings)];
}

/** Accounts that cannot be registered. */
function findRegistrationMistakes(settings: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  const accounts = new Map<string, number>();
  for (const [index, { user, domain, proxy }] of settings.sip_register.entries()) {
    const entry = index + 1;
    const add = (message: string) => found.push({ key: 'sip_register', message });
    const account = `${user}@${domain.toLowerCase()}`;
    const earlier = accounts.get(account);
    if (earlier !== undefined)
      add(
        `has ${account} in its entries ${earlier} and ${entry}. Keep one of the two: calls for one would reach both.`,
      );
    accounts.set(account, entry);
    const host = proxy?.host ?? domain;
    const remedy = forbiddenServer(host, proxy?.port, settings);
    if (remedy !== undefined) add(`names ${host} in its entry ${entry}, where SIP may not go. ${remedy}`);
  }
  return found;
}

/** What to change so that the gateway may use a SIP server. Addresses of names are checked when they are known. */
function forbiddenServer(host: string, port: number | undefined, settings: Settings): string | undefined {
  const { sip_allow_networks: networks, sip_allow_hosts: allowed, sip_deny_hosts: denied } = settings;
  if (port !== undefined && !settings.sip_allow_ports.some(({ first, last }) => port >= first && port <= last))
    return `Allow the port ${port} with sip_allow_ports.`;
  if (denied.some((pattern) => hostMatches(pattern, host))) return 'Remove it from sip_deny_hosts.';
  if (isIP(host) === 0) {
    const isAllowed = allowed.length === 0 || networks.length > 0 || allowed.some((one) => hostMatches(one, host));
    return isAllowed ? undefined : 'Add it to sip_allow_hosts.';
  }
  const policy = new DestinationPolicy({
    destination_allow_networks: networks,
    destination_allow_hosts: allowed,
    destination_deny_hosts: denied,
  });
  return policy.permitsAddress(host, port ?? 0)
    ? undefined
    : 'Add it to sip_allow_networks: it is a private or reserved address, or not among sip_allow_hosts.';
}

/** Incoming calls that nobody could make, or anybody. */
function findIncomingMistakes(settings: Settings, add: (key: SettingKey, message: string) => void): void {
  const { sip_incoming: incoming, sip_incoming_networks: networks, sip_users: users } = settings;
  if ((incoming === 'digest' || incoming === 'trusted') && networks.length === 0)
    add(
      'sip_incoming',
      `is ${incoming}, and nobody may call: set sip_incoming_networks to the addresses of the telephones, the PBX or the trunk.`,
    );
  if (incoming === 'digest' && users === '')
    add(
      'sip_incoming',
      'is digest, and nobody has a password: set sip_users to a file with user:password in each line.',
    );
  if (incoming === 'registered' && settings.sip_register.length === 0)
    add('sip_incoming', 'is registered, and no PBX knows the gateway: set sip_register to the accounts at your PBX.');
  if (incoming !== 'digest' && users !== '') add('sip_users', 'is used with sip_incoming=digest only.');
  if (incoming !== 'digest' && incoming !== 'trusted' && networks.length > 0)
    add('sip_incoming_networks', 'is used with sip_incoming=digest or sip_incoming=trusted only.');
}
