import { BadMessage } from './bad-message.ts';

/** The lexical parts of SIP headers (RFC 3261, 25.1). All functions are linear in the length of their input. */

/** Parameters by their name in lower case; one without a value is the empty text. */
export type Params = ReadonlyMap<string, string>;

/** More parameters than any real header has. */
const MAX_PARAMS = 64;

/** The parts between commas that are outside of quotes and angle brackets. */
export function splitList(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '<') depth++;
    else if (c === '>') depth--;
    else if (c === ',' && depth <= 0) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts.filter((part) => part !== '');
}

/** `;name=value;name="quoted value";name` */
export function parseParams(text: string): Params {
  const params = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    const end = endOfParam(text, at);
    const part = text.slice(at, end).trim();
    at = end + 1;
    if (part === '') continue;
    if (params.size >= MAX_PARAMS) throw new BadMessage('too many parameters');
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    params.set(name, equals < 0 ? '' : unquote(part.slice(equals + 1).trim()));
  }
  return params;
}

function endOfParam(text: string, start: number): number {
  let quoted = false;
  let end = start;
  for (; end < text.length && (quoted || text[end] !== ';'); end++) {
    if (text[end] === '\\' && quoted) end++;
    else if (text[end] === '"') quoted = !quoted;
  }
  return Math.min(end, text.length);
}

export const unquote = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text;

/** Control characters would end the header: they are left out. */
export const quote = (text: string): string =>
  // eslint-disable-next-line no-control-regex
  `"${text.replace(/[\u0000-\u001f\u007f]/g, '').replace(/["\\]/g, '\\$&')}"`;

/** `name="value", name=value` as in challenges and credentials (RFC 3261, 25.1). `undefined`: another scheme. */
export function parseDigestFields(text: string): Params | undefined {
  if (!/^digest\s/i.test(text)) return undefined;
  const fields = new Map<string, string>();
  for (const part of splitList(text.slice('digest '.length)).slice(0, MAX_PARAMS)) {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals).trim().toLowerCase(), unquote(part.slice(equals + 1).trim()));
  }
  return fields;
}
