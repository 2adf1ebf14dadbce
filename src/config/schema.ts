import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { isLoopback } from '../net/loopback.ts';

/**
 * The settings, under WCS's names where WCS has one. This schema is the only place that knows a key, its default and its
 * range; `config/gateway.properties.example` documents each key and a test holds the two together. How a file becomes
 * settings: `settings-file.ts`.
 */

const flag = z.stringbool({ truthy: ['true'], falsy: ['false'], error: 'must be true or false' });
const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });
const integer = (low: number, high: number) =>
  z.string().transform((text, context) => {
    const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    context.addIssue({ code: 'custom', message: `must be a whole number from ${low} to ${high}` });
    return z.NEVER;
  });
const MAX_PORT = 65535;
/** 0 lets the system choose a free one. */
const port = integer(0, MAX_PORT);
/** Milliseconds up to a day. */
const duration = integer(0, 86_400_000);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
);
const listOf = (isValid: (part: string) => boolean, whatIsAllowed: string) =>
  list.refine((parts) => parts.every(isValid), { error: `must be a comma-separated list of ${whatIsAllowed}` });
/** STUN and TURN URLs of RFC 7064 and RFC 7065; a TURN server's user name and password follow after blanks. */
const iceServer =
  /^(?:(stuns?:[\w.:[\]-]+)|(turns?:[\w.:[\]-]+(?:\?transport=(?:udp|tcp))?)\s+([^\s"\\]+)\s+([^\s"\\]+))$/;
const iceServers = listOf(
  (part) => iceServer.test(part),
  'stun:HOST:PORT and turn:HOST:PORT USERNAME PASSWORD',
).transform((parts) =>
  parts.map((part) => {
    const [, stun, turn, username, credential] = iceServer.exec(part)!;
    return stun ? { url: stun } : { url: turn!, username: username!, credential: credential! };
  }),
);
const address = z.string().refine((text) => isIP(text) !== 0, 'must be an IPv4 or IPv6 address');
const optionalAddress = z
  .string()
  .refine((text) => text === '' || isIP(text) !== 0, 'must be an IPv4 or IPv6 address, or empty');

const isHostPattern = (text: string): boolean =>
  /^(?:\*|(?:\*\.)?[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9_])?)$/.test(text);
