import { EventEmitter } from 'node:events';
import type { RegisteredAccount } from '../../config/sip-register.ts';
import { GatewayError, type ErrorCode } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { SerialWork } from '../../runtime/async.ts';
import { inBackground } from '../../runtime/in-background.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { SipPolicy } from '../call/sip-policy.ts';
import type { Flow } from '../transport/flow.ts';
import { Registration, type RegistrationOptions, type RegistrationStatus } from './registration.ts';

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

export interface RegistrationsOptions extends Omit<
  RegistrationOptions,
  'account' | 'registrar' | 'locate' | 'credentials' | 'turns'
> {
  readonly accounts: readonly RegisteredAccount[];
  /** Of accounts without one. */
  readonly transport: Flow['protocol'];
  readonly policy: Pick<SipPolicy, 'resolveAll'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RegistrationsEvents {
  /** An account was registered, or cannot be, or for another reason than before. */
  registration: [view: RegistrationView];
}

interface Entry {
  readonly account: string;
  readonly stream: string | undefined;
  readonly registration: Registration;
  /** What was reported last. */
  known: string;
}

/** Milliseconds for the registrars' answers at the end of the process. */
const UNREGISTER_MS = 2000;

const REMEDIES: Readonly<Partial<Record<ErrorCode, string>>> = {
  SIP_AUTH_FAILED:
    'Check its user and its password in sip_register. It is tried again seldom, so that the account is not ' +
    'locked: restart the gateway for a new try.',
  SIP_NOT_FOUND: 'Check its user and its domain in sip_register.',
  SIP_REDIRECTED: 'Name the new server with ;proxy= in sip_register.',
  SIP_UNREACHABLE: 'Check its domain, proxy and transport in sip_register, and the firewall.',
  SIP_TLS_FAILED: 'Check the certificate of the registrar and its name, or name its authority in sip_tls_ca.',
};

/** Keeps the accounts of `sip_register` registered at their PBXs. */
export class Registrations extends EventEmitter<RegistrationsEvents> implements RegistrationLookup {
  readonly #entries: readonly Entry[];
  readonly #byContact: ReadonlyMap<string, Entry>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #closing: Promise<void> | undefined;

  constructor({ accounts, transport, policy, logger, ...common }: RegistrationsOptions) {
    super();
    this.#clock = common.clock;
    this.#logger = logger;
    const turns = new Map<string, SerialWork>();
    this.#entries = accounts.map((account): Entry => {
      const { user, password, domain, proxy, stream } = account;
      const server = {
        host: proxy?.host ?? domain,
        port: proxy?.port,
        protocol: account.transport ?? transport,
      };
      const key = `${server.host.toLowerCase()} ${server.port}`;
      if (!turns.has(key)) turns.set(key, new SerialWork());
      const registration = new Registration({
        ...common,
        account: `sip:${user}@${domain}`,
        registrar: `sip:${domain}`,
        locate: () => locate(policy, server),
        credentials: { username: user, password },
        turns: turns.get(key)!,
      });
      return { account: `${user}@${domain}`, stream, registration, known: 'registering' };
    });
    this.#byContact = new Map(this.#entries.map((entry) => [entry.registration.contactUser, entry]));
    for (const entry of this.#entries) entry.registration.on('settled', () => this.#settled(entry));
  }

  start(): void {
    for (const { registration } of this.#entries) registration.start();
  }

  accepts(source: { readonly address: string }, contactUser: string): CalledAccount | undefined {
    const entry = this.#byContact.get(contactUser);
    return entry?.registration.isAt(source.address) ? { account: entry.account, stream: entry.stream } : undefined;
  }

  get(): RegistrationView[] {
    return this.#entries.map(viewOf);
  }

  wireFailed(flow: Flow): void {
    for (const { registration } of this.#entries) registration.wireFailed(flow);
  }

  /** Unregisters all, within two seconds. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const cancel = this.#clock.after(UNREGISTER_MS, resolve);
      const all = Promise.allSettled(this.#entries.map(({ registration }) => registration.stop()));
      inBackground(all.then(cancel).then(resolve));
    });
    return this.#closing;
  }

  /** Reports changes once: refreshes and further failures for the same reason are none. */
  #settled(entry: Entry): void {
    const view = viewOf(entry);
    const known = `${view.state} ${view.reasonCode}`;
    const { account, reason, reasonCode: code, state } = view;
    if (known === entry.known) return this.#logger.debug({ account, state, reason }, 'SIP registration');
    entry.known = known;
    if (state === 'failed') this.#logger.warn({ account, code, reason }, 'a SIP account cannot be registered');
    else this.#logger.info({ account, state }, 'SIP registration');
    this.emit('registration', view);
  }
}

function viewOf({ account, stream, registration }: Entry): RegistrationView {
  const { status: state, error, expiresAtMs } = registration;
  return {
    account,
    stream: stream ?? null,
    state,
    reasonCode: error?.code ?? null,
    reason: error ? [error.message, ...(REMEDIES[error.code] ? [REMEDIES[error.code]] : [])].join(' ') : null,
    expiresAt: expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString(),
  };
}

async function locate(
  policy: Pick<SipPolicy, 'resolveAll'>,
  server: Parameters<SipPolicy['resolveAll']>[0],
): Promise<readonly Flow[]> {
  try {
    return await policy.resolveAll(server);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'SIP_DESTINATION_NOT_RESOLVED') throw error;
    throw new GatewayError(
      error.code,
      `The registrar ${server.host} could not be resolved. Check its domain and proxy in sip_register, and the gateway's DNS.`,
      { cause: error },
    );
  }
}
