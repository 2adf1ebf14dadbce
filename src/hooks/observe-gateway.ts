import { redactRtmpUrls } from '../observe/logger.ts';
import type { EventData, EventType, GatewayEvent } from './events.ts';

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

export interface ObservedPush {
  readonly mediaSessionId: string;
  readonly status: 'connecting' | 'pushing' | 'retrying' | 'ended';
  readonly sourceStreamName: string;
  readonly destination: string;
  readonly attempt: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly reason: string;
  readonly reasonCode: string;
  readonly bytesSent: number;
  /** The platform whose rules the push is watched by, and those that it breaks. */
  readonly platform?: string;
  readonly warnings?: readonly ObservedWarning[];
  /** Whether the stream is passed through or re-encoded, where that depends on rules. */
  readonly comply?: { readonly state: 'passing' | 'encoding'; readonly because: readonly string[] };
}

export interface ObservedWarning {
  readonly check: string;
  readonly level: 'warning' | 'error';
  readonly measured: string;
  readonly rule: string;
  readonly source: string;
  readonly remedy: string;
}

/** All pushes. */
export interface ObservedPushes {
  onStart(listener: (push: ObservedPush) => void): unknown;
  onChange(listener: (push: ObservedPush) => void): unknown;
}

export type Publish = (event: GatewayEvent) => void;

const event = <T extends EventType>(type: T, data: EventData<T>): GatewayEvent =>
  ({ type, timestamp: new Date().toISOString(), data }) as unknown as GatewayEvent;

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
  const statuses = new Map<string, ObservedPush['status']>();
  const warned = new Map<string, readonly string[]>();
  const encoding = new Set<string>();
  const observe = (push: ObservedPush): void => {
    const { mediaSessionId: id, status } = push;
    const before = statuses.get(id);
    if (status === 'ended') statuses.delete(id);
    else statuses.set(id, status);
    if (before !== status) publish(eventOfPush(push));
    if (status === 'ended') encoding.delete(id);
    else if (push.comply && (push.comply.state === 'encoding') !== encoding.has(id)) {
      const { state, because } = push.comply;
      if (state === 'encoding') encoding.add(id);
      else encoding.delete(id);
      publish(event('push.comply', { ...commonOf(push), state, because: [...because] }));
    }
    const known = warned.get(id) ?? [];
    const warnings = status === 'ended' ? [] : (push.warnings ?? []);
    for (const warning of warnings) if (!known.includes(keyOf(warning))) publish(warningOf(push, warning));
    if (warnings.length > 0) warned.set(id, warnings.map(keyOf));
    else warned.delete(id);
  };
  pushes.onStart(observe);
  pushes.onChange(observe);
}

/** Told once for each breach, and again when it becomes worse. */
const keyOf = ({ check, level }: ObservedWarning): string => `${level} ${check}`;

const commonOf = ({ mediaSessionId: id, sourceStreamName: stream, destination, attempt, startedAt }: ObservedPush) => ({
  id,
  stream,
  destination,
  attempt,
  startedAt,
});

const warningOf = (push: ObservedPush, warning: ObservedWarning): GatewayEvent => {
  const { check, level, measured, rule, source, remedy } = warning;
  const { platform = '' } = push;
  return event('push.warning', { ...commonOf(push), platform, check, level, measured, rule, source, remedy });
};

function eventOfPush(push: ObservedPush): GatewayEvent {
  const common = commonOf(push);
  const reason = { code: push.reasonCode, reason: plain(push.reason) };
  switch (push.status) {
    case 'connecting':
      return event('push.connecting', common);
    case 'pushing':
      return event('push.pushing', common);
    case 'retrying':
      return event('push.retrying', { ...common, ...reason });
    case 'ended': {
      const endedAt = push.endedAt ?? new Date().toISOString();
      return event('push.ended', { ...common, ...reason, endedAt, bytesSent: push.bytesSent });
    }
  }
}

function codecsOf({ publisher }: ObservedStream): { audioCodec?: string; videoCodec?: string } {
  const { audio, video } = publisher ?? {};
  return { ...(audio && { audioCodec: audio.codec }), ...(video && { videoCodec: video.codec }) };
}

/** Messages of RTMP servers and of ffmpeg are part of some reasons. */
const plain = redactRtmpUrls;
