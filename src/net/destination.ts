import { isIPv6 } from 'node:net';
import { posix } from 'node:path';
import { GatewayError, toGatewayError } from '../errors.ts';
import { Secret } from './secret.ts';

/** Where a transponder publishes: a parsed URL with its secrets wrapped. */
export interface Destination {
  readonly scheme: 'rtmp' | 'rtmps';
  /** Host name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The application of `connect`, query included. A secret: queries carry passwords. */
  readonly app: Secret;
  /** The name of `publish`, query included. A secret: on the platforms it is the stream key. */
  readonly streamName: Secret;
  /** `scheme://host[:port]/app`, as `connect` sends it. */
  readonly tcUrl: Secret;
  readonly user?: Secret;
  readonly password?: Secret;
  /** The URL as the client sent it. Only for answers to that client. */
  readonly url: Secret;
  /** Safe to log: scheme, host, port and the application's first segment. */
  readonly redacted: string;
}

export interface AddressingRules {
  /** Put before the source stream's name; empty: none. */
  readonly streamNamePrefix: string;
  /** The stream name is the URL's last path segment with its query, without a prefix. */
  readonly fullUrl: boolean;
}

const DEFAULT_PORTS = { rtmp: 1935, rtmps: 443 } as const;

/**
 * Scheme, userinfo, host, port, path, query. RTMP URLs have no fragment: a `#` belongs to the path or the query, where
 * keys may have it.
 */
const RTMP_URL =
  /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/(?:([^@/?#]*)@)?(\[[^\]]*\]|[^:/?#[\]@]*)(?::([^/?#]*))?(?:\/([^?]*))?(\?.*)?$/;
const HOST_NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}\p{M}._-]*[\p{L}\p{N}\p{M}_.])?$/u;
// eslint-disable-next-line no-control-regex -- control characters would break out of a command or a log line
const CONTROL_OR_SPACE = /[\u0000-\u0020\u007f]/;

/**
 * Parses an `rtmpUrl` by the rules of the WCS documentation: the published name is prefix + stream name below the URL's
 * application, whose query stays in the application; with `fullUrl` it is the URL's last path segment with its query.
 *
 * Does not use `URL`, which re-encodes paths and queries: stream keys must stay unchanged, byte for byte.
 *
 * @throws {GatewayError} INVALID_RTMP_URL; the message contains no part of the URL that may be secret
 */
export function parseDestination(url: string, sourceStreamName: string, rules: AddressingRules): Destination {
  if (CONTROL_OR_SPACE.test(url)) throw invalid('contains white space or control characters');
  const parts = RTMP_URL.exec(url);
  if (!parts) throw invalid('is not a URL');
  const [, givenScheme = '', userinfo = '', givenHost = '', givenPort, path, query = ''] = parts;

  const scheme = givenScheme.toLowerCase();
  if (scheme !== 'rtmp' && scheme !== 'rtmps') throw invalid('has a scheme that is not supported');
  if (givenHost === '') throw invalid('has no host');
  const isBracketed = givenHost.startsWith('[');
  const host = isBracketed ? givenHost.slice(1, -1) : givenHost;
  // A zone (fe80::1%eth0) is meaningful on one machine only.
  if (isBracketed ? !isIPv6(host) || host.includes('%') : !HOST_NAME.test(host))
    throw invalid('has a host that is neither a name nor an address');
  if (givenPort !== undefined && !/^\d{1,5}$/.test(givenPort)) throw invalid('has a port that is not a number');
  const port = givenPort === undefined ? DEFAULT_PORTS[scheme] : Number(givenPort);
  if (port < 1 || port > 65535) throw invalid('has a port outside 1 to 65535');
  if (path === undefined) throw invalid('names no application');

  const { app, streamName } = rules.fullUrl
    ? splitFullUrl(path, query)
    : { app: applicationOf(path, query), streamName: rules.streamNamePrefix + sourceStreamName };
  const origin = `${scheme}://${givenHost}`;
  const shownPort = port === DEFAULT_PORTS[scheme] ? '' : `:${port}`;
  return {
    scheme,
    host,
    port,
    app: new Secret(app),
    streamName: new Secret(streamName),
    tcUrl: new Secret(`${origin}:${port}/${app}`),
    ...(userinfo === '' ? undefined : splitCredentials(userinfo)),
    url: new Secret(url),
    redacted: `${origin}${shownPort}/${redactApp(app, rules.fullUrl)}`,
  };
}

/**
 * The host of an `rtmpUrl` and the URL without secrets, which do not depend on the addressing rules.
 *
 * @throws {GatewayError} INVALID_RTMP_URL
 */
export const hostOfRtmpUrl = (url: string): Pick<Destination, 'host' | 'redacted'> =>
  parseDestination(url, '', { streamNamePrefix: '', fullUrl: false });

