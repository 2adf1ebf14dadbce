import { isIPv6 } from 'node:net';
import { BadMessage } from './bad-message.ts';
import { parseParams, quote, unquote, type Params } from './text.ts';

/** What carries SIP. */
export type Protocol = 'udp' | 'tcp' | 'tls';

/** `"Name" <sip:user@host>;tag=x` */
export interface NameAddr {
  readonly name: string;
  readonly uri: string;
  readonly params: Params;
}

export interface SipUri {
  readonly scheme: 'sip' | 'sips';
  readonly user: string | undefined;
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number | undefined;
  readonly params: Params;
}

export interface Via {
  readonly protocol: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly params: Params;
}

export interface CSeq {
  readonly number: number;
  readonly method: string;
}

const MAX_PORT = 65_535;
const HOST = String.raw`\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255}`;
const URI = new RegExp(
  String.raw`^(sips?):(?:([^@<>\s"]{1,256})@)?(${HOST})(?::(\d{1,5}))?(;[^?\s<>"]*)?(\?[^\s<>"]*)?$`,
  'i',
);
const VIA = new RegExp(
  String.raw`^SIP\s{0,8}\/\s{0,8}2\.0\s{0,8}\/\s{0,8}([A-Za-z]{2,8})\s{1,8}(${HOST})(?:\s{0,8}:\s{0,8}(\d{1,5}))?\s{0,8}(?:;(.*))?$`,
  'i',
);

/** @throws {BadMessage} */
export function parseNameAddr(text: string | undefined): NameAddr {
  if (text === undefined) throw new BadMessage('an address is missing');
  let rest = text.trim();
  let name = '';
  if (rest.startsWith('"')) {
    let end = 1;
    while (end < rest.length && rest[end] !== '"') end += rest[end] === '\\' ? 2 : 1;
    name = unquote(rest.slice(0, end + 1));
    rest = rest.slice(end + 1).trim();
  }
  const open = rest.indexOf('<');
  if (open >= 0) {
    const close = rest.indexOf('>', open);
    if (close < 0) throw new BadMessage('an address has no end');
    if (name === '') name = rest.slice(0, open).trim();
    return { name, uri: rest.slice(open + 1, close), params: parseParams(rest.slice(close + 1)) };
  }
  const semicolon = rest.indexOf(';');
  if (semicolon < 0) return { name, uri: rest, params: new Map() };
  return { name, uri: rest.slice(0, semicolon), params: parseParams(rest.slice(semicolon + 1)) };
}

export const formatNameAddr = (name: string | undefined, uri: string, tag?: string): string =>
  `${name ? `${quote(name)} ` : ''}<${uri}>${tag === undefined ? '' : `;tag=${tag}`}`;

/** @throws {BadMessage} */
export function parseUri(text: string): SipUri {
  const match = URI.exec(text);
  if (!match) throw new BadMessage('not a SIP URI');
  const [, scheme, userinfo, host, port, params] = match;
  return {
    scheme: scheme!.toLowerCase() as SipUri['scheme'],
    user: userinfo?.split(':')[0],
    host: plainHost(host!),
    port: parsePort(port),
    params: parseParams((params ?? '').slice(1)),
  };
}

/** `undefined` for anything that is not a SIP URI. */
export function tryParseUri(text: string): SipUri | undefined {
  try {
    return parseUri(text);
  } catch {
    return undefined;
  }
}

/** @throws {BadMessage} */
export function parseVia(text: string | undefined): Via {
  const match = VIA.exec(text ?? '');
  if (!match) throw new BadMessage('Via');
  const [, protocol, host, port, params] = match;
  return {
    protocol: protocol!.toUpperCase(),
    host: plainHost(host!),
    port: parsePort(port),
    params: parseParams(params ?? ''),
  };
}

/** @throws {BadMessage} */
export function parseCSeq(text: string | undefined): CSeq {
  const match = /^(\d{1,10})\s{1,8}([A-Z]{1,16})$/.exec(text ?? '');
  const number = Number(match?.[1]);
  if (!match || number > 0x7fffffff) throw new BadMessage('CSeq');
  return { number, method: match[2]! };
}

/** In brackets if it is an IPv6 address. */
export const formatHost = (host: string): string => (isIPv6(host) ? `[${host}]` : host);

const plainHost = (host: string): string => host.replace(/^\[|\]$/g, '').toLowerCase();

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (port < 1 || port > MAX_PORT) throw new BadMessage('port');
  return port;
}
