import type { PublicationRights } from '../../sessions/publish-right.ts';
import type { AccountFields } from './account.ts';

/** A call that a client has asked for, and may have. */
export interface CallRequest extends AccountFields {
  readonly callId: string;
  readonly streamName: string;
  /** Where the stream is pushed. */
  readonly rtmpUrl?: string | undefined;
  readonly rtmpStream?: string | undefined;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly appKey: string;
  readonly sipRegisterRequired: boolean;
  readonly visibleName?: string | undefined;
  readonly principalId: string;
  readonly rights?: PublicationRights | undefined;
  readonly requestId?: string | undefined;
  /** Of the REST client. */
  readonly clientAddress: string;
}

/** Whom a call concerns, for both directions. */
export interface CallSubject extends Pick<
  CallRequest,
  | 'callId'
  | 'streamName'
  | 'rtmpUrl'
  | 'rtmpStream'
  | 'hasAudio'
  | 'hasVideo'
  | 'appKey'
  | 'visibleName'
  | 'principalId'
  | 'rights'
  | 'requestId'
  | 'clientAddress'
> {
  readonly incoming: boolean;
  /** Who may continue the stream after a loss. */
  readonly resumeKey: string | undefined;
  readonly caller: string;
  readonly callee: string;
}
