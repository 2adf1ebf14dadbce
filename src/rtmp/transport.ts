import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { NO_DESCRIPTORS } from '../runtime/file-descriptors.ts';
import { RtmpError } from './rtmp-error.ts';

/** Whom RTMPS trusts. Without it the connection is not encrypted. */
export interface TlsOptions {
  /**
   * The trusted authorities; default: those of Node. Created once and shared, because reading them takes tens of
   * milliseconds.
   */
  readonly secureContext?: SecureContext | undefined;
  /** Accept any certificate. */
  readonly insecure?: boolean | undefined;
}

export interface TransportOptions {
  /** The host of the URL: for SNI and for the certificate. */
  readonly host: string;
  /**
   * The addresses to connect to, at least one; the first that accepts a connection is used. No name is resolved here.
   */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly localAddress?: string | undefined;
  readonly tls?: TlsOptions | undefined;
}

export interface TransportTimeouts {
  /** Milliseconds for the TCP connection, all addresses together. */
  readonly tcp: number;
  /** Milliseconds for the TLS handshake. */
  readonly tls: number;
}

/** TCP keep-alive: the kernel begins to probe after this many milliseconds without traffic. */
const KEEP_ALIVE = 15_000;

/**
 * Opens a socket; for RTMPS its certificate has been verified. It has an `error` listener, so that a late error does
 * not become an exception.
 *
 * @param onReached called when there is a TCP connection
 * @throws {RtmpError} unreachable, timeout, tls, lost or aborted
 */
export async function openTransport(
  options: TransportOptions,
  timeouts: TransportTimeouts,
  signal: AbortSignal,
  onReached?: () => void,
): Promise<Socket> {
  const tcp = await reach(options, timeouts.tcp, signal);
  onReached?.();
  if (!options.tls) return tcp;

  const secure = connectTls({
    socket: tcp,
    // SNI does not allow addresses (RFC 6066, 3). The certificate is compared with `host` in both cases.
    servername: isIP(options.host) ? '' : options.host,
    host: options.host,
    secureContext: options.tls.secureContext,
    rejectUnauthorized: !options.tls.insecure,
  });
  await opened(
    secure,
    'secureConnect',
    timeouts.tls,
    signal,
    `The server did not complete the TLS handshake within ${timeouts.tls / 1000} s`,
    tlsError,
  );
  return secure;
}

/**
 * Connects to the first address that accepts a connection: a host may have IPv4 and IPv6 addresses of which only one
 * kind works from here. After a refusal the next address is tried at once, after silence when this address has used its
 * share of the remaining time.
 */
async function reach(
  { addresses, port, localAddress }: TransportOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const deadlineMs = performance.now() + timeoutMs;
  for (const [i, address] of addresses.entries()) {
    const left = addresses.length - i;
    const socket = connectTcp({
      host: address,
      port,
      // Without Nagle's algorithm: media must not wait for TCP acknowledgements.
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    try {
      await opened(
        socket,
        'connect',
        (deadlineMs - performance.now()) / left,
        signal,
        `The server did not accept a TCP connection within ${timeoutMs / 1000} s`,
        connectError,
      );
      return socket;
    } catch (error) {
      if (signal.aborted || left === 1) throw error;
    }
  }
  throw new RtmpError('unreachable', 'The server has no address');
}

/** Waits for `event`. Destroys the socket in every other case. */
function opened(
  socket: Socket,
  event: string,
  timeoutMs: number,
  signal: AbortSignal,
  late: string,
  explain: (error: NodeJS.ErrnoException) => RtmpError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: RtmpError): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.off(event, succeed).off('close', close);
      if (!error) return resolve();
      socket.destroy();
      reject(error);
    };
    const succeed = (): void => settle();
    const abort = (): void => settle(new RtmpError('aborted', 'The connection attempt was cancelled'));
    const close = (): void => settle(new RtmpError('lost', 'The server closed the connection'));
    const timer = setTimeout(() => settle(new RtmpError('timeout', late)), timeoutMs);
    socket.once(event, succeed).once('close', close);
    socket.on('error', (error) => settle(explain(error)));
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
  });
}

const REACH_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The server refused the TCP connection: no server listens on that port',
  EHOSTUNREACH: 'There is no route to the server',
  ENETUNREACH: 'There is no route to the server',
  EADDRNOTAVAIL: 'The local address to bind is not an address of this machine, or cannot reach the server',
  EINVAL: 'The local address to bind is not an address of this machine, or cannot reach the server',
  ETIMEDOUT: 'The server did not accept a TCP connection',
  EMFILE: `No connection was made: ${NO_DESCRIPTORS}`,
  ENFILE: `No connection was made: ${NO_DESCRIPTORS}`,
};

function connectError(error: NodeJS.ErrnoException): RtmpError {
  return new RtmpError('unreachable', REACH_ERRORS[error.code ?? ''] ?? `The TCP connection failed (${error.code})`);
}

/** A broken connection may be retried; a certificate that is not trusted, or a server without TLS, is final. */
function tlsError(error: NodeJS.ErrnoException): RtmpError {
  const code = error.code ?? 'unknown';
  if (error.syscall !== undefined || code === 'ECONNRESET')
    return new RtmpError('lost', `The connection was lost during the TLS handshake (${code})`);
  return new RtmpError('tls', TLS_ERRORS[code] ?? `TLS failed (${code})`, true);
}

const TLS_ERRORS: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "The server's certificate is for another host",
  CERT_HAS_EXPIRED: "The server's certificate has expired",
  CERT_NOT_YET_VALID: "The server's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The server's certificate is self-signed and not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "The server's certificate is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The server's certificate is signed by an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "The server's certificate is signed by an authority that is not trusted, or its intermediate certificates are missing",
  ERR_SSL_WRONG_VERSION_NUMBER: 'The server does not speak TLS on that port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'The server does not speak TLS on that port',
  ERR_SSL_UNEXPECTED_MESSAGE: 'The server does not speak TLS on that port',
};
