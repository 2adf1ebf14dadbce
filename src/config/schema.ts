import { z } from 'zod';
import { access } from './groups/access.ts';
import { cluster } from './groups/cluster.ts';
import { destinations } from './groups/destinations.ts';
import { encoding } from './groups/encoding.ts';
import { hls } from './groups/hls.ts';
import { hooks } from './groups/hooks.ts';
import { limits } from './groups/limits.ts';
import { network } from './groups/network.ts';
import { operation } from './groups/operation.ts';
import { recording } from './groups/recording.ts';
import { republishing } from './groups/republishing.ts';
import { roomDoors } from './groups/room-doors.ts';
import { roomLimits } from './groups/room-limits.ts';
import { s3 } from './groups/s3.ts';
import { sip } from './groups/sip.ts';
import { standby } from './groups/standby.ts';
import { state } from './groups/state.ts';

/**
 * The settings, under WCS's names where WCS has one, one group for each feature. The groups are the only place that
 * knows a key, its default and its range; `config/gateway.properties.example` documents each key, and a test compares
 * the two. `settings-file.ts` reads them.
 */
export const SettingsSchema = z.strictObject({
  ...network,
  ...access,
  ...destinations,
  ...republishing,
  ...standby,
  ...encoding,
  ...limits,
  ...recording,
  ...s3,
  ...hls,
  ...hooks,
  ...roomDoors,
  ...roomLimits,
  ...sip,
  ...state,
  ...operation,
  ...cluster,
});

/** Frozen after the start, and never used as run-time state. Keys are those of the file. */
export type Settings = Readonly<z.output<typeof SettingsSchema>>;
export type SettingKey = keyof Settings;

export const SETTING_KEYS = Object.keys(SettingsSchema.shape) as readonly SettingKey[];

/** Settings whose values are never shown, in error messages in particular. */
export const SECRET_SETTINGS: ReadonlySet<string> = new Set<SettingKey>([
  'rest_api_key',
  'rest_api_read_key',
  'metrics_key',
  'jwt_secret',
  'auth_url',
  'rpc_url',
  'wcs_hooks_url',
  'wcs_hooks_key',
  'state_key',
  'webhook_secret',
  'webhook_urls',
  's3_access_key_id',
  's3_secret_access_key',
  'rtmp_push_auto_start_url',
  'ice_servers',
  'cluster_redis_url',
  'sip_password',
  'sip_register',
]);

/** The ports of WebRTC media, one for each worker: `10000`, or `10000-10003`. */
export function rtcPorts({
  rtc_port: first,
  rtc_workers: workers,
}: Pick<Settings, 'rtc_port' | 'rtc_workers'>): string {
  return first === 0 || workers === 1 ? String(first) : `${first}-${first + workers - 1}`;
}
