import type { ClientConnection, StreamSession } from '../../sessions/client-sessions.ts';
import type { LiveStream, PublisherMetrics, TrackMetrics } from '../../streams/live-stream.ts';
import type { ConnectionView, StreamSessionView } from '../openapi/answers.ts';

/** A publisher or player with WCS's fields. `stream` is the live stream of its name, as far as there is one. */
export function streamView(
  session: StreamSession,
  stream: LiveStream | undefined,
  isRecorded: boolean,
): StreamSessionView {
  const { published, active } = session;
  const source = active ? stream?.publisher : undefined;
  const size = source && stream?.frameSize;
  return {
    appKey: session.appKey,
    sessionId: session.sessionId,
    mediaSessionId: session.mediaSessionId,
    name: session.name,
    published,
    hasVideo: session.hasVideo,
    hasAudio: session.hasAudio,
    status: active ? (published ? 'PUBLISHING' : 'PLAYING') : 'PENDING',
    sdp: withoutPasswords(session.offerSdp),
    audioCodec: source?.audio?.codec ?? '',
    videoCodec: source?.video?.codec.toUpperCase() ?? '',
    record: published && isRecorded,
    width: size?.width ?? 0,
    height: size?.height ?? 0,
    bitrate: session.bitrate,
    minBitrate: session.minBitrate,
    maxBitrate: session.maxBitrate,
    quality: 0,
    history: false,
    gop: 0,
    fps: 0,
    createDate: session.createdAt.getTime(),
    mediaProvider: session.mediaProvider,
    transport: session.transport,
  };
}

/** WCS's metrics of a publisher, as far as mediasoup counts them. */
export function metricsView({ audio, video }: PublisherMetrics, stream: LiveStream): Record<string, number> {
  return {
    ...(audio && trackMetrics('AUDIO', audio)),
    ...(video && {
      ...trackMetrics('VIDEO', video),
      VIDEO_NACK: video.nackCount,
      VIDEO_PLI: video.pliCount,
      ...(stream.frameSize && { VIDEO_WIDTH: stream.frameSize.width, VIDEO_HEIGHT: stream.frameSize.height }),
    }),
  };
}

const trackMetrics = (kind: string, { payloadType, bitrate, packetsLost }: TrackMetrics): Record<string, number> => ({
  [`${kind}_CODEC`]: payloadType,
  [`${kind}_RATE`]: bitrate,
  [`${kind}_LOST`]: packetsLost,
});

export function connectionView(connection: ClientConnection): ConnectionView {
  const { sessionId, appKey, clientVersion, clientOSVersion, clientBrowserVersion, mediaProviders } = connection;
  return {
    sessionId,
    appKey,
    status: 'ESTABLISHED',
    clientVersion,
    clientOSVersion,
    clientBrowserVersion,
    mediaProviders: [...mediaProviders],
    clientAddress: connection.clientAddress,
    createDate: connection.createdAt.getTime(),
  };
}

/** The password of ICE belongs to the client alone. */
const withoutPasswords = (sdp: string): string => sdp.replace(/^a=ice-pwd:.*(?:\r?\n|$)/gm, '');
