import type { FailedLogins } from '../../access/failed-logins.ts';
import type { Settings } from '../../config/schema.ts';
import { inNetworks } from '../../net/destination-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { RegistrationLookup } from '../registration/registrations.ts';
import { DigestGate } from './digest-gate.ts';
import { readSipUsers } from './sip-users.ts';

/** Who may call: one for each value of `sip_incoming`. */
export type Callers =
  | { readonly mode: 'registered'; readonly registrations: RegistrationLookup }
  | { readonly mode: 'trusted'; readonly includes: (address: string) => boolean }
  | { readonly mode: 'digest'; readonly includes: (address: string) => boolean; readonly gate: DigestGate };

export interface CallersParts {
  readonly registrations: RegistrationLookup;
  readonly failures: FailedLogins;
  readonly clock: Clock;
}

/** The realm of gateways without a domain. */
const REALM = 'webrtc-transponder';

/**
 * Who may call, as the settings say; `undefined`: nobody.
 *
 * @throws {GatewayError} SETTINGS_INVALID
 */
export function createCallers(
  settings: Settings,
  { registrations, failures, clock }: CallersParts,
): Callers | undefined {
  const { sip_incoming: mode } = settings;
  const includes = inNetworks(settings.sip_incoming_networks);
  switch (mode) {
    case 'off':
      return undefined;
    case 'registered':
      return { mode, registrations };
    case 'trusted':
      return { mode, includes };
    case 'digest': {
      const users = readSipUsers(settings.sip_users);
      const { domain, sip_digest_algorithm: algorithm } = settings;
      return { mode, includes, gate: new DigestGate({ users, realm: domain || REALM, algorithm, failures, clock }) };
    }
  }
}

/** Whether messages that belong to no call are taken from this address. Registrars are peers of the registrations. */
export const mayCall = (callers: Callers | undefined, address: string): boolean =>
  callers !== undefined && callers.mode !== 'registered' && callers.includes(address);
