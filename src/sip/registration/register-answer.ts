import { GatewayError } from '../../errors.ts';
import { chooseChallenge } from '../digest.ts';
import { parseNameAddr } from '../message/address.ts';
import { BadMessage } from '../message/bad-message.ts';
import type { SipResponse } from '../message/message.ts';
import type { WireFailure } from '../transport/flow.ts';

/** What the final answer to a REGISTER means (RFC 3261, 10.3). */
export type RegisterAnswer =
  | { readonly kind: 'granted'; readonly expiresS: number }
  /** The registrar wants longer registrations. */
  | { readonly kind: 'brief'; readonly leastS: number }
  | RegisterRefusal;

export interface RegisterRefusal {
  readonly kind: 'refused';
  readonly error: GatewayError;
  /** Milliseconds for which the registrar wants to be left alone. */
  readonly retryAfterMs: number;
  /** Trying again soon does not help, and may lock the account. */
  readonly isLasting: boolean;
}

const MAX_EXPIRES_S = 86_400;
/** Of the registrars that ask for a longer time without saying which. */
const DEFAULT_LEAST_S = 3600;
const MAX_RETRY_AFTER_MS = 3_600_000;
const AUTHENTICATION = new Set([401, 407]);

/**
 * @param asked seconds that were asked for
 * @param contactUser of the Contact that was registered: the registrar lists those of others too
 */
export function readAnswer(response: SipResponse, asked: number, contactUser: string): RegisterAnswer {
  const { status } = response;
  if (status < 300) {
    const expiresS = Math.min(MAX_EXPIRES_S, granted(response, contactUser) ?? asked);
    return expiresS > 0 || asked === 0
      ? { kind: 'granted', expiresS }
      : refused(new GatewayError('SIP_REGISTER_FAILED', 'The registrar has granted no time.'));
  }
  const least = seconds(response.get('min-expires')) ?? DEFAULT_LEAST_S;
  if (status === 423 && least > asked && least <= MAX_EXPIRES_S) return { kind: 'brief', leastS: least };
  const retryAfterS = seconds(response.get('retry-after')) ?? 0;
  return {
    ...refused(refusalOf(response, retryAfterS)),
    retryAfterMs: Math.min(MAX_RETRY_AFTER_MS, retryAfterS * 1000),
    isLasting: AUTHENTICATION.has(status) || status === 403,
  };
}

/** There was no answer. */
export function noAnswer(failure: WireFailure | 'timeout'): RegisterAnswer {
  if (failure === 'timeout')
    return refused(new GatewayError('SIP_UNREACHABLE', 'The registrar has not answered within 32 s.'));
  return refused(
    failure.kind === 'tls'
      ? new GatewayError('SIP_TLS_FAILED', `TLS with the registrar failed (${failure.message}).`)
      : new GatewayError('SIP_UNREACHABLE', `The registrar cannot be reached (${failure.message}).`),
  );
}

export const refused = (error: GatewayError): RegisterRefusal => ({
  kind: 'refused',
  error,
  retryAfterMs: 0,
  isLasting: false,
});

function refusalOf(response: SipResponse, retryAfterS: number): GatewayError {
  const { status } = response;
  const said = `${status} ${response.reason}`.trim().slice(0, 120);
  if (AUTHENTICATION.has(status)) {
    const isKnown = chooseChallenge(response.all(status === 401 ? 'www-authenticate' : 'proxy-authenticate'));
    return new GatewayError(
      'SIP_AUTH_FAILED',
      isKnown
        ? `The registrar does not accept the user name or the password (${said}).`
        : `The registrar asks for credentials in a way that is not known here (${said}): MD5, SHA-256 and SHA-512-256 are.`,
    );
  }
  if (status === 403)
    return new GatewayError('SIP_AUTH_FAILED', `The registrar does not let the account register (${said}).`);
  if (status === 404) return new GatewayError('SIP_NOT_FOUND', `The registrar does not know the account (${said}).`);
  if (status < 400)
    return new GatewayError('SIP_REDIRECTED', `The registrar redirects (${said}), which is not followed.`);
  const wait = retryAfterS > 0 ? ` It asks to retry after ${retryAfterS} s.` : '';
  return new GatewayError('SIP_REGISTER_FAILED', `The registrar has answered ${said}.${wait}`);
}

function granted(response: SipResponse, contactUser: string): number | undefined {
  const own = response.all('contact').find((contact) => contact.includes(contactUser));
  return seconds(own && expiresOf(own)) ?? seconds(response.get('expires'));
}

function expiresOf(contact: string): string | undefined {
  try {
    return parseNameAddr(contact).params.get('expires');
  } catch (error) {
    if (error instanceof BadMessage) return undefined;
    throw error;
  }
}

function seconds(text: string | undefined): number | undefined {
  const digits = /^\s*(\d{1,9})/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
