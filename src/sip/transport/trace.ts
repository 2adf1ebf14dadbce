import type { SipMessage } from '../message/message.ts';

/** A message in the log: its first line and what identifies it. Credentials and keys are in none of these. */
export const describeMessage = (message: SipMessage): string =>
  message.kind === 'request'
    ? `${message.method} ${message.get('call-id')}`
    : `${message.status} ${message.get('cseq')} ${message.get('call-id')}`;
