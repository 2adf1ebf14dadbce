import type { SipMessage, SipResponse } from '../message/message.ts';

/** Why a call leg has ended. */
export type LegEnd =
  /** We have ended or cancelled it. */
  | { readonly by: 'local' }
  /** The peer has hung up. `cause`: as in `Reason`. */
  | { readonly by: 'peer'; readonly cause: string | undefined }
  /** The INVITE or a request in the call was refused. */
  | { readonly by: 'refusal'; readonly response: SipResponse }
  /** No answer to a request. */
  | { readonly by: 'timeout' }
  | { readonly by: 'transport'; readonly kind: 'unreachable' | 'tls'; readonly message: string }
  /** The session timer, or an ACK that has not come. */
  | { readonly by: 'silence'; readonly what: string };

/** The text of a Q.850 cause, or whatever `Reason` says. */
export function reasonOf(message: SipMessage): string | undefined {
  const [value] = message.all('reason');
  return value?.slice(0, 200);
}
