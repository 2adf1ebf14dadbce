import { randomUUID } from 'node:crypto';
import type { GatewayError } from '../../errors.ts';
import { savedIds, type StartRequest } from './transponder-view.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';
import type { TransponderView } from '../../views/push-view.ts';

/** A push that was refused, as an ended transponder. */
export function refusedView(
  request: StartRequest,
  { message, code }: GatewayError,
  destination: string,
): TransponderView {
  const { streamName, rtmpUrl } = request;
  const now = wallClockDate().toISOString();
  return {
    mediaSessionId: randomUUID(),
    streamName: '',
    rtmpUrl,
    width: 0,
    height: 0,
    muted: false,
    soundEnabled: false,
    options: {},
    status: 'ended',
    reason: message,
    reasonCode: code,
    sourceStreamName: streamName,
    attempt: 0,
    startedAt: now,
    endedAt: now,
    bytesSent: 0,
    bitrate: 0,
    fps: 0,
    framesDropped: 0,
    bufferMs: 0,
    destination,
    ...savedIds(request),
    legs: [],
  };
}
