import { readFileSync } from 'node:fs';
import { getCACertificates, rootCertificates } from 'node:tls';
import { GatewayError } from '../errors.ts';

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
 * The authorities that RTMPS trusts, as PEM: the system's, and beside them those in `extraFile` (`rtmps_ca_file`).
 * Takes a fifth of a second the first time: to be read at the start, because no media moves meanwhile.
 *
 * @throws {GatewayError} SETTINGS_INVALID when `extraFile` cannot be read.
 */
export function trustedAuthorities(extraFile: string | undefined): readonly string[] {
  if (!extraFile) return systemAuthorities();
  try {
    return [...systemAuthorities(), readFileSync(extraFile, 'utf8')];
  } catch (error) {
    throw new GatewayError('SETTINGS_INVALID', `rtmps_ca_file ${extraFile} cannot be read (${(error as NodeJS.ErrnoException).code}). Name a PEM file.`, { cause: error });
  }
}
