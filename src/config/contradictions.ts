import { isLoopback } from '../net/loopback.ts';
import { ACCESS_PROVIDERS, hasAccessProvider } from './access-providers.ts';
import { MAX_PORT } from './fields.ts';
import { findSipMistakes, takesTls } from './sip-contradictions.ts';
import { rtcPorts, type SettingKey, type Settings } from './schema.ts';

/** Settings that contradict each other. */
export interface Contradiction {
  /** The setting to look at first. */
  readonly key: SettingKey;
  readonly message: string;
}

/** Finds mistakes that concern several settings, which the schema cannot check. */
export function findContradictions(settings: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  const add = (key: SettingKey, message: string) => found.push({ key, message });
  const isGuarded = hasAccessProvider(settings);
  const configured = ACCESS_PROVIDERS.filter((key) => settings[key] !== '');
  if (!isLoopback(settings.listen_ip) && !isGuarded && !settings.allow_anonymous)
    add(
      'listen_ip',
      'lets other machines use REST and the WebSocket without a key. Set rest_api_key (a key for REST and the ' +
        'WebSocket), jwt_secret, jwt_public_key or jwt_jwks_url (tokens), or auth_url, wcs_hooks_url or ' +
        'roundtrip_host (your application decides), or allow_anonymous=true if everybody may control the ' +
        'gateway, or listen on 127.0.0.1.',
    );
  if (isGuarded && settings.allow_anonymous)
    add(
      'allow_anonymous',
      `contradicts ${configured[0]}, which requires credentials of every client. Remove one of the two.`,
    );
  const tokenKeys = configured.filter((key) => key.startsWith('jwt_'));
  if (tokenKeys.length > 1) add(tokenKeys[1]!, `contradicts ${tokenKeys[0]}. Tokens are checked with one of the two.`);
  if (settings.wcs_hooks_key !== '' && settings.wcs_hooks_url === '')
    add('wcs_hooks_key', 'signs the requests to wcs_hooks_url: set that too.');
  if (settings.cors_origins.includes('*') && !isGuarded && !isLoopback(settings.listen_ip))
    add('cors_origins', 'of * lets every web page control the gateway. Name the origins, or set rest_api_key.');
  if ((settings.tls_cert === '') !== (settings.tls_key === ''))
    add(
      settings.tls_cert ? 'tls_cert' : 'tls_key',
      'needs its counterpart: set both tls_cert and tls_key, or neither.',
    );
  if (settings.rtmp_push_auto_start && settings.rtmp_push_auto_start_url === '')
    add('rtmp_push_auto_start', 'needs a destination: set rtmp_push_auto_start_url.');
  if (settings.record_all && !settings.recording) add('record_all', 'needs recording=true.');
  if (settings.record_audio === 'opus' && settings.record_format === 'flv')
    add('record_audio', 'of opus needs record_format=mp4: FLV has no Opus.');
  if (settings.hls_ladder.length > 0 && settings.transcoding_disabled)
    add('hls_ladder', 'needs video encoders: set transcoding_disabled=false, or leave it empty.');
  if (settings.hls_dvr_s > 0 && settings.state_dir === '')
    add('hls_dvr_s', 'keeps segments on the disk: set state_dir.');
  if (settings.record_standby && settings.record_audio === 'opus')
    add('record_standby', 'needs record_audio=aac: its silence and its picture are made for H.264 and AAC.');
  if ((settings.s3_access_key_id === '') !== (settings.s3_secret_access_key === ''))
    add(
      settings.s3_access_key_id ? 's3_access_key_id' : 's3_secret_access_key',
      'needs its counterpart: set both s3_access_key_id and s3_secret_access_key, or neither.',
    );
  if (settings.s3_delete_local && settings.state_dir === '')
    add('s3_delete_local', 'needs a list of recordings that survives a restart: set state_dir.');
  for (const key of ['rooms_rtmp_port', 'rpc_url'] as const)
    if (settings[key] && !settings.rooms) add(key, 'needs rooms=true.');
  if (settings.hls_always && !settings.hls) add('hls_always', 'needs hls=true.');
  if (settings.webhook_urls.length > 0 && settings.webhook_secret === '')
    add('webhook_urls', 'needs a secret for the signatures: set webhook_secret.');
  for (const key of ['rtmp_video_codec', 'rtmp_audio_codec'] as const) {
    if (settings[key] !== 'source') continue;
    if (!settings.rtmp_enhanced) add(key, 'of source needs rtmp_enhanced=true.');
    if (settings.push_engine === 'ffmpeg') add(key, 'of source needs push_engine=rtmp.');
  }
  if (settings.rtmp_audio_codec === 'aac' && settings.rtmp_transponder_audio_codec !== 'aac')
    add(
      'rtmp_audio_codec',
      `is aac, and rtmp_transponder_audio_codec is ${settings.rtmp_transponder_audio_codec}. Remove one of the two.`,
    );
  if (settings.standby && settings.push_engine === 'ffmpeg')
    add('standby', 'needs push_engine=rtmp: ffmpeg cannot change the video of a connection.');
  const { standby_source: source } = settings;
  if ((source === 'image' || source === 'video') && settings.standby_file === '')
    add('standby_source', `is ${source}, which needs the name of a file in media_dir: set standby_file.`);
  const cap = settings.rtmp_push_restore_backoff_cap_ms;
  if (cap > 0 && cap < settings.rtmp_push_restore_interval_ms)
    add(
      'rtmp_push_restore_backoff_cap_ms',
      `must be 0 or at least rtmp_push_restore_interval_ms (${settings.rtmp_push_restore_interval_ms}).`,
    );
  return [...found, ...findClusterMistakes(settings), ...findSipMistakes(settings), ...findPortCollisions(settings)];
}