/**
 * Where a server sends its publisher: the destination with another `tcUrl`, and the same stream name and credentials.
 *
 * @param tcUrl a URL, or relative to the present `tcUrl`, as Enhanced RTMP defines it
 * @throws {GatewayError} INVALID_RTMP_URL; DESTINATION_FORBIDDEN for one that is not encrypted in place of one that is
 */
export function redirect(from: Destination, tcUrl: string): Destination {
  const to = parseReference(from, tcUrl);
  if (from.scheme === 'rtmps' && to.scheme !== 'rtmps')
    throw new GatewayError('DESTINATION_FORBIDDEN', 'A push over TLS is not moved to a server without TLS.');
  const { user, password } = from;
  return { ...to, streamName: from.streamName, url: from.url, ...(user && { user }), ...(password && { password }) };
}

const MAX_TC_URL = 4096;

const parseReference = (from: Destination, tcUrl: string): Destination =>
  namingField('tcUrl', () => {
    if (tcUrl.length > MAX_TC_URL) throw invalid('is too long');
    const url = resolveReference(from.tcUrl.reveal(), tcUrl);
    return parseDestination(url, '', { streamNamePrefix: '', fullUrl: false });
  });

/** Parses a URL that is not the `rtmpUrl`: errors name its field. */
export function namingField<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw renamed(error, field);
  }
}

/** An error about a URL that is not the `rtmpUrl`. */
export function renamed(error: unknown, field: string): GatewayError {
  const { code, message } = toGatewayError(error);
  return new GatewayError(code, message.replaceAll('rtmpUrl', field), { cause: error });
}

/** RFC 3986, 5.2, without re-encoding. */
function resolveReference(base: string, reference: string): string {
  const [, scheme, authority, basePath] = /^([a-z]+):\/\/([^/?]*)([^?]*)/.exec(base)!;
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(reference)) return reference;
  if (reference.startsWith('//')) return `${scheme}:${reference}`;
  const [path = '', ...query] = reference.split('?');
  const tail = query.length > 0 ? `?${query.join('?')}` : '';
  const resolved = path === '' ? basePath! : posix.resolve(posix.dirname(basePath || '/'), path);
  return `${scheme}://${authority}${resolved}${tail}`;
}

function invalid(what: string): GatewayError {
  return new GatewayError(
    'INVALID_RTMP_URL',
    `rtmpUrl ${what}. Write it as rtmp://HOST[:PORT]/APPLICATION or rtmps://HOST[:PORT]/APPLICATION, ` +
      'with special characters of a user or password percent-encoded.',
  );
}

/**
 * WCS's `connect("live/?user=u&pass=p")` keeps the slash before the query; without a query a slash at the end is
 * dropped. `rtmp://HOST/` is the server's root application, as in the documentation of `rtmp_push_auto_start_url`.
 */
const applicationOf = (path: string, query: string): string => (query ? path + query : path.replace(/\/+$/, ''));

function splitFullUrl(path: string, query: string): { app: string; streamName: string } {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  if (slash > 0) return { app: trimmed.slice(0, slash), streamName: trimmed.slice(slash + 1) + query };
  // The server URL itself may have a query, with the key after it, as encoders accept it: YouTube's live2?backup=1/KEY.
  const behind = query.indexOf('/');
  const key = query.slice(behind + 1);
  if (slash === 0 || trimmed === '' || behind < 0 || key === '')
    throw invalid('names no stream: with rtmpTransponderFullUrl it must end with /APPLICATION/STREAM');
  return { app: path + query.slice(0, behind), streamName: key };
}

function splitCredentials(userinfo: string): { user: Secret; password: Secret } {
  const colon = userinfo.indexOf(':');
  return {
    user: new Secret(decodeCredential(colon < 0 ? userinfo : userinfo.slice(0, colon))),
    password: new Secret(decodeCredential(colon < 0 ? '' : userinfo.slice(colon + 1))),
  };
}

function decodeCredential(encoded: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(encoded);
  } catch {
    throw invalid('has a user or password that is not percent-encoded correctly');
  }
  // eslint-disable-next-line no-control-regex -- as above, but spaces are allowed in a password
  if (/[\u0000-\u001f\u007f]/.test(decoded)) throw invalid('has control characters in its user or password');
  return decoded;
}

/**
 * Only the application's first segment is shown: if `rtmpTransponderFullUrl` was forgotten, the next segment is a
 * stream key.
 */
function redactApp(app: string, fullUrl: boolean): string {
  const first = /^[\w.~-]*/.exec(app)![0];
  const isShownWhole = first === app && !fullUrl;
  return isShownWhole ? first : `${first}${first ? '/' : ''}***`;
}
