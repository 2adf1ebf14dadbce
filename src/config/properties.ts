import { GatewayError } from '../errors.ts';

/** One `key=value` of a properties file. */
export interface Property {
  readonly key: string;
  readonly value: string;
  /** Line on which it starts, from 1. */
  readonly line: number;
}

export interface Properties {
  /** In the order of the file; a key that is set twice occurs twice. */
  readonly properties: readonly Property[];
  /** Keys of comment lines that would be properties without their `#` or `!`. */
  readonly commentedOut: ReadonlySet<string>;
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };

/**
 * Reads the format of WCS's `flashphoner.properties`, which is Java's (`java.util.Properties.load`): `key=value`,
 * `key:value` or `key value`, `#` and `!` comments, a backslash at the end of a line continues it, `\t \n \r \f \uXXXX`
 * escapes. Unlike in Java, invisible spaces at the end of a value are dropped.
 *
 * @throws {GatewayError} SETTINGS_INVALID for a broken `\u` escape
 */
export function parseProperties(text: string, fileName: string): Properties {
  const properties: Property[] = [];
  const commentedOut = new Set<string>();
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    let logical = lines[index]!.trimStart();
    if (logical === '') continue;
    if (logical[0] === '#' || logical[0] === '!') {
      const commented = /^[#!]+\s*([\w.]+)\s*[=:]/.exec(logical);
      if (commented) commentedOut.add(commented[1]!);
      continue;
    }
    while (endsWithOpenBackslash(logical) && index + 1 < lines.length) {
      index++;
      logical = logical.slice(0, -1) + lines[index]!.trimStart();
    }
    if (endsWithOpenBackslash(logical)) logical = logical.slice(0, -1);
    const { rawKey, rawValue } = splitProperty(logical);
    const where = `${fileName}:${line}`;
    properties.push({ key: unescape(rawKey, where), value: unescape(rawValue, where).trimEnd(), line });
  }
  return { properties, commentedOut };
}

/** An odd number of backslashes, so that the last one is not itself escaped. */
const endsWithOpenBackslash = (line: string): boolean => /(?:^|[^\\])(?:\\\\)*\\$/.test(line);

/** The key ends at the first `=`, `:` or white space that has no backslash before it. */
function splitProperty(logical: string): { rawKey: string; rawValue: string } {
  let end = 0;
  while (end < logical.length && !/[=:\s]/.test(logical[end]!)) end += logical[end] === '\\' ? 2 : 1;
  return { rawKey: logical.slice(0, end), rawValue: logical.slice(end).replace(/^\s*[=:]?\s*/, '') };
}

function unescape(raw: string, where: string): string {
  return raw.replace(/\\(?:u([0-9a-fA-F]{4})|(.)|$)/gs, (_, unicode: string | undefined, character = '') => {
    if (unicode) return String.fromCharCode(Number.parseInt(unicode, 16));
    if (character === 'u')
      throw new GatewayError(
        'SETTINGS_INVALID',
        `${where}: \\u must be followed by four hexadecimal digits. Write \\\\ for a backslash.`,
      );
    return ESCAPES[character] ?? character;
  });
}
