import { z } from 'zod';
import { MAX_PORT } from '../fields.ts';
import { choice, flag, hostRules, integer, listOf, networks, optionalPort, port } from '../fields.ts';
import { registeredAccounts } from '../sip-register.ts';

const host = z
  .string()
  .regex(/^[\w.-]*$/, 'must be a host name or an address, or empty')
  .default('');
const account = z
  .string()
  .regex(/^[^\s"<>@:;\\]{0,128}$/, 'must have at most 128 characters, without spaces and any of "<>@:;\\')
  .default('');
/** Names with `*` for any characters. */
const patterns = listOf((part) => /^[^\s"<>]{1,256}$/.test(part), 'names, in which * stands for any characters');

/** `true,60` or `false`. Seconds; 0: off. */
const activity = z.string().transform((text, context) => {
  const [, isOn, seconds = '60'] = /^(true|false)(?:\s*,\s*(\d{1,5}))?$/.exec(text.trim()) ?? [];
  if (isOn === 'false') return 0;
  if (isOn === 'true' && Number(seconds) > 0) return Number(seconds);
  context.addIssue({ code: 'custom', message: 'must be false, or true and a number of seconds, such as true,60' });
  return z.NEVER;
});

/** Ports and ranges: `5060-5090,5160`. */
const portRanges = z.string().transform((text, context) => {
  const ranges = text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part) => {
      const [, first = '0', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
      return { first: Number(first), last: Number(last) };
    });
  if (ranges.length > 0 && ranges.every(({ first, last }) => first > 0 && first <= last && last <= MAX_PORT))
    return ranges;
  context.addIssue({
    code: 'custom',
    message: 'must be a comma-separated list of ports and ranges, such as 5060-5090',
  });
  return z.NEVER;
});

/** Telephone calls as streams. The first ones have the names of WCS. */
export const sip = {
  domain: host,
  outbound_proxy: host,
  outbound_port: optionalPort.prefault(''),
  media_port_from: integer(1024, MAX_PORT).default(31_001),
  media_port_to: integer(1024, MAX_PORT).default(32_000),
  /** Names that are not known here are ignored with a warning. */
  codecs: listOf((part) => /^[\w.-]{1,64}$/.test(part), 'codecs')
    .refine((parts) => parts.length > 0, 'must not be empty')
    .prefault('opus,alaw,ulaw,telephone-event,vp8,h264'),
  codecs_exclude_sip: listOf((part) => /^[\w.-]{1,64}$/.test(part), 'codecs').prefault(''),
  user_agent: z
    .string()
    .regex(/^[\x20-\x7e]{1,64}$/, 'must have 1 to 64 characters')
    .default('WebRTC-Transponder'),
  rtp_activity_detecting: activity.prefault('true,60'),
  dtmf: choice(['rfc2833', 'info']).default('rfc2833'),

  /** Off: the gateway neither calls nor listens. */
  sip: flag.default(false),
  sip_port: port.default(5060),
  /** With `sip_incoming` and `tls_cert`. 0: calls do not come over TLS. */
  sip_tls_port: port.default(5061),
  sip_transport: choice(['udp', 'tcp', 'tls']).default('udp'),
  /** Bytes. Longer requests go over TCP first. */
  sip_udp_mtu: integer(500, 65_000).default(1300),
  sip_tls_ca: z.string().default(''),
  sip_login: account,
  sip_auth_name: account,
  sip_password: z.string().max(256).default(''),
  sip_allow_networks: hostRules.default([]),
  sip_allow_hosts: hostRules.default([]),
  sip_deny_hosts: hostRules.default([]),
  sip_allow_ports: portRanges.prefault('5060-5090'),
  sip_callees: patterns.prefault(''),
  sip_srtp: choice(['off', 'offer', 'require']).default('off'),
  sip_answer_timeout_s: integer(5, 280).default(60),
  /** 0: no session timer. */
  sip_session_expires_s: integer(0, 86_400).default(1800),
  sip_nat: choice(['auto', 'off']).default('auto'),
  /** Accounts that are kept registered. */
  sip_register: registeredAccounts.prefault(''),
  sip_register_expires_s: integer(60, 86_400).default(300),
  /** Who may call the gateway. */
  sip_incoming: choice(['off', 'registered', 'digest', 'trusted']).default('off'),
  sip_incoming_networks: networks.prefault(''),
  /** A file with `user:password` in each line. */
  sip_users: z.string().default(''),
  sip_digest_algorithm: choice(['MD5', 'SHA-256', 'SHA-512-256']).default('MD5'),
  /** Streams that calls may publish. Empty: all. */
  sip_streams: patterns.prefault(''),
  max_calls: integer(1, 10_000).default(50),
  max_calls_per_callee: integer(1, 10_000).default(1),
  max_calls_per_minute: integer(1, 100_000).default(30),
  max_call_minutes: integer(1, 10_080).default(240),
  max_sip_requests_per_second_per_ip: integer(1, 100_000).default(20),
  max_sip_connections: integer(1, 10_000).default(100),
  ended_calls_kept: integer(0, 100_000).default(200),
};
