import { readFileSync } from 'node:fs';
import {
  findContradictions,
  SECRET_SETTINGS,
  SETTING_KEYS,
  SettingsSchema,
  type SettingKey,
  type Settings,
} from './schema.ts';
import { GatewayError } from '../errors.ts';
import { parseProperties, type Properties } from './properties.ts';

export interface SettingsSource {
  /** A properties file; without it there are only defaults and the environment. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A value as it was written, with where. */
interface Given {
  readonly value: string;
  /** For messages: `config/gateway.properties:12: http.port` or `environment variable HTTP_PORT`. */
  readonly where: string;
}

const KEYS: ReadonlySet<string> = new Set(SETTING_KEYS);

/** The environment variable that overrides a setting: upper case, dots as underscores. */
export const environmentName = (key: string): string => key.toUpperCase().replaceAll('.', '_');

/**
 * Reads and checks all settings, once, at the start: defaults, then the file, then the environment. An empty value of a number, a
 * flag or a choice means its default; an empty text is an empty text.
 *
 * @throws {GatewayError} SETTINGS_INVALID that names every mistake with its file and line and with what is allowed.
 */
export function loadSettings({ file, env }: SettingsSource): Settings {
  const problems: string[] = [];
  const given = new Map<SettingKey, Given>();
  if (file !== undefined) collectFile(readProperties(file), file, given, problems);
  for (const key of SETTING_KEYS) {
    const value = env[environmentName(key)];
    if (value !== undefined)
      given.set(key, { value: value.trim(), where: `environment variable ${environmentName(key)}` });
  }

  const raw: Record<string, string> = {};
  for (const [key, { value }] of given) if (value !== '' || takesEmptyText(key)) raw[key] = value;
  if (raw['embedded_rtmp_server'] === undefined && env['NODE_ENV'] === 'production')
    raw['embedded_rtmp_server'] = 'false';

  const parsed = SettingsSchema.safeParse(raw);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const key = path[0] as SettingKey;
      const { value, where } = given.get(key)!;
      problems.push(`${where} ${message}${SECRET_SETTINGS.has(key) ? '' : `, and is "${value.slice(0, 80)}"`}.`);
    }
  }
  if (parsed.success) {
    for (const { key, message } of findContradictions(parsed.data))
      problems.push(`${given.get(key)?.where ?? key} ${message}`);
  }
  if (problems.length > 0 || !parsed.success)
    throw new GatewayError('SETTINGS_INVALID', ['The settings are not valid:', ...problems].join('\n  '));
  return deepFreeze(parsed.data);
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

function collectFile(
  { properties, commentedOut }: Properties,
  file: string,
  given: Map<SettingKey, Given>,
  problems: string[],
): void {
  const lines = new Map<string, number>();
  for (const { key, value, line } of properties) {
    const where = `${file}:${line}: ${key}`;
    const firstLine = lines.get(key);
    if (!isKey(key)) problems.push(`${file}:${line}: there is no setting "${key.slice(0, 80)}".${suggestion(key)}`);
    else if (firstLine !== undefined)
      problems.push(`${where} is set a second time, after line ${firstLine}. Keep one of the two.`);
    else given.set(key, { value, where });
    lines.set(key, firstLine ?? line);
  }
  // WCS's documentation says to comment this line out for servers that want names without a prefix.
  const prefix = 'rtmp_transponder_stream_name_prefix';
  if (commentedOut.has(prefix) && !given.has(prefix)) given.set(prefix, { value: '', where: `${file}: ${prefix}` });
}

const isKey = (text: string): text is SettingKey => KEYS.has(text);

const takesEmptyText = (key: SettingKey): boolean => SettingsSchema.shape[key].safeParse('').success;

/** "Did you mean …?" for a key that is nearly right, else where to look. */
function suggestion(unknown: string): string {
  const normalise = (key: string): string => key.toLowerCase().replace(/[-.]/g, '_');
  let best: SettingKey | undefined;
  // A third of the key may be wrong; more is another word.
  let bestDistance = Math.floor(unknown.length / 3) + 1;
  for (const key of unknown.length > 80 ? [] : SETTING_KEYS) {
    const distance = editDistance(normalise(unknown), normalise(key));
    if (distance < bestDistance) [best, bestDistance] = [key, distance];
  }
  return best ? ` Did you mean ${best}?` : ' All settings are listed in config/gateway.properties.example.';
}

/** Levenshtein's distance: how many letters to add, drop or change. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

function deepFreeze(settings: Settings): Settings {
  for (const value of Object.values(settings)) Object.freeze(value);
  return Object.freeze(settings);
}
