import { listTransponders, type TransponderControl } from '../../outputs/push/transponder-control.ts';
import type { ClientSessions } from '../../sessions/client-sessions.ts';
import type { LiveStream, PublisherMetrics } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { publicView } from '../ops/public-view.ts';
import type { TransponderView } from '../../views/push-view.ts';

/** What the console shows of streams and pushes, split into what changes seldom and counters that always change. */

export interface LiveItem {
  readonly kind: 'stream' | 'push';
  /** The name of a stream, the id of a push. */
  readonly key: string;
  readonly stream: string;
  readonly fields: object;
  /** In the order of {@link STREAM_NUMBERS} or {@link PUSH_NUMBERS}. */
  readonly numbers: readonly number[];
}

/** `bitrate` in kilobits per second. */
export const STREAM_NUMBERS = ['bitrate', 'bytes', 'packetsLost', 'keyFrameRequests', 'roundTripMs'] as const;
export const PUSH_NUMBERS = ['bitrate', 'fps', 'framesDropped', 'bufferMs', 'bytesSent'] as const;

export interface LiveSources {
  readonly registry: StreamRegistry;
  readonly control: TransponderControl;
  readonly sessions: ClientSessions;
  readonly recorders: { isRecording(stream: string): boolean };
  /** The rooms of streams that belong to one, if rooms are on. */
  readonly rooms?: { streams(): ReadonlyMap<string, string> } | undefined;
  readonly streamNamePrefix: string;
}

/** The counters of a publisher, as they were read last. */
export type MetricsOf = (stream: LiveStream) => PublisherMetrics | undefined;

export function liveItems(sources: LiveSources, metricsOf: MetricsOf): LiveItem[] {
  const pushes = listTransponders(sources.control);
  return [
    ...streamItems(sources, pushes, metricsOf),
    ...pushes.map((view) => pushItem(view, sources.streamNamePrefix)),
  ];
}

function streamItems(
  { registry, sessions, recorders, rooms }: LiveSources,
  pushes: readonly TransponderView[],
  metricsOf: MetricsOf,
): LiveItem[] {
  const players = new Map<string, number>();
  const providers = new Map<string, string>();
  for (const { name, published, active, mediaProvider } of sessions.streams)
    if (published) providers.set(name, mediaProvider);
    else if (active) players.set(name, (players.get(name) ?? 0) + 1);
  const roomOf = rooms?.streams();
  const pushesOf = Map.groupBy(pushes, ({ sourceStreamName }) => sourceStreamName);
  return registry.list().map((stream): LiveItem => {
    const { name, publisher, absence, startedAt, videoProblem, frameSize } = stream;
    const { audio, video } = metricsOf(stream) ?? {};
    const own = pushesOf.get(name) ?? [];
    const room = roomOf?.get(name);
    const fields = {
      name,
      status: publisher ? 'live' : 'held',
      startedAt: startedAt.toISOString(),
      protocol: providers.get(name) ?? '',
      audioCodec: publisher?.audio?.codec ?? null,
      videoCodec: publisher?.video?.codec ?? null,
      width: frameSize?.width ?? 0,
      height: frameSize?.height ?? 0,
      viewers: players.get(name) ?? 0,
      recording: recorders.isRecording(name),
      standby: own.some(({ status }) => status === 'standby'),
      ...(room !== undefined && { room }),
      ...(videoProblem && { videoProblem: videoProblem.message }),
      ...(absence && { publisherAway: { since: absence.since.toISOString(), until: absence.until.toISOString() } }),
    };
    const sum = (read: (track: NonNullable<typeof audio>) => number): number =>
      (audio ? read(audio) : 0) + (video ? read(video) : 0);
    const numbers = [
      Math.round(sum(({ bitrate }) => bitrate) / 1000),
      sum(({ bytes }) => bytes),
      sum(({ packetsLost }) => packetsLost),
      video?.pliCount ?? 0,
      Math.round(Math.max(audio?.roundTripMs ?? 0, video?.roundTripMs ?? 0)),
    ];
    return { kind: 'stream', key: name, stream: name, fields, numbers };
  });
}

function pushItem(view: TransponderView, prefix: string): LiveItem {
  const { bitrate, fps, framesDropped, bufferMs, bytesSent, legs, ...fields } = publicView(view, prefix);
  return {
    kind: 'push',
    key: view.mediaSessionId,
    stream: view.sourceStreamName,
    fields: {
      ...fields,
      legs: legs.map(({ leg, destination, status, reason, attempt }) => ({
        leg,
        destination,
        status,
        reason,
        attempt,
      })),
    },
    numbers: [Math.round(bitrate), Math.round(fps * 10) / 10, framesDropped, Math.round(bufferMs), bytesSent],
  };
}
