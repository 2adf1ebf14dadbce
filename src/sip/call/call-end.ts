import { GatewayError, type ErrorCode } from '../../errors.ts';
import type { LegEnd } from '../dialog/leg-end.ts';
import type { SipResponse } from '../message/message.ts';

/** Why a call has ended, for its client. */
export interface CallEnd {
  readonly error: GatewayError;
  /** The last status of the peer. */
  readonly sipStatus: number | undefined;
  /** Neither side has hung up. */
  readonly isFailure: boolean;
}

const NOT_FOUND = new Set([404, 410, 484, 604]);
const NO_ANSWER = new Set([408, 480]);
const BUSY = new Set([486, 600]);
const NO_CODECS = new Set([415, 488, 606]);
const AUTHENTICATION = new Set([401, 403, 407]);

const REMEDIES: Readonly<Partial<Record<ErrorCode, string>>> = {
  SIP_AUTH_FAILED:
    'Check sipLogin, sipAuthenticationName and sipPassword, and whether the account may call this number.',
  SIP_NOT_FOUND: 'Check callee: the number is not known there, or not complete.',
  SIP_BUSY: 'The line is in another call. Try again later.',
  SIP_NO_ANSWER: 'Nobody answered. Check that the telephone is registered, or wait longer with sip_answer_timeout_s.',
  SIP_REJECTED: 'The other side does not take the call.',
  SIP_REDIRECTED: 'Redirections are not followed: call the new address, if it is one that you want to pay for.',
  NO_COMMON_CODECS:
    'The other side accepts none of the codecs or the transport of the media. Check codecs, ' +
    'codecs_exclude_sip, sip_srtp, hasAudio and hasVideo.',
};

/** The error of a response that refuses a call. */
export function refusal(response: SipResponse): GatewayError {
  const code = codeOf(response.status);
  const retryAfter = /^\d{1,6}/.exec(response.get('retry-after') ?? '')?.[0];
  const warning = response.get('warning');
  const said = `${response.status} ${response.reason}`.trim().slice(0, 120);
  const more = [
    ...(warning === undefined ? [] : [`Warning: ${warning.slice(0, 120)}.`]),
    ...(retryAfter === undefined ? [] : [`It asks to retry after ${retryAfter} s.`]),
  ];
  return new GatewayError(code, [`The SIP server has answered ${said}.`, ...more, REMEDIES[code]!].join(' '));
}

function codeOf(status: number): ErrorCode {
  if (AUTHENTICATION.has(status)) return 'SIP_AUTH_FAILED';
  if (NOT_FOUND.has(status)) return 'SIP_NOT_FOUND';
  if (BUSY.has(status)) return 'SIP_BUSY';
  if (NO_ANSWER.has(status)) return 'SIP_NO_ANSWER';
  if (NO_CODECS.has(status)) return 'NO_COMMON_CODECS';
  return status >= 300 && status < 400 ? 'SIP_REDIRECTED' : 'SIP_REJECTED';
}

/** What the end of a leg means. @param isEstablished it was answered before */
export function endOf(end: LegEnd, isEstablished: boolean): CallEnd {
  switch (end.by) {
    case 'local':
      return {
        error: new GatewayError('SIP_ENDED', 'The call was ended here.'),
        sipStatus: undefined,
        isFailure: false,
      };
    case 'peer':
      return {
        error: new GatewayError('SIP_ENDED', `The other side has hung up${end.cause ? ` (${end.cause})` : ''}.`),
        sipStatus: undefined,
        isFailure: false,
      };
    case 'refusal':
      return { error: refusal(end.response), sipStatus: end.response.status, isFailure: true };
    case 'timeout':
      return {
        error: unreachable(
          isEstablished
            ? 'The other side does not answer any more.'
            : 'The SIP server has not answered within 32 s. Check its address, its port, sipTransport and the firewall.',
        ),
        sipStatus: undefined,
        isFailure: true,
      };
    case 'transport':
      return {
        error:
          end.kind === 'tls'
            ? new GatewayError(
                'SIP_TLS_FAILED',
                `TLS with the SIP server failed (${end.message}). Check its certificate and its name, or name its authority in sip_tls_ca.`,
              )
            : unreachable(
                `The SIP server cannot be reached (${end.message}). Check its address, its port and sipTransport.`,
              ),
        sipStatus: undefined,
        isFailure: true,
      };
    case 'silence':
      return { error: unreachable(`The call was given up: ${end.what}.`), sipStatus: undefined, isFailure: true };
  }
}

const unreachable = (message: string): GatewayError => new GatewayError('SIP_UNREACHABLE', message);
