import type { LegView, PushWarning, TransponderView } from '../views/push-view.ts';
import { redactRtmpUrls } from '../observe/logger.ts';
import type { EventData, EventType, GatewayEvent } from './events.ts';
import { wallClockDate } from '../runtime/wall-clock.ts';

/** What events are made of, as far as hooks see it. */

interface Codec {
  readonly codec: string;
}
interface Reason {
  readonly code: string;
  readonly message: string;
}

export interface ObservedPublisher {
  readonly audio?: Codec;
  readonly video?: Codec;
  onStall?(listener: () => void): void;
}

/** A live stream. */
export interface ObservedStream {
  readonly name: string;
  readonly startedAt: Date;
  readonly publisher: ObservedPublisher | undefined;
  on(event: 'published', listener: () => void): unknown;
  on(event: 'lost', listener: (absence: { readonly until: Date }) => void): unknown;
}

/** The registry of live streams. */
export interface ObservedStreams {
  on(event: 'started', listener: (stream: ObservedStream) => void): unknown;
  on(event: 'ended', listener: (stream: ObservedStream, reason: Reason) => void): unknown;
}

/** All pushes. */
export interface ObservedPushes {
  onStart(listener: (push: TransponderView) => void): unknown;
  onChange(listener: (push: TransponderView) => void): unknown;
  /** Pushes that were requested with a publication and never started. */
  onRefused(listener: (push: TransponderView) => void): unknown;
}

export interface ObservedRecording {
  readonly id: string;
  readonly stream: string;
  readonly file: string;
  readonly state: 'recording' | 'finishing' | 'complete' | 'failed';
  readonly startedAt: string;
  readonly endedAt?: string | undefined;
  readonly durationMs: number;
  readonly bytes: number;
  readonly reasonCode?: string | undefined;
  readonly reason?: string | undefined;
  readonly storage?:
    | {
        readonly state: 'waiting' | 'uploading' | 'retrying' | 'stored';
        readonly bucket: string;
        readonly key: string;
        readonly reasonCode?: string | undefined;
        readonly reason?: string | undefined;
      }
    | undefined;
}

/** All recorded files. */
export interface ObservedRecordings {
  /** `storage`: the state of its storage is another one. */
  on(event: 'change' | 'storage', listener: (recording: ObservedRecording) => void): unknown;
}

export interface ObservedMember {
  readonly id: string;
  readonly login?: string | undefined;
  readonly door: 'websocket' | 'rtmp' | 'datachannel' | 'wcs';
  readonly joinedAt: string;
}

export type ObservedActivity =
  | { readonly type: 'created' | 'removed'; readonly scope: string }
  | { readonly type: 'joined'; readonly scope: string; readonly member: ObservedMember }
  | { readonly type: 'left'; readonly scope: string; readonly member: ObservedMember; readonly reason?: Reason };

/** All rooms. */
export interface ObservedRooms {
  onActivity(listener: (activity: ObservedActivity) => void): unknown;
}

export type Publish = (event: GatewayEvent) => void;

const event = <T extends EventType>(type: T, data: EventData<T>): GatewayEvent =>
  ({ type, timestamp: wallClockDate().toISOString(), data }) as unknown as GatewayEvent;

export const gatewayStarted = (version: string): GatewayEvent => event('gateway.started', { version });
export const nodeDraining = (version: string, streams: number): GatewayEvent =>
  event('node.draining', { version, streams });
export const gatewayStopping = (version: string): GatewayEvent => event('gateway.stopping', { version });

/** @param watchStalls whether `stream.stalled` is sent, which costs processor time for each stream */
export function observeStreams(streams: ObservedStreams, publish: Publish, watchStalls: boolean): void {
  streams.on('started', (stream) => {
    const { name } = stream;
    publish(event('stream.published', { stream: name, ...codecsOf(stream) }));
    if (watchStalls) observeStalls(stream, publish);
    stream.on('lost', ({ until }) => publish(event('stream.lost', { stream: name, until: until.toISOString() })));
    stream.on('published', () => {
      publish(event('stream.resumed', { stream: name, ...codecsOf(stream) }));
      if (watchStalls) observeStalls(stream, publish);
    });
  });
  streams.on('ended', ({ name, startedAt }, { code, message }) =>
    publish(event('stream.ended', { stream: name, startedAt: startedAt.toISOString(), code, reason: plain(message) })),
  );
}

