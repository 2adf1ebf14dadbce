import type { Contradiction } from './contradictions.ts';
import type { SettingKey, Settings } from './schema.ts';

/** Accounts that are configured by half. */
export function findSipMistakes(settings: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  const add = (key: SettingKey, message: string) => found.push({ key, message });
  const { sip_login: login, sip_password: password, sip_auth_name: authName } = settings;
  if (!settings.sip) {
    const [used] = (['sip_password', 'sip_login'] as const).filter((key) => settings[key] !== '');
    if (used) add(used, 'needs sip=true.');
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
  return found;
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
  if (incoming !== 'digest' && users !== '') add('sip_users', 'is used with sip_incoming=digest only.');
  if (incoming !== 'digest' && incoming !== 'trusted' && networks.length > 0)
    add('sip_incoming_networks', 'is used with sip_incoming=digest or sip_incoming=trusted only.');
}
