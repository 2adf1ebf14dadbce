import { isIP } from 'node:net';
import { formatHost, formatNameAddr, parseNameAddr, tryParseUri, type SipUri } from '../message/address.ts';
import { SipRequest, type SipMessage, type SipResponse } from '../message/message.ts';
import { randomText } from '../random-text.ts';
import type { Flow } from '../transport/flow.ts';

export const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK';

export interface DialogOptions {
  readonly callId: string;
  readonly localTag: string;
  readonly localUri: string;
  readonly localName?: string | undefined;
  readonly remoteUri: string;
  /** User part of the Contact: cannot be guessed. */
  readonly contactUser: string;
  readonly userAgent: string;
  /** Where the first request goes, or came from. */
  readonly flow: Flow;
  readonly localOf: (flow: Flow) => { readonly host: string; readonly port: number };
  /** Whether requests may come from there too: a trunk has several addresses. */
  readonly alsoFrom?: ((address: string) => boolean) | undefined;
  /** Whether requests may go where the peer says. */
  readonly permits: (address: string, port: number) => boolean;
}

export interface DialogRequest {
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: { readonly type: string; readonly text: string } | undefined;
  /** Of the request that this one belongs to. */
  readonly cseq?: number;
  /** Default: the peer. */
  readonly uri?: string;
}

/** Requests that may change where the peer sends to. */
const WITH_CONTACT = new Set(['INVITE', 'UPDATE', 'REGISTER']);

/** The state that the requests of one call share (RFC 3261, 12). */
export class Dialog {
  readonly options: DialogOptions;
  remoteTag: string | undefined;
  /** Of the peer's last request. */
  remoteCseq = -1;
  #target: string;
  #routes: readonly string[] = [];
  /** Shared with the other branches of a fork. */
  readonly #cseq: { value: number };

  constructor(options: DialogOptions, cseq = { value: 0 }) {
    this.options = options;
    this.#target = options.remoteUri;
    this.#cseq = cseq;
  }

  get id(): string {
    return dialogId(this.options.callId, this.options.localTag);
  }

  get contact(): string {
    const { contactUser, localOf } = this.options;
    const { protocol } = this.flow;
    const { host, port } = localOf(this.flow);
    return `<sip:${contactUser}@${formatHost(host)}:${port}${protocol === 'udp' ? '' : `;transport=${protocol}`}>`;
  }

  /**
   * Where requests go: to the first route or to the peer's Contact, if that is permitted; otherwise back to where the
   * dialog came from, because the peer chooses both.
   */
  get flow(): Flow {
    const origin = this.options.flow;
    if (this.remoteTag === undefined) return origin;
    const [route] = this.#routes;
    return this.#flowTo(tryParseUri(route === undefined ? this.#target : parseNameAddr(route).uri)) ?? origin;
  }

  request(method: string, { headers = {}, body, cseq, uri = this.#target }: DialogRequest = {}): SipRequest {
    const { localName, localUri, localTag, remoteUri, callId, userAgent } = this.options;
    const request = new SipRequest(method, uri)
      .set('via', '')
      .set('max-forwards', '70')
      .set('from', formatNameAddr(localName, localUri, localTag))
      .set('to', formatNameAddr(undefined, remoteUri, this.remoteTag))
      .set('call-id', callId)
      .set('cseq', `${cseq ?? ++this.#cseq.value} ${method}`)
      .set('route', ...this.#routes);
    if (WITH_CONTACT.has(method)) request.set('contact', this.contact);
    request.set('user-agent', userAgent);
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) request.set(name, value);
    if (body) request.setBody(body.type, body.text);
    return request;
  }

  /** The peer of an outgoing call has answered: it and the route to it are known. */
  confirm(response: SipResponse, tag: string): void {
    this.remoteTag = tag;
    this.#routes = [...response.all('record-route')].reverse();
    this.refreshTarget(response);
  }

  /** The peer has called. */
  confirmIncoming(request: SipRequest): void {
    this.remoteTag = request.from.params.get('tag');
    this.remoteCseq = request.cseq.number;
    this.#routes = [...request.all('record-route')];
    this.refreshTarget(request);
  }

  /** The peer may have moved. */
  refreshTarget(message: SipMessage): void {
    const [contact] = message.all('contact');
    const uri = contact === undefined ? undefined : parseNameAddr(contact).uri;
    if (uri !== undefined && tryParseUri(uri)) this.#target = uri;
  }

  /** The dialog with another branch of a fork. */
  fork(response: SipResponse, tag: string): Dialog {
    const dialog = new Dialog(this.options, this.#cseq);
    dialog.confirm(response, tag);
    return dialog;
  }

  /** Whether a request in this dialog may come from there. */
  isFrom(address: string): boolean {
    const { flow, alsoFrom } = this.options;
    return address === flow.address || address === this.flow.address || alsoFrom?.(address) === true;
  }

  #flowTo(uri: SipUri | undefined): Flow | undefined {
    const origin = this.options.flow;
    if (!uri || isIP(uri.host) === 0) return undefined;
    const protocol = protocolOf(uri) ?? origin.protocol;
    // What was encrypted stays so.
    if (origin.protocol === 'tls' && protocol !== 'tls') return undefined;
    const port = uri.port ?? (protocol === 'tls' ? 5061 : 5060);
    const isOrigin = uri.host === origin.address && port === origin.port;
    if (!isOrigin && !this.options.permits(uri.host, port)) return undefined;
    return { protocol, address: uri.host, port, ...(protocol === 'tls' && { serverName: origin.serverName }) };
  }
}

export const dialogId = (callId: string, localTag: string | undefined): string => `${callId} ${localTag}`;

/** Texts that make a new dialog. */
export const newDialogIds = (): Pick<DialogOptions, 'callId' | 'localTag' | 'contactUser'> => ({
  callId: randomText(),
  localTag: randomText(),
  contactUser: randomText(),
});

function protocolOf({ scheme, params }: SipUri): Flow['protocol'] | undefined {
  const transport = params.get('transport')?.toLowerCase();
  if (scheme === 'sips' || transport === 'tls') return 'tls';
  return transport === 'tcp' || transport === 'udp' ? transport : undefined;
}