function observeStalls(stream: ObservedStream, publish: Publish): void {
  const { name, publisher } = stream;
  publisher?.onStall?.(() => {
    if (stream.publisher === publisher) publish(event('stream.stalled', { stream: name }));
  });
}

export function observePushes(pushes: ObservedPushes, publish: Publish): void {
  const observers = [legObserver, statusObserver, codecsObserver, complianceObserver, warningObserver].map((create) =>
    create(publish),
  );
  const observe = (push: TransponderView): void => {
    for (const observer of observers) observer(push);
  };
  pushes.onStart(observe);
  pushes.onChange(observe);
  pushes.onRefused((push) => publish(eventOfPush(push)));
}

type PushObserver = (push: TransponderView) => void;

function statusObserver(publish: Publish): PushObserver {
  const statuses = new Map<string, TransponderView['status']>();
  return (push) => {
    const { mediaSessionId: id, status } = push;
    if (statuses.get(id) === status) return;
    if (status === 'ended') statuses.delete(id);
    else statuses.set(id, status);
    publish(eventOfPush(push));
  };
}

/** Those that every server takes are told only if others went out before. */
const PASSED_CODECS: ReadonlySet<string | undefined> = new Set(['vp08', 'vp09', 'av01', 'Opus']);

/** Tells the codecs of a push that is connected, if its publisher's are passed through, and each change. */
function codecsObserver(publish: Publish): PushObserver {
  const told = new Map<string, string>();
  return (push) => {
    const { mediaSessionId: id, status, codecs } = push;
    if (status === 'ended') told.delete(id);
    if (status !== 'pushing' || !codecs) return;
    const { video, audio, why } = codecs;
    const names = `${video ?? ''} ${audio}`;
    if (told.get(id) === names) return;
    if (!told.has(id) && !PASSED_CODECS.has(video) && !PASSED_CODECS.has(audio)) return;
    told.set(id, names);
    publish(event('push.codecs', { ...commonOf(push), ...(video !== undefined && { video }), audio, why }));
  };
}

/** Tells when the re-encoding of a stream because of rules begins and ends. */
function complianceObserver(publish: Publish): PushObserver {
  const encoding = new Set<string>();
  return (push) => {
    const { mediaSessionId: id, status, comply } = push;
    if (status === 'ended') encoding.delete(id);
    else if (comply && (comply.state === 'encoding') !== encoding.has(id)) {
      const { state, because } = comply;
      if (state === 'encoding') encoding.add(id);
      else encoding.delete(id);
      publish(event('push.comply', { ...commonOf(push), state, because: [...because] }));
    }
  };
}

/** Tells each breach of a rule once, and again when it becomes worse. */
function warningObserver(publish: Publish): PushObserver {
  const keyOf = ({ check, level }: PushWarning): string => `${level} ${check}`;
  const told = new Map<string, readonly string[]>();
  return (push) => {
    const { mediaSessionId: id, status } = push;
    const warnings = status === 'ended' ? [] : (push.warnings ?? []);
    const known = told.get(id) ?? [];
    for (const warning of warnings) if (!known.includes(keyOf(warning))) publish(warningOf(push, warning));
    if (warnings.length > 0) told.set(id, warnings.map(keyOf));
    else told.delete(id);
  };
}

/** Events of the legs of pushes that have more than one. The end of the push is not an event of its legs. */
function legObserver(publish: Publish): PushObserver {
  const statuses = new Map<string, ReadonlyMap<string, LegView['status']>>();
  return (push) => {
    const { mediaSessionId: id, legs, status } = push;
    const before = statuses.get(id);
    if (status === 'ended') {
      statuses.delete(id);
      return;
    }
    if (legs.length < 2) return;
    statuses.set(id, new Map(legs.map((each) => [each.leg, each.status])));
    for (const each of legs) if (before && before.get(each.leg) !== each.status) publish(eventOfLeg(push, each));
  };
}

