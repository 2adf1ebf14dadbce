import { DEFAULT_APPLICATION, type StreamSession } from '../sessions/client-sessions.ts';
import type { PlayStream, StreamStatus } from './messages.ts';
import type { WcsSession } from './wcs-session.ts';
import { wallClockDate } from '../runtime/wall-clock.ts';

interface Parts {
  readonly published: boolean;
  readonly record?: boolean;
  /** Of the stream, which the application server may have changed. */
  readonly name: () => string;
  readonly principalId: () => string | undefined;
  readonly renew: (endsAt: number | undefined) => void;
  readonly isActive: () => boolean;
  readonly terminate: (info: string) => void;
}

/** A stream of a page as REST shows it. */
export function listed(session: WcsSession, request: PlayStream, parts: Parts): StreamSession {
  const { mediaSessionId, hasAudio, hasVideo, transport, sdp, bitrate, minBitrate, maxBitrate, custom } = request;
  return {
    mediaSessionId,
    sessionId: session.id,
    get name() {
      return parts.name();
    },
    get principalId() {
      return parts.principalId();
    },
    published: parts.published,
    mediaProvider: 'WebRTC',
    appKey: session.appKey,
    application: DEFAULT_APPLICATION,
    hasAudio,
    hasVideo,
    transport: transport === 'TCP' ? 'TCP' : 'UDP',
    offerSdp: sdp,
    bitrate,
    ...(parts.record && { record: true }),
    minBitrate,
    maxBitrate,
    clientAddress: session.clientAddress,
    createdAt: wallClockDate(),
    ...(custom !== undefined && { custom }),
    get active() {
      return parts.isActive();
    },
    renew: parts.renew,
    terminate: parts.terminate,
  };
}

/** A status of a stream, as its page is told it. */
export const statusEvent = (
  { mediaSessionId, name }: PlayStream,
  published: boolean,
  status: StreamStatus,
  info?: string,
  more: Record<string, unknown> = {},
) => ({ mediaSessionId, name, published, ...more, status, ...(info !== undefined && { info }) });
