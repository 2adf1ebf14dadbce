import { randomUUID } from 'node:crypto';
import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { LegView, TransponderOptions, TransponderView } from '../../views/push-view.ts';
import type { OutputCounters } from '../output.ts';
import { codecsView, type CodecDecision } from './codecs/codec-choice.ts';
import type { LegState } from './leg-state.ts';
import type { PushSource } from './push-sources.ts';
import type { BackupMode } from './transponder-state.ts';
import type { StartRequest } from './transponder-control.ts';

/** What the view of a push is made of. */
export interface ViewedPush {
  readonly id: string;
  readonly request: StartRequest;
  readonly destination: Destination;
  readonly status: Exclude<LegState['status'], 'idle'>;
  readonly failure: GatewayError | undefined;
  readonly startedAt: Date;
  readonly endedAt: Date | undefined;
  readonly backupMode: BackupMode | undefined;
  readonly options: TransponderOptions;
  readonly audio: { readonly muted: boolean; readonly soundEnabled: boolean };
  readonly counters: OutputCounters;
  readonly legs: readonly LegView[];
  /** The leg whose state is that of the push, what it sends, and in which codecs. */
  readonly leading: { readonly view: LegView; readonly source: PushSource; readonly decision: CodecDecision };
  /** Unset for a push that has begun before its stream. */
  readonly stream: LiveStream | undefined;
}

export function viewOf(push: ViewedPush): TransponderView {
  const { request, destination, status, endedAt, backupMode, audio, leading } = push;
  const { standby: continuous, lease, rules } = leading.source;
  const isOver = status === 'ended';
  const standby = isOver ? undefined : continuous?.standby;
  const absence = isOver ? undefined : (continuous ?? push.stream)?.absence;
  const failure = push.failure ?? (standby && continuous?.failure) ?? (isOver ? undefined : push.stream?.videoProblem);
  const { width = 0, height = 0 } = lease.rendition.metadata;
  const { attempt, bitrate, fps, bufferMs } = leading.view;
  return {
    mediaSessionId: push.id,
    streamName: destination.streamName.reveal(),
    rtmpUrl: destination.url.reveal(),
    width,
    height,
    muted: audio.muted,
    soundEnabled: audio.soundEnabled,
    options: push.options,
    status: status === 'pushing' && standby ? 'standby' : status,
    reason: failure?.message ?? '',
    reasonCode: failure?.code ?? '',
    sourceStreamName: request.streamName,
    attempt,
    startedAt: push.startedAt.toISOString(),
    ...(endedAt && { endedAt: endedAt.toISOString() }),
    ...push.counters,
    bitrate,
    fps,
    bufferMs,
    destination: destination.redacted,
    ...savedIds(request),
    ...(backupMode && { backupMode }),
    legs: push.legs,
    ...(absence && {
      publisherAway: {
        since: absence.since.toISOString(),
        ...(absence.until && { until: absence.until.toISOString() }),
      },
    }),
    ...(continuous && { standbyEnabled: true as const }),
    ...(standby && { standby: { ...standby, since: standby.since.toISOString() } }),
    codecs: codecsView(leading.decision, lease.rendition.hasVideo, rules?.view.comply?.state === 'encoding'),
    ...(!isOver && rules?.view),
  };
}

/** A push that was refused, as an ended transponder. */
export function refusedView(
  request: StartRequest,
  { message, code }: GatewayError,
  destination: string,
): TransponderView {
  const { streamName, rtmpUrl } = request;
  const now = wallClockDate().toISOString();
  return {
    ...{ mediaSessionId: randomUUID(), streamName: '', rtmpUrl, destination, sourceStreamName: streamName },
    ...{ status: 'ended', reason: message, reasonCode: code, startedAt: now, endedAt: now },
    ...{ width: 0, height: 0, muted: false, soundEnabled: false, options: {} },
    ...{ attempt: 0, bytesSent: 0, bitrate: 0, fps: 0, framesDropped: 0, bufferMs: 0 },
    ...savedIds(request),
    legs: [],
  };
}

/** What a view has of its request about saved destinations. */
export const savedIds = ({ destinationId, groupId }: Pick<StartRequest, 'destinationId' | 'groupId'>) => ({
  ...(destinationId !== undefined && { destinationId }),
  ...(groupId !== undefined && { groupId }),
});
