import { parseCSeq, parseNameAddr, parseVia, type CSeq, type NameAddr, type Via } from './address.ts';

/** Spellings that capitals at the beginning of each word do not give. */
const TITLES: Readonly<Record<string, string>> = {
  'call-id': 'Call-ID',
  cseq: 'CSeq',
  'www-authenticate': 'WWW-Authenticate',
  'min-se': 'Min-SE',
  rack: 'RAck',
  rseq: 'RSeq',
};

const REASONS: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  420: 'Bad Extension',
  422: 'Session Interval Too Small',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  500: 'Server Internal Error',
  503: 'Service Unavailable',
};

/** Headers by their names in lower case. Values keep their text and are parsed where they are used. */
abstract class SipMessageBase {
  readonly headers = new Map<string, string[]>();
  body: Buffer = Buffer.alloc(0);

  abstract get firstLine(): string;

  get(name: string): string | undefined {
    return this.headers.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.headers.get(name) ?? [];
  }

  /** Replaces the values. `undefined` is left out. */
  set(name: string, ...values: readonly (string | undefined)[]): this {
    const given = values.filter((value) => value !== undefined);
    if (given.length > 0) this.headers.set(name, given);
    else this.headers.delete(name);
    return this;
  }

  /** Whether a list of tokens, such as `Require`, has one. */
  lists(name: string, token: string): boolean {
    return this.all(name).some((value) => value.toLowerCase() === token);
  }

  setBody(type: string, body: string): this {
    this.body = Buffer.from(body);
    return this.set('content-type', type);
  }

  /** The body, if it is of this type. Parameters of the type do not matter. */
  bodyOf(type: string): string | undefined {
    const [given = ''] = (this.get('content-type') ?? '').split(';');
    return this.body.length > 0 && given.trim().toLowerCase() === type ? this.body.toString() : undefined;
  }

  get via(): Via {
    return parseVia(this.get('via'));
  }

  get cseq(): CSeq {
    return parseCSeq(this.get('cseq'));
  }

  get from(): NameAddr {
    return parseNameAddr(this.get('from'));
  }

  get to(): NameAddr {
    return parseNameAddr(this.get('to'));
  }

  get callId(): string {
    return this.get('call-id') ?? '';
  }

  /** As it goes over the wire. */
  toBuffer(): Buffer {
    const lines = [this.firstLine];
    for (const [name, values] of this.headers)
      if (name !== 'content-length') for (const value of values) lines.push(`${titleOf(name)}: ${value}`);
    lines.push(`Content-Length: ${this.body.length}`, '', '');
    return Buffer.concat([Buffer.from(lines.join('\r\n')), this.body]);
  }
}

export class SipRequest extends SipMessageBase {
  readonly kind = 'request';
  readonly method: string;
  readonly uri: string;

  constructor(method: string, uri: string) {
    super();
    this.method = method;
    this.uri = uri;
  }

  override get firstLine(): string {
    return `${this.method} ${this.uri} SIP/2.0`;
  }
}

export class SipResponse extends SipMessageBase {
  readonly kind = 'response';
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string) {
    super();
    this.status = status;
    this.reason = reason;
  }

  override get firstLine(): string {
    return `SIP/2.0 ${this.status} ${this.reason}`;
  }

  /** Of the request that it answers. */
  get method(): string {
    return this.cseq.method;
  }
}

export type SipMessage = SipRequest | SipResponse;

export interface ResponseOptions {
  readonly toTag?: string | undefined;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly sdp?: string | undefined;
}

/** The answer to a request (RFC 3261, 8.2.6). */
export function respond(
  request: SipRequest,
  status: number,
  { toTag, headers = {}, sdp }: ResponseOptions = {},
): SipResponse {
  const response = new SipResponse(status, REASONS[status] ?? 'Unknown');
  const to = request.get('to')!;
  response
    .set('via', ...request.all('via'))
    .set('from', request.get('from'))
    .set('to', toTag !== undefined && status > 100 && !request.to.params.has('tag') ? `${to};tag=${toTag}` : to)
    .set('call-id', request.callId)
    .set('cseq', request.get('cseq'));
  if (request.method === 'INVITE' && status > 100 && status < 300)
    response.set('record-route', ...request.all('record-route'));
  for (const [name, value] of Object.entries(headers)) response.set(name, ...[value].flat());
  if (sdp !== undefined) response.setBody('application/sdp', sdp);
  return response;
}

const titleOf = (name: string): string =>
  TITLES[name] ?? name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());
