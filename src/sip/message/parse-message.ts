import { BadMessage } from './bad-message.ts';
import { SipRequest, SipResponse, type SipMessage } from './message.ts';
import { splitList } from './text.ts';

/** The largest of each that is read. */
export const MESSAGE_LIMITS = { message: 65_535, line: 8192, headers: 128, values: 64 } as const;

/** Compact names (RFC 3261, 7.3.3, and of the extensions). */
const LONG_NAMES: Readonly<Record<string, string>> = {
  v: 'via',
  f: 'from',
  t: 'to',
  i: 'call-id',
  m: 'contact',
  l: 'content-length',
  c: 'content-type',
  k: 'supported',
  s: 'subject',
  e: 'content-encoding',
  r: 'refer-to',
  x: 'session-expires',
  u: 'allow-events',
  o: 'event',
};
/** Headers whose values may be in one line, with commas between them. */
const LISTS = new Set([
  'via',
  'route',
  'record-route',
  'contact',
  'allow',
  'supported',
  'require',
  'unsupported',
  'accept',
]);
const NEEDED = ['via', 'from', 'to', 'call-id', 'cseq'] as const;
const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]{1,64}$/;
const END_OF_HEAD = '\r\n\r\n';

/**
 * Reads a datagram.
 *
 * @throws {BadMessage}
 */
export function parseDatagram(data: Buffer): SipMessage {
  if (data.length > MESSAGE_LIMITS.message) throw new BadMessage('the message is too long');
  const end = data.indexOf(END_OF_HEAD);
  if (end < 0) throw new BadMessage('the headers have no end');
  const message = parseHead(data.toString('utf8', 0, end));
  const rest = data.length - end - END_OF_HEAD.length;
  const length = contentLength(message) ?? rest;
  if (length > rest) throw new BadMessage('Content-Length');
  const start = end + END_OF_HEAD.length;
  message.body = Buffer.from(data.subarray(start, start + length));
  return message;
}

/** @throws {BadMessage} if it is not a number */
export function contentLength(message: SipMessage): number | undefined {
  const text = message.get('content-length');
  if (text === undefined) return undefined;
  if (!/^\d{1,6}$/.test(text)) throw new BadMessage('Content-Length');
  return Number(text);
}

/**
 * Reads the first line and the headers. Messages of a stream say in them how long their body is.
 *
 * @param text without the empty line at the end
 * @throws {BadMessage}
 */
export function parseHead(text: string): SipMessage {
  const lines = text.split('\r\n', MESSAGE_LIMITS.headers + 2);
  if (lines.length > MESSAGE_LIMITS.headers + 1) throw new BadMessage('too many headers');
  const message = parseFirstLine(lines[0]!);
  let name: string | undefined;
  let value = '';
  for (const line of lines.slice(1)) {
    if (line.length > MESSAGE_LIMITS.line) throw new BadMessage('a line is too long');
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (name === undefined) throw new BadMessage('a folded line without a header');
      value += ` ${line.trim()}`;
      if (value.length > MESSAGE_LIMITS.line) throw new BadMessage('a header is too long');
      continue;
    }
    if (name !== undefined) addHeader(message, name, value);
    const colon = line.indexOf(':');
    if (colon < 1) throw new BadMessage('a header without a colon');
    name = line.slice(0, colon).trim().toLowerCase();
    value = line.slice(colon + 1);
    if (!TOKEN.test(name)) throw new BadMessage('the name of a header');
  }
  if (name !== undefined) addHeader(message, name, value);
  check(message);
  return message;
}

function parseFirstLine(line: string): SipMessage {
  if (line.length > MESSAGE_LIMITS.line) throw new BadMessage('the first line is too long');
  const status = /^SIP\/2\.0 ([1-6]\d\d)(?: (.*))?$/.exec(line);
  if (status) return new SipResponse(Number(status[1]), readable(status[2] ?? ''));
  const [method, uri, version, ...others] = line.split(' ', 4);
  if (version !== 'SIP/2.0' || others.length > 0 || !method || !uri || !TOKEN.test(method))
    throw new BadMessage('the first line');
  return new SipRequest(method, readable(uri));
}

function addHeader(message: SipMessage, given: string, text: string): void {
  const name = LONG_NAMES[given] ?? given;
  const value = readable(text).trim();
  const all = [...message.all(name), ...(LISTS.has(name) ? splitList(value) : [value])];
  if (all.length > MESSAGE_LIMITS.values) throw new BadMessage('too many values of one header');
  message.set(name, ...all);
}

/** A lone CR or LF in a value would be the end of a header where the value is sent on. */
function readable(text: string): string {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text)) throw new BadMessage('a control character');
  return text;
}

/** Everything that later code relies on. */
function check(message: SipMessage): void {
  for (const name of NEEDED) if (!message.get(name)) throw new BadMessage(`no ${name}`);
  // Parsed here, so that it does not throw where it is used.
  if (message.kind === 'request' && message.cseq.method !== message.method) throw new BadMessage('the method of CSeq');
  void message.cseq;
  void message.via;
  void message.to;
  if (!message.from.params.has('tag')) throw new BadMessage('From without tag');
}
