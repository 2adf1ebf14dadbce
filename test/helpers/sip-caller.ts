import { createHash } from 'node:crypto';
import { parseDigestFields } from '../../src/sip/message/text.ts';

/** Requests of a telephone that calls the gateway. */

export interface InviteOptions {
  readonly method?: string;
  readonly uri?: string;
  readonly from?: string;
  readonly to?: string;
  readonly branch?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly headers?: readonly string[];
  /** Empty: no body. */
  readonly sdp?: string;
  readonly type?: string;
}

export const OFFER = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  'c=IN IP4 127.0.0.1',
  't=0 0',
  'm=audio 25000 RTP/AVP 0 8',
  '',
].join('\r\n');

let branches = 0;

/** @param place `host:port` of the telephone */
export function inviteText(
  place: string,
  {
    method = 'INVITE',
    uri = 'sip:studio@10.0.0.1',
    from = `<sip:1001@${place}>`,
    to = '<sip:studio@10.0.0.1>',
    branch = `b${++branches}`,
    callId = `call-${branch}`,
    cseq = 1,
    headers = [],
    sdp = OFFER,
    type = 'application/sdp',
  }: InviteOptions = {},
): string {
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${place};branch=z9hG4bK${branch};rport`,
    `From: ${from};tag=f`,
    `To: ${to}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    `Contact: <sip:1001@${place}>`,
    'Max-Forwards: 70',
    ...headers,
    ...(sdp === '' ? [] : [`Content-Type: ${type}`]),
    `Content-Length: ${Buffer.byteLength(sdp)}`,
    '',
    sdp,
  ].join('\r\n');
}

export interface DigestOptions {
  readonly username: string;
  readonly password: string;
  readonly uri?: string;
  readonly nc?: string;
  /** Node's name of the hash. Default: MD5. */
  readonly hash?: string;
  /** Instead of the right one. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** The `Authorization` of an INVITE, computed here so that it does not share mistakes with the gateway. */
export function authorization(
  challenge: string,
  {
    username,
    password,
    uri = 'sip:studio@10.0.0.1',
    nc = '00000001',
    hash = 'md5',
    fields: changed = {},
  }: DigestOptions,
): string {
  const fields = parseDigestFields(challenge)!;
  const [realm, nonce, algorithm] = [fields.get('realm'), fields.get('nonce'), fields.get('algorithm') ?? 'MD5'];
  const digest = (text: string): string => createHash(hash).update(text).digest('hex');
  const response = digest(
    `${digest(`${username}:${realm}:${password}`)}:${nonce}:${nc}:c0ffee:auth:${digest(`INVITE:${uri}`)}`,
  );
  const all = { username, realm, nonce, uri, response, cnonce: 'c0ffee', qop: 'auth', algorithm, nc, ...changed };
  return `Authorization: Digest ${Object.entries(all)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}`;
}
