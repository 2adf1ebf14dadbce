/** How an attempt to publish failed. */
export type RtmpErrorCode =
  /** No TCP connection could be made. */
  | 'unreachable'
  /** The peer did not answer in time. */
  | 'timeout'
  /** The connection ended, by the peer or by the network. */
  | 'lost'
  /** The peer's bytes are not valid RTMP, or exceed the limits. */
  | 'protocol'
  /** The server refused. */
  | 'refused'
  /** The server refused the stream name: it does not know it, or it is being published already. */
  | 'name-refused'
  /** The server requires a user and password, or other ones. */
  | 'authentication'
  /** The certificate is not trusted, or the server does not speak TLS. */
  | 'tls'
  /** The client cancelled the attempt. */
  | 'aborted';

/** The other side of a connection, as error messages call it. */
export type RtmpPeer = 'server' | 'client';

/**
 * The message may be shown to users: it contains the server's text without secrets that the server may have repeated.
 */
export class RtmpError extends Error {
  readonly code: RtmpErrorCode;
  /** A retry cannot help. */
  readonly final: boolean;

  constructor(code: RtmpErrorCode, message: string, final = false) {
    super(message);
    this.name = 'RtmpError';
    this.code = code;
    this.final = final;
  }
}
