import { readFileSync } from 'node:fs';
import { GatewayError } from '../errors.ts';
import { findContradictions } from './contradictions.ts';
import { parseProperties, type Properties } from './properties.ts';
import { SECRET_SETTINGS, SETTING_KEYS, SettingsSchema, type SettingKey, type Settings } from './schema.ts';
import { isMisspelt, suggest } from './unknown-keys.ts';

export interface SettingsSource {
  /** A properties file. Without one, settings are the defaults and the environment. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Where values come from that are not defaults. */
export type SettingSources = ReadonlyMap<SettingKey, 'file' | 'environment'>;

export interface LoadedSettings {
  readonly settings: Settings;
  readonly sources: SettingSources;
  /** Keys of the file that mean nothing to this gateway, sorted: settings of WCS. */
  readonly ignoredKeys: readonly string[];
}

/** A value as written, and where. */
interface Given {
  readonly value: string;
  /** For messages: `config/gateway.properties:12: http.port` or `environment variable HTTP_PORT`. */
  readonly where: string;
}

const KEYS: ReadonlySet<string> = new Set(SETTING_KEYS);

/** Characters of a foreign key that are shown. */
const SHOWN_LENGTH = 80;

/** The environment variable that overrides a setting: upper case, dots as underscores. */
export const environmentName = (key: string): string => key.toUpperCase().replaceAll('.', '_');

/**
 * Reads and checks all settings, once, at the start: defaults, then the file, then the environment. An empty value of a
 * number, a boolean or a choice means its default; an empty text is an empty text.
 *
 * @throws {GatewayError} SETTINGS_INVALID that names every mistake with its file and line and with what is allowed
 */
export function loadSettings({ file, env }: SettingsSource): LoadedSettings {
  const problems: string[] = [];
  const given = new Map<SettingKey, Given>();
  const ignored = file === undefined ? [] : collectFile(readProperties(file), file, given, problems);
  for (const key of SETTING_KEYS) {
    const value = env[environmentName(key)];
    if (value !== undefined)
      given.set(key, { value: value.trim(), where: `environment variable ${environmentName(key)}` });
  }

  const raw: Record<string, string> = {};
  for (const [key, { value }] of given) if (value !== '' || acceptsEmptyText(key)) raw[key] = value;
  if (raw['embedded_rtmp_server'] === undefined && env['NODE_ENV'] === 'production')
    raw['embedded_rtmp_server'] = 'false';

  const parsed = SettingsSchema.safeParse(raw);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const key = path[0] as SettingKey;
      const { value, where } = given.get(key)!;
      problems.push(
        `${where} ${message}${SECRET_SETTINGS.has(key) ? '' : `, and is "${value.slice(0, SHOWN_LENGTH)}"`}.`,
      );
    }
  }
  if (parsed.success) {
    for (const { key, message } of findContradictions(parsed.data))
      problems.push(`${given.get(key)?.where ?? key} ${message}`);
  }
  if (problems.length > 0 || !parsed.success)
    throw new GatewayError('SETTINGS_INVALID', ['The settings are not valid:', ...problems].join('\n  '));
  const sources = new Map(
    [...given].map(([key, { where }]) => [key, where.startsWith('environment') ? 'environment' : 'file'] as const),
  );
  return { settings: deepFreeze(parsed.data), sources, ignoredKeys: ignored };
}

function readProperties(file: string): Properties {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new GatewayError(
      'SETTINGS_INVALID',
      `The settings file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      { cause: error },
    );
  }
  return parseProperties(text, file);
}

/** @returns the keys that are ignored */
function collectFile(
  { properties, commentedOut }: Properties,
  file: string,
  given: Map<SettingKey, Given>,
  problems: string[],
): string[] {
  const lines = new Map<SettingKey, number>();
  const ignored = new Set<string>();
  for (const { key, value, line } of properties) {
    const shown = key.slice(0, SHOWN_LENGTH);
    if (!isKey(key)) {
      if (isMisspelt(key)) problems.push(`${file}:${line}: there is no setting "${shown}".${suggest(key)}`);
      else ignored.add(shown);
      continue;
    }
    const where = `${file}:${line}: ${key}`;
    const firstLine = lines.get(key);
    if (firstLine !== undefined)
      problems.push(`${where} is set a second time, after line ${firstLine}. Keep one of the two.`);
    else given.set(key, { value, where });
    lines.set(key, firstLine ?? line);
  }
  // WCS's documentation says to comment this line out for servers that expect names without a prefix.
  const prefix = 'rtmp_transponder_stream_name_prefix';
  if (commentedOut.has(prefix) && !given.has(prefix)) given.set(prefix, { value: '', where: `${file}: ${prefix}` });
  return [...ignored].sort();
}

const isKey = (text: string): text is SettingKey => KEYS.has(text);

const acceptsEmptyText = (key: SettingKey): boolean => SettingsSchema.shape[key].safeParse('').success;

function deepFreeze(settings: Settings): Settings {
  for (const value of Object.values(settings)) Object.freeze(value);
  return Object.freeze(settings);
}
