/** How an attempt to publish failed. */
export type RtmpErrorCode =
  /** No TCP connection came about. */
  | 'unreachable'
  /** The peer did not answer in time. */
  | 'timeout'
  /** The connection ended, by the peer or by the network. */
  | 'lost'
  /** The peer's bytes are not RTMP, or more than is bearable. */
  | 'protocol'
  /** The server said no, in words. */
  | 'refused'
  /** The server will not have the stream under this name: it does not know it, or somebody publishes it already. */
  | 'name-refused'
  /** The server wants another user or password, or any at all. */
  | 'authentication'
  /** The certificate is not to be trusted, or TLS is not spoken. */
  | 'tls'
  /** We gave up by ourselves. */
  | 'aborted';

/** Its message may be shown: the server's words are in it, without the secrets that the server may have repeated. */
export class RtmpError extends Error {
  readonly code: RtmpErrorCode;
  /** Trying again without changing anything cannot help. */
  readonly final: boolean;

  constructor(code: RtmpErrorCode, message: string, final = false) {
    super(message);
    this.name = 'RtmpError';
    this.code = code;
    this.final = final;
  }
}
