import type { CallStatus } from './call-state.ts';

/** A call as REST shows it: WCS's fields, and own ones at the end. Without passwords and keys. */
export interface CallView {
  readonly custom: Record<string, never>;
  readonly nodeId: string | null;
  readonly appKey: string;
  readonly sessionId: string;
  readonly callId: string;
  readonly parentCallId: null;
  readonly incoming: boolean;
  readonly status: CallStatus;
  /** The last status of SIP; 0: none. */
  readonly sipStatus: number;
  readonly rtmpUrl: string | null;
  readonly rtmpStream: string | null;
  readonly streamName: string;
  readonly rtmpStreamStatus: string | null;
  readonly caller: string;
  readonly callee: string;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly sdp: string | null;
  readonly visibleName: string | null;
  readonly inviteParameters: null;
  readonly mediaProvider: 'SIP';
  readonly sipMessageRaw: null;
  readonly isMsrp: false;
  readonly target: null;
  readonly holdForTransfer: false;
  readonly reason: string | null;
  readonly reasonCode: string | null;
  readonly audioCodec: string | null;
  readonly videoCodec: string | null;
  /** Media is encrypted. */
  readonly secure: boolean;
  readonly createdAt: string;
  readonly answeredAt: string | null;
  readonly endedAt: string | null;
}

/** For pages, and clients that may not push: the URL may contain a stream key. */
export const withoutDestination = (view: CallView): CallView => ({
  ...view,
  rtmpUrl: null,
  rtmpStream: view.rtmpStream === null ? null : '***',
  rtmpStreamStatus: view.rtmpStreamStatus,
});
