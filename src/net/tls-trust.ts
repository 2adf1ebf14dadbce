import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getCACertificates, rootCertificates } from 'node:tls';
import { GatewayError } from '../errors.ts';
import type { Destination } from './destination.ts';

/** Trust settings for RTMPS, for both push engines. */
export interface TlsTrust {
  /** PEM file of an authority that is trusted in addition to those of the system (`rtmps_ca_file`). */
  readonly caFile?: string | undefined;
  /** Hosts whose certificates are not verified (`rtmps_insecure_host`). */
  readonly insecureHosts?: readonly string[] | undefined;
  /** Called for every connection that is made without verification, which must be logged. */
  readonly onInsecure?: ((host: string) => void) | undefined;
}

/** Whether a connection to `destination` is made without verification; calls `onInsecure` if so. */
export function skipsVerification({ scheme, host }: Destination, { insecureHosts, onInsecure }: TlsTrust): boolean {
  const skips =
    scheme === 'rtmps' && insecureHosts?.some((insecure) => insecure.toLowerCase() === host.toLowerCase()) === true;
  if (skips) onInsecure?.(host);
  return skips;
}

let system: readonly string[] | undefined;

/**
 * The authorities of the system and of `NODE_EXTRA_CA_CERTS`; those of Node if the system has none, as in a minimal
 * container.
 */
function systemAuthorities(): readonly string[] {
  if (!system) {
    const installed = getCACertificates('system');
    // Distributions list authorities several times.
    system = [...new Set([...(installed.length > 0 ? installed : rootCertificates), ...getCACertificates('extra')])];
  }
  return system;
}

/**
 * The authorities that RTMPS trusts, as PEM: those of the system and those in `caFile`. Takes 0.2 s the first time and
 * blocks the event loop, so it is called at the start.
 *
 * @throws {GatewayError} SETTINGS_INVALID if `caFile` cannot be read or is not a certificate
 */
export function trustedAuthorities(caFile: string | undefined): readonly string[] {
  if (!caFile) return systemAuthorities();
  try {
    const pem = readFileSync(caFile, 'utf8');
    // Node silently ignores what is not a certificate.
    new X509Certificate(pem);
    return [...systemAuthorities(), pem];
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    const what = syscall ? `cannot be read (${code})` : `is not a certificate (${message})`;
    throw new GatewayError('SETTINGS_INVALID', `rtmps_ca_file ${caFile} ${what}. Name a PEM file.`, { cause: error });
  }
}
