import { escapeInvisible } from '../observe/visible-text.ts';

/** Longer explanations are cut, in characters: they go into logs and to users. */
const MAX_WORDS = 300;
/** Shorter values of query parameters (`s_l=1`) are not secrets, and replacing them would damage ordinary words. */
const MIN_SECRET_VALUE = 4;
/** Tabs, line ends of every kind, and spaces around them. */
const LINE_BREAKS = /[ ]*[\t\n\v\f\r\u0085\u2028\u2029][\s\u0085]*/g;

export interface ConnectionSecrets {
  readonly app: string;
  readonly streamName: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

/**
 * Prepares the text of a server for display: one line of bounded length, without invisible characters and without the
 * secrets that it may repeat.
 */
export type Redact = (words: string) => string;

/**
 * Secrets are the stream name, everything of the application after its first segment, every query parameter, the user
 * and the password: as they are, percent-encoded and decoded, in upper and lower case.
 */
export function createRedact(secrets: ConnectionSecrets): Redact {
  const [appPath = '', appQuery = ''] = splitOnce(secrets.app, '?');
  const [namePath = '', nameQuery = ''] = splitOnce(secrets.streamName, '?');
  const appTail = splitOnce(appPath, '/')[1] ?? '';
  const wholes = [
    secrets.streamName,
    namePath,
    nameQuery,
    appTail,
    appQuery,
    secrets.user ?? '',
    secrets.password ?? '',
  ];
  const values = [nameQuery, appQuery].flatMap((query) =>
    query.split('&').map((parameter) => splitOnce(parameter, '=')[1] ?? ''),
  );
  const tails = appTail.split('/');
  const hidden = [...wholes, ...[...values, ...tails].filter((value) => value.length >= MIN_SECRET_VALUE)]
    .flatMap(spellings)
    .filter((text) => text !== '');
  // The longest first, so that no part of a secret remains when a shorter one inside it is replaced.
  const patterns = [...new Set(hidden)]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const secret = patterns.length > 0 ? new RegExp(patterns.join('|'), 'gi') : undefined;
  const hide = (text: string): string => (secret ? text.replace(secret, '***') : text);
  return (words) => {
    // Before escaping, which would change secrets that have invisible characters, and after it, because lines are
    // joined.
    const line = hide(words).replace(LINE_BREAKS, ' ').trim();
    const safe = hide(escapeInvisible(line));
    const characters = [...safe];
    return characters.length > MAX_WORDS ? `${characters.slice(0, MAX_WORDS).join('')}…` : safe;
  };
}

function spellings(text: string): string[] {
  const all = [text];
  try {
    all.push(decodeURIComponent(text));
  } catch {
    // Not percent-encoded: there is no decoded spelling.
  }
  try {
    // `encodeURIComponent` keeps some characters that other implementations encode (RFC 3986, 2.2).
    all.push(encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`));
  } catch {
    // A lone surrogate has no encoded spelling.
  }
  return all;
}

function splitOnce(text: string, separator: string): [string] | [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
