import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getCACertificates, rootCertificates } from 'node:tls';
import { GatewayError } from '../errors.ts';
import type { Destination } from './destination.ts';

/** What both engines can be told about RTMPS. */
export interface TlsTrust {
  /** PEM file of an authority that is trusted besides the system's (`rtmps_ca_file`). */
  readonly caFile?: string | undefined;
  /** Hosts whose certificates are not verified (`rtmps_insecure_host`). */
  readonly insecureHosts?: readonly string[] | undefined;
  /** Told of every connection that is made without verification, because that never happens silently. */
  readonly onInsecure?: ((host: string) => void) | undefined;
}

/** Whether a connection to `destination` is to be made without verification; `onInsecure` is told. */
export function skipsVerification({ scheme, host }: Destination, { insecureHosts, onInsecure }: TlsTrust): boolean {
  const skips =
    scheme === 'rtmps' && insecureHosts?.some((insecure) => insecure.toLowerCase() === host.toLowerCase()) === true;
  if (skips) onInsecure?.(host);
  return skips;
}

let system: readonly string[] | undefined;

/** The system's authorities and those of `NODE_EXTRA_CA_CERTS`; Node's own where the system has none, as in a bare container. */
function systemAuthorities(): readonly string[] {
  if (!system) {
    const installed = getCACertificates('system');
    // Distributions list each of theirs several times.
    system = [...new Set([...(installed.length > 0 ? installed : rootCertificates), ...getCACertificates('extra')])];
  }
  return system;
}

/**
 * The authorities that RTMPS trusts, as PEM: the system's, and beside them those in `caFile`.
 * Takes a fifth of a second the first time: to be read at the start, because no media moves meanwhile.
 *
 * @throws {GatewayError} SETTINGS_INVALID when `caFile` cannot be read or is no certificate.
 */
export function trustedAuthorities(caFile: string | undefined): readonly string[] {
  if (!caFile) return systemAuthorities();
  try {
    const pem = readFileSync(caFile, 'utf8');
    // Node takes what is no certificate without a word, and then trusts nobody more.
    new X509Certificate(pem);
    return [...systemAuthorities(), pem];
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    const what = syscall ? `cannot be read (${code})` : `is no certificate (${message})`;
    throw new GatewayError('SETTINGS_INVALID', `rtmps_ca_file ${caFile} ${what}. Name a PEM file.`, { cause: error });
  }
}
