import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { NO_DESCRIPTORS } from '../runtime/file-descriptors.ts';
import { RtmpError } from './rtmp-error.ts';

/** How RTMPS trusts. Without it the connection is plain. */
export interface TlsOptions {
  /** The authorities that are trusted; default: those of Node. Made once and shared, because reading them takes tens of milliseconds. */
  readonly secureContext?: SecureContext | undefined;
  /** Take any certificate. */
  readonly insecure?: boolean | undefined;
}

export interface TransportOptions {
  /** The name in the URL: for SNI and for the certificate. */
  readonly host: string;
  /** What is connected to: the first that takes a connection; at least one. No name is resolved here. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly localAddress?: string | undefined;
  readonly tls?: TlsOptions | undefined;
}

export interface TransportTimeouts {
  /** Milliseconds for the TCP connection, to whichever address. */
  readonly tcp: number;
  /** Milliseconds for the TLS handshake. */
  readonly tls: number;
}

/** Connections that the kernel finds dead while nothing is sent: after this many ms of silence it begins to ask. */
const KEEP_ALIVE = 15_000;

/**
 * A connected socket, for RTMPS a verified one. It has an `error` listener, so that a late error never becomes an exception.
 * @throws {RtmpError} unreachable, timeout, tls, lost or aborted.
 */
export async function openTransport(
  options: TransportOptions,
  timeouts: TransportTimeouts,
  signal: AbortSignal,
): Promise<Socket> {
  const tcp = await reach(options, timeouts.tcp, signal);
  if (!options.tls) return tcp;

  const secure = connectTls({
    socket: tcp,
    // Of an address there is no server name to indicate (RFC 6066, 3); the certificate is compared with `host` either way.
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
 * Connects to the first address that takes a connection: a host may have one of each kind of which only one works from here. An address that
 * refuses is left at once, a silent one after its share of the time that is left.
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
      // Media must not wait for acknowledgements of the kernel's (Nagle).
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

/** Waits for `event`; destroys the socket in every other case. */
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
    const abort = (): void => settle(new RtmpError('aborted', 'The attempt was given up'));
    const close = (): void => settle(new RtmpError('lost', 'The server closed the connection'));
    const timer = setTimeout(() => settle(new RtmpError('timeout', late)), timeoutMs);
    socket.once(event, succeed).once('close', close);
    socket.on('error', (error) => settle(explain(error)));
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
  });
}

const REACH_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The server refused the TCP connection: nothing listens on that port',
  EHOSTUNREACH: 'No route leads to the server',
  ENETUNREACH: 'No route leads to the server',
  EADDRNOTAVAIL: 'The local address to bind is not an address of this machine, or cannot reach the server',
  EINVAL: 'The local address to bind is not an address of this machine, or cannot reach the server',
  ETIMEDOUT: 'The server did not accept a TCP connection',
  EMFILE: `It was not connected to: ${NO_DESCRIPTORS}`,
  ENFILE: `It was not connected to: ${NO_DESCRIPTORS}`,
};

function connectError(error: NodeJS.ErrnoException): RtmpError {
  return new RtmpError('unreachable', REACH_ERRORS[error.code ?? ''] ?? `The TCP connection failed (${error.code})`);
}

/** A broken connection may heal; a certificate that is not to be trusted, or a server without TLS, does not. */
function tlsError(error: NodeJS.ErrnoException): RtmpError {
  const code = error.code ?? 'unknown';
  if (error.syscall !== undefined || code === 'ECONNRESET')
    return new RtmpError('lost', `The connection broke during the TLS handshake (${code})`);
  return new RtmpError('tls', TLS_ERRORS[code] ?? `TLS failed (${code})`, true);
}

const TLS_ERRORS: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "The server's certificate is for another host",
  CERT_HAS_EXPIRED: "The server's certificate has expired",
  CERT_NOT_YET_VALID: "The server's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The server's certificate is self-signed, by nobody who is trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "The server's certificate is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The server's certificate is signed by an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "The server's certificate is signed by an authority that is not trusted, or its intermediate certificates are missing",
  ERR_SSL_WRONG_VERSION_NUMBER: 'The server does not speak TLS on that port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'The server does not speak TLS on that port',
};