const isHostRule = (text: string): boolean => isIP(text) !== 0 || ipaddr.isValidCIDR(text) || isHostPattern(text);
const hostRules = listOf(isHostRule, 'addresses, networks (10.0.0.0/8) and host names (*.example.com)');
const isOrigin = (text: string): boolean =>
  text === '*' || /^https?:\/\/(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.test(text);

export const SettingsSchema = z.strictObject({
  // Addresses and ports
  listen_ip: address.default('127.0.0.1'),
  'ws.port': port.default(8080),
  'wss.port': port.default(8443),
  'http.port': port.default(8081),
  'https.port': port.default(8444),
  tls_cert: z.string().default(''),
  tls_key: z.string().default(''),
  /** What browsers are told to send media to: an address or a host name; empty: what is bound. */
  ip: z
    .string()
    .regex(/^[\w.:-]*$/, 'must be an address or a host name')
    .default(''),
  /** Empty: see `webrtc/media-addresses.ts`. */
  ip_local: optionalAddress.default(''),
  rtc_port: port.default(10000),
  rtc_workers: integer(1, 64).default(1),
  /** Milliseconds: see `pipe.ts`. */
  media_batch_ms: integer(0, 50).default(7),

  /** Told to WHIP and WHEP clients; the gateway itself uses none. */
  ice_servers: iceServers.default([]),

  // Who may call
  rest_api_key: z
    .string()
    .regex(/^[\x21-\x7e]*$/, 'must be printable ASCII without spaces')
    .default(''),
  allow_anonymous: flag.default(false),
  /** In lower case, as browsers send them. */
  cors_origins: listOf(isOrigin, 'origins (https://example.com) or *')
    .transform((origins) => origins.map((origin) => origin.toLowerCase()))
    .default([]),

  // Where pushes may go
  destination_allow_networks: hostRules.default([]),
  destination_deny_hosts: hostRules.default([]),
  destination_allow_hosts: hostRules.default([]),

  // Republishing
  rtmp_transponder_stream_name_prefix: z
    .string()
    .regex(/^[\w.-]*$/, 'may hold letters, digits, _ . and - only')
    .default('rtmp_'),
  rtmp_transponder_full_url: flag.default(false),
  rtmp_transponder_send_metadata: flag.default(true),
  rtmp_publisher_ip: optionalAddress.default(''),
  rtmp_flash_ver_subscriber: z.string().min(1).default('FMLE/3.0 (compatible; FMSc/1.0)'),
  rtmp_push_auto_start: flag.default(false),
  rtmp_push_auto_start_url: z
    .string()
    .regex(/^(?:rtmps?:\/\/.+)?$/i, 'must begin with rtmp:// or rtmps://')
    .default(''),
  rtmp_push_restore: flag.default(false),
  rtmp_push_restore_attempts: integer(1, 1_000_000).default(3),
  rtmp_push_restore_interval_ms: integer(100, 3_600_000).default(5000),
  /** With this, the interval doubles from attempt to attempt up to the cap, with jitter. 0: fixed interval, as WCS. */
  rtmp_push_restore_backoff_cap_ms: duration.default(0),
  rtmp_push_stall_timeout_ms: integer(500, 600_000).default(10_000),
  rtmp_out_buffer_enabled: flag.default(false),
  rtmp_out_buffer_start_size: duration.default(300),
  rtmp_out_buffer_initial_size: duration.default(2000),
  rtmp_out_buffer_polling_time: integer(5, 10_000).default(50),
  rtmp_out_buffer_max_bufferings_allowed: integer(-1, 1_000_000).default(-1),
  'rtmp.server_buffer_enabled': flag.default(true),
  rtmps_ca_file: z.string().default(''),
  rtmps_insecure_host: z
    .string()
    .regex(/^[\w.:-]*$/, 'must be one address or host name')
    .default(''),
  push_engine: choice(['ffmpeg', 'rtmp']).default('rtmp'),

  // Encoding
  transcoding_disabled: flag.default(false),
  avvideo_transcoder_preserve_aspect_ratio: flag.default(true),
  /** Kilobits per second of re-encoded video; 0: by height. */
  transcoder_video_bitrate: integer(0, 100_000).default(0),
  audio_bitrate: integer(32, 320).default(128),
  /** Milliseconds of sound in a packet, as publishers are asked for; see `sdp-answer.ts`. */
  audio_packet_ms: choice(['20', '40', '60']).default('40').transform(Number),
  /** Milliseconds: see `audio-encoder.ts`. */
  audio_batch_ms: integer(20, 200).default(120),
  /** Streams whose sound one process encodes; 1: an ffmpeg for each. */
  audio_encoder_streams: integer(1, 64).default(16),
  rtmp_transponder_audio_codec: choice(['aac', 'pcma', 'pcmu', 'speex']).default('aac'),
  /** Milliseconds between key frames that are asked of a publisher. Platforms refuse more than 4 s. */
  key_frame_interval_ms: integer(500, 60_000).default(2000),
  publisher_resume_window_ms: duration.default(15_000),
  media_dir: z.string().min(1).default('media'),

  // Limits
  max_streams: integer(1, 100_000).default(500),
  /** Of WHEP. */
  max_players: integer(1, 100_000).default(100),
  max_transponders: integer(1, 100_000).default(1000),
  max_transponders_per_stream: integer(1, 100_000).default(100),
  max_encoders: integer(1, 10_000).default(64),
  /** Sessions that are not connected yet: see `pending-sessions.ts`. */
  max_pending_sessions: integer(1, 100_000).default(100),
  max_pending_sessions_per_ip: integer(1, 100_000).default(20),
  ended_transponders_kept: integer(0, 100_000).default(200),

  // Operation
  /** See `fast-paths.ts`. */
  fast_paths: flag.default(true),
  /** Off by default under `NODE_ENV=production`: see `settings-file.ts`. */
  embedded_rtmp_server: flag.default(true),
  embedded_rtmp_port: port.default(1935),
  embedded_http_flv_port: port.default(8000),
  log_level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  log_format: choice(['json', 'pretty']).default('pretty'),
});

/** Frozen after start; never used as run-time state. Keys are those of the file. */
export type Settings = Readonly<z.output<typeof SettingsSchema>>;
export type SettingKey = keyof Settings;

export const SETTING_KEYS = Object.keys(SettingsSchema.shape) as readonly SettingKey[];

/** Settings whose values are never shown, in error messages least of all. */
export const SECRET_SETTINGS: ReadonlySet<string> = new Set<SettingKey>([
  'rest_api_key',
  'rtmp_push_auto_start_url',
  'ice_servers',
]);

/** Two settings that cannot both be meant. */
export interface Contradiction {
  /** The one to look at first. */
  readonly key: SettingKey;
  readonly message: string;
}

/** What the schema cannot see because it concerns several keys. */
export function findContradictions(settings: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  const say = (key: SettingKey, message: string) => found.push({ key, message });
  const isGuarded = settings.rest_api_key !== '';
  if (!isLoopback(settings.listen_ip) && !isGuarded && !settings.allow_anonymous)
    say(
      'listen_ip',
      'lets other machines in without a key. Set rest_api_key, or allow_anonymous=true if everybody may control the gateway, or listen on 127.0.0.1.',
    );
  if (isGuarded && settings.allow_anonymous)
    say('allow_anonymous', 'contradicts rest_api_key: with a key nobody is anonymous. Remove one of the two.');
  if (settings.cors_origins.includes('*') && !isGuarded && !isLoopback(settings.listen_ip))
    say('cors_origins', 'of * lets every web page control the gateway. Name the origins, or set rest_api_key.');
  if ((settings.tls_cert === '') !== (settings.tls_key === ''))
    say(
      settings.tls_cert ? 'tls_cert' : 'tls_key',
      'needs its counterpart: set both tls_cert and tls_key, or neither.',
    );
  if (settings.rtmp_push_auto_start && settings.rtmp_push_auto_start_url === '')
    say('rtmp_push_auto_start', 'needs to know where to: set rtmp_push_auto_start_url.');
  const cap = settings.rtmp_push_restore_backoff_cap_ms;
  if (cap > 0 && cap < settings.rtmp_push_restore_interval_ms)
    say(
      'rtmp_push_restore_backoff_cap_ms',
      `must be 0 or at least rtmp_push_restore_interval_ms (${settings.rtmp_push_restore_interval_ms}).`,
    );
  return [...found, ...findPortCollisions(settings)];
}

/** The ports of WebRTC media, one for each worker: `10000`, or `10000-10003`. */
export function rtcPorts({
  rtc_port: first,
  rtc_workers: workers,
}: Pick<Settings, 'rtc_port' | 'rtc_workers'>): string {
  return first === 0 || workers === 1 ? String(first) : `${first}-${first + workers - 1}`;
}

function findPortCollisions(settings: Settings): Contradiction[] {
  const listening: SettingKey[] = ['ws.port', 'http.port', 'rtc_port'];
  if (settings.tls_cert) listening.push('wss.port', 'https.port');
  if (settings.embedded_rtmp_server) listening.push('embedded_rtmp_port', 'embedded_http_flv_port');
  const portsOf = (key: SettingKey): { first: number; last: number } => {
    const first = Number(settings[key]);
    return { first, last: first === 0 || key !== 'rtc_port' ? first : first + settings.rtc_workers - 1 };
  };
  const told = (key: SettingKey): string => (key === 'rtc_port' ? rtcPorts(settings) : String(settings[key]));
  const found = listening.flatMap((key, index): Contradiction[] => {
    const { first, last } = portsOf(key);
    const earlier = listening
      .slice(0, index)
      .find((other) => first !== 0 && portsOf(other).first <= last && first <= portsOf(other).last);
    if (!earlier) return [];
    const as =
      told(earlier) === told(key)
        ? `as is ${earlier}`
        : `and ${earlier} ${told(earlier)}: each of rtc_workers takes one port from rtc_port on`;
    return [{ key, message: `is ${told(key)}, ${as}. Give each its own port.` }];
  });
  if (portsOf('rtc_port').last > MAX_PORT)
    found.push({
      key: 'rtc_port',
      message: `is ${rtcPorts(settings)} with rtc_workers=${settings.rtc_workers}, one port for each, but ports end at ${MAX_PORT}. Choose a smaller one.`,
    });
  return found;
}