function eventOfLeg(
  push: TransponderView,
  { leg, status, destination, attempt, reason, reasonCode }: LegView,
): GatewayEvent {
  return event('push.leg', {
    ...{ ...commonOf(push), destination, attempt, leg, status },
    ...(reasonCode && { code: reasonCode, reason: plain(reason) }),
  });
}

const commonOf = ({
  mediaSessionId: id,
  sourceStreamName: stream,
  destination,
  attempt,
  startedAt,
}: TransponderView) => ({
  id,
  stream,
  destination,
  attempt,
  startedAt,
});

const warningOf = (push: TransponderView, warning: PushWarning): GatewayEvent => {
  const { check, level, measured, rule, source, remedy } = warning;
  const { platform = '' } = push;
  return event('push.warning', { ...commonOf(push), platform, check, level, measured, rule, source, remedy });
};

function eventOfPush(push: TransponderView): GatewayEvent {
  const common = commonOf(push);
  const reason = { code: push.reasonCode, reason: plain(push.reason) };
  switch (push.status) {
    case 'connecting':
      return event('push.connecting', common);
    case 'pushing':
      return event('push.pushing', common);
    case 'standby': {
      const { since = push.startedAt, reason: why = 'publisher' } = push.standby ?? {};
      return event('push.standby', { ...common, since, why });
    }
    case 'retrying':
      return event('push.retrying', { ...common, ...reason });
    case 'ended': {
      const endedAt = push.endedAt ?? wallClockDate().toISOString();
      return event('push.ended', { ...common, ...reason, endedAt, bytesSent: push.bytesSent });
    }
  }
}

export function observeRecordings(recordings: ObservedRecordings, publish: Publish): void {
  const about = (one: ObservedRecording) => {
    const { id, stream, file, startedAt, durationMs, bytes } = one;
    const started = { id, stream, file, startedAt };
    return { started, ended: { ...started, endedAt: one.endedAt ?? wallClockDate().toISOString(), durationMs, bytes } };
  };
  recordings.on('change', (one) => {
    const { started, ended } = about(one);
    if (one.state === 'recording') publish(event('recording.started', started));
    else if (one.state === 'complete') publish(event('recording.completed', ended));
    else if (one.state === 'failed')
      publish(event('recording.failed', { ...ended, code: one.reasonCode ?? 'INTERNAL', reason: one.reason ?? '' }));
  });
  recordings.on('storage', (one) => {
    const { started, ended } = about(one);
    const { state, bucket = '', key = '', reasonCode = 'INTERNAL', reason = '' } = one.storage ?? {};
    if (state === 'stored') publish(event('recording.stored', { ...ended, bucket, key }));
    else if (state === 'retrying')
      publish(event('recording.retrying', { ...started, bucket, code: reasonCode, reason }));
  });
}

export function observeRooms(rooms: ObservedRooms, publish: Publish): void {
  rooms.onActivity((activity) => {
    const { scope: room } = activity;
    if (!('member' in activity)) return publish(event(`room.${activity.type}`, { room }));
    const { id, login, door, joinedAt } = activity.member;
    const member = { room, member: id, ...(login !== undefined && { login }), door };
    if (activity.type === 'joined') return publish(event('room.joined', member));
    const { reason } = activity;
    publish(
      event('room.left', { ...member, joinedAt, ...(reason && { code: reason.code, reason: plain(reason.message) }) }),
    );
  });
}

function codecsOf({ publisher }: ObservedStream): { audioCodec?: string; videoCodec?: string } {
  const { audio, video } = publisher ?? {};
  return { ...(audio && { audioCodec: audio.codec }), ...(video && { videoCodec: video.codec }) };
}

/** Messages of RTMP servers and of ffmpeg are part of some reasons. */
const plain = redactRtmpUrls;
