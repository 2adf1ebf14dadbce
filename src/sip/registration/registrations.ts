/** What became of the registration of an account. `registering`: the first answer has not come. */
export type RegistrationStatus = 'registering' | 'registered' | 'failed' | 'unregistered';

/** A registration for REST, the console and hooks. */
export interface RegistrationView {
  /** `user@domain` */
  readonly account: string;
  /** `null`: none is given in `sip_register`. */
  readonly stream: string | null;
  readonly state: RegistrationStatus;
  /** Why it has failed. */
  readonly reasonCode: string | null;
  readonly reason: string | null;
  readonly expiresAt: string | null;
}

/** The registration that a call has come for. */
export interface CalledAccount {
  /** `user@domain` */
  readonly account: string;
  readonly stream: string | undefined;
}

/** Decides about calls from registrars. */
export interface RegistrationLookup {
  /**
   * The registration whose Contact has this user part, which nobody can guess, and whose registrar has the source
   * address. `undefined`: the call is not for the gateway.
   */
  accepts(source: { readonly address: string }, contactUser: string): CalledAccount | undefined;
}
