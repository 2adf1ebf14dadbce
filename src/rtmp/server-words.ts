/** Longer explanations are cut: they go into logs and on to users. */
const MAX_WORDS = 300;
/** Shorter values of query parameters (`s_l=1`) are no secrets, and taking them out would take words apart. */
const MIN_SECRET_VALUE = 4;

export interface ConnectionSecrets {
  readonly app: string;
  readonly streamName: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

/** Makes what a server says fit to be shown: one line, of bounded length, without the secrets that it may repeat. */
export type Redact = (words: string) => string;

/**
 * Secrets are the stream's name, everything of the application but its first segment, every parameter of a query, the user and
 * the password; as they are, percent-encoded and decoded, in any case.
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
  // The longest first, so that no part of one is left over when a shorter one inside it has gone.
  const patterns = [...new Set(hidden)]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const secret = patterns.length > 0 ? new RegExp(patterns.join('|'), 'gi') : undefined;
  return (words) => {
    // eslint-disable-next-line no-control-regex -- a server must not write into a terminal or start a new log line
    const line = words.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
    const safe = secret ? line.replace(secret, '***') : line;
    return safe.length > MAX_WORDS ? `${safe.slice(0, MAX_WORDS)}…` : safe;
  };
}

function spellings(text: string): string[] {
  const all = [text];
  try {
    all.push(decodeURIComponent(text));
  } catch {
    // It is not percent-encoded, so it has no decoded spelling.
  }
  try {
    // `encodeURIComponent` leaves some characters alone that others encode (RFC 3986, 2.2).
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
