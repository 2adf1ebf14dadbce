import type { ServerOptions } from 'node:http';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import type { Certificate } from './certificate.ts';

/** Milliseconds between two checks for requests that take too long. Node checks every 30 s by default. */
const TIMEOUT_CHECK_MS = 1000;
/** Milliseconds for a TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

type ListenerOptions = ServerOptions & SecureContextOptions & Pick<TlsOptions, 'handshakeTimeout'>;

/**
 * What the servers of all listeners for HTTP and WebSockets have in common: certificate, and times in which clients must
 * shake hands and send a request.
 *
 * @param requestTimeoutMs for a whole request
 */
export const listenerOptions = (certificate: Certificate | undefined, requestTimeoutMs: number): ListenerOptions => ({
  requestTimeout: requestTimeoutMs,
  headersTimeout: requestTimeoutMs,
  connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, requestTimeoutMs),
  ...(certificate && {
    ...certificate.secureOptions,
    handshakeTimeout: Math.min(HANDSHAKE_TIMEOUT_MS, requestTimeoutMs),
  }),
});