function findClusterMistakes(settings: Settings): Contradiction[] {
  const { role, cluster_redis_url: redisUrl, state_key: stateKey, node_url: nodeUrl, listen_ip: listenIp } = settings;
  if (redisUrl === '')
    return role === 'node' ? [] : [{ key: 'role', message: `is ${role}, which needs Redis: set cluster_redis_url.` }];
  const found: Contradiction[] = [];
  if (stateKey === '')
    found.push({
      key: 'cluster_redis_url',
      message:
        'needs a state_key, the same for all nodes and managers: it encrypts what is stored in Redis and signs what managers pass on.',
    });
  if (role !== 'manager' && nodeUrl === '' && (listenIp === '0.0.0.0' || listenIp === '::'))
    found.push({
      key: 'node_url',
      message: `is empty, and listen_ip ${listenIp} does not say how managers reach this node: set node_url to http://HOST:PORT.`,
    });
  return found;
}

function findPortCollisions(settings: Settings): Contradiction[] {
  const listening: SettingKey[] = ['ws.port', 'http.port', 'rtc_port'];
  if (settings.tls_cert) listening.push('wss.port', 'https.port');
  if (settings.role === 'both') listening.push('manager_http_port', 'manager_ws_port');
  if (settings.hls) listening.push('hls.port', ...(settings.tls_cert ? (['hls.https.port'] as const) : []));
  if (settings.embedded_rtmp_server) listening.push('embedded_rtmp_port', 'embedded_http_flv_port');
  if (settings.rooms && settings.rooms_rtmp_port !== '') listening.push('rooms_rtmp_port');
  if (settings.sip) listening.push('sip_port');
  if (takesTls(settings)) listening.push('sip_tls_port');
  const portsOf = (key: SettingKey): { first: number; last: number } => {
    const first = Number(settings[key]);
    return { first, last: first === 0 || key !== 'rtc_port' ? first : first + settings.rtc_workers - 1 };
  };
  const shown = (key: SettingKey): string => (key === 'rtc_port' ? rtcPorts(settings) : String(settings[key]));
  const found = listening.flatMap((key, index): Contradiction[] => {
    const { first, last } = portsOf(key);
    const earlier = listening
      .slice(0, index)
      .find((other) => first !== 0 && portsOf(other).first <= last && first <= portsOf(other).last);
    if (!earlier) return [];
    const relation =
      shown(earlier) === shown(key)
        ? `as is ${earlier}`
        : `and ${earlier} ${shown(earlier)}: each of rtc_workers takes one port from rtc_port on`;
    return [{ key, message: `is ${shown(key)}, ${relation}. Give each its own port.` }];
  });
  if (portsOf('rtc_port').last > MAX_PORT)
    found.push({
      key: 'rtc_port',
      message:
        `is ${rtcPorts(settings)} with rtc_workers=${settings.rtc_workers}, one port for each worker, but the ` +
        `highest port is ${MAX_PORT}. Choose a lower one.`,
    });
  return found;
}
