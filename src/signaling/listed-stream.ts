import { DEFAULT_APPLICATION, type StreamSession } from '../publish/client-sessions.ts';
import type { PlayStream } from './messages.ts';
import type { WcsSession } from './wcs-session.ts';

interface Parts {
  readonly published: boolean;
  readonly isActive: () => boolean;
  readonly terminate: (info: string) => void;
}

/** A stream of a page as REST shows it. */
export function listed(session: WcsSession, request: PlayStream, parts: Parts): StreamSession {
  const { mediaSessionId, name, hasAudio, hasVideo, transport, sdp, bitrate, minBitrate, maxBitrate } = request;
  return {
    mediaSessionId,
    sessionId: session.id,
    name,
    published: parts.published,
    mediaProvider: 'WebRTC',
    appKey: session.appKey,
    application: DEFAULT_APPLICATION,
    hasAudio,
    hasVideo,
    transport: transport === 'TCP' ? 'TCP' : 'UDP',
    offerSdp: sdp,
    bitrate,
    minBitrate,
    maxBitrate,
    clientAddress: session.clientAddress,
    createdAt: new Date(),
    get active() {
      return parts.isActive();
    },
    terminate: parts.terminate,
  };
}
