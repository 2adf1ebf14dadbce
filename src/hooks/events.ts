import { z } from 'zod';

/** The events that an application server can receive, and what each carries. `docs/hooks.md` shows an example of each; a test compares. */

const stream = z.string();
const time = z.iso.datetime();
const codecs = { audioCodec: z.string().exactOptional(), videoCodec: z.string().exactOptional() };
/** A stable code of `docs/errors.md`, and its message. */
const reason = { code: z.string(), reason: z.string() };

const push = {
  /** WCS's `mediaSessionId`. */
  id: z.string(),
  stream,
  /** Without secrets. */
  destination: z.string(),
  /** Reconnects since pushing was last steady. */
  attempt: z.int(),
  startedAt: time,
};

/** One recorded file. */
const recording = { id: z.string(), stream, file: z.string(), startedAt: time };
const recorded = { ...recording, endedAt: time, durationMs: z.number(), bytes: z.number() };

const room = z.string();
/** A client in a room. `login`: absent for clients without one. */
const member = {
  room,
  member: z.string(),
  login: z.string().exactOptional(),
  door: z.enum(['websocket', 'rtmp', 'datachannel', 'wcs']),
};

/** A telephone call. */
const call = {
  id: z.string(),
  stream,
  incoming: z.boolean(),
  caller: z.string(),
  callee: z.string(),
  createdAt: time,
};

export const EVENT_DATA = {
  'stream.published': z.strictObject({ stream, ...codecs }),
  'stream.lost': z.strictObject({ stream, until: time }),
  'stream.resumed': z.strictObject({ stream, ...codecs }),
  'stream.stalled': z.strictObject({ stream }),
  'stream.ended': z.strictObject({ stream, startedAt: time, ...reason }),
  'push.connecting': z.strictObject(push),
  'push.pushing': z.strictObject(push),
  /** `why`: the publisher is away, or sends no video, or standby was switched on by hand. */
  'push.standby': z.strictObject({ ...push, since: time, why: z.enum(['publisher', 'video', 'manual']) }),
  /** A leg of a push with a backup has changed; sent besides the events of the push. */
  'push.leg': z.strictObject({
    ...push,
    leg: z.enum(['primary', 'backup']),
    status: z.enum(['idle', 'connecting', 'pushing', 'retrying', 'ended']),
    code: z.string().exactOptional(),
    reason: z.string().exactOptional(),
  }),
  'push.retrying': z.strictObject({ ...push, ...reason }),
  'push.warning': z.strictObject({
    ...push,
    platform: z.string(),
    check: z.string(),
    level: z.enum(['warning', 'error']),
    measured: z.string(),
    rule: z.string(),
    source: z.string(),
    remedy: z.string(),
  }),
  /** The codecs that go out, if those of the publisher are passed through; again when that changes. */
  'push.codecs': z.strictObject({
    ...push,
    video: z.string().exactOptional(),
    audio: z.string(),
    why: z.string(),
  }),
  'push.comply': z.strictObject({ ...push, state: z.enum(['passing', 'encoding']), because: z.array(z.string()) }),
  'push.ended': z.strictObject({ ...push, ...reason, endedAt: time, bytesSent: z.number() }),
  'recording.started': z.strictObject(recording),
  'recording.completed': z.strictObject(recorded),
  'recording.failed': z.strictObject({ ...recorded, ...reason }),
  /** The bucket has confirmed the object. */
  'recording.stored': z.strictObject({ ...recorded, bucket: z.string(), key: z.string() }),
  /** Uploading has failed, and is tried again. Sent once for each outage. */
  'recording.retrying': z.strictObject({ ...recording, bucket: z.string(), ...reason }),
  'call.started': z.strictObject(call),
  'call.ringing': z.strictObject(call),
  'call.established': z.strictObject({ ...call, ...codecs }),
  'call.held': z.strictObject(call),
  'call.ended': z.strictObject({
    ...call,
    ...reason,
    sipStatus: z.int(),
    answeredAt: time.exactOptional(),
    endedAt: time,
  }),
  /** Sent when an account of `sip_register` is registered, and not when that is refreshed. */
  'sip.registered': z.strictObject({ account: z.string(), expiresAt: time }),
  /** Sent once for each outage, and again for another reason. */
  'sip.registration_failed': z.strictObject({ account: z.string(), ...reason }),
  'room.created': z.strictObject({ room }),
  'room.removed': z.strictObject({ room }),
  'room.joined': z.strictObject(member),
  /** `code` and `reason`: why it was removed; absent if it has left by itself. */
  'room.left': z.strictObject({
    ...member,
    joinedAt: time,
    code: z.string().exactOptional(),
    reason: z.string().exactOptional(),
  }),
  'gateway.started': z.strictObject({ version: z.string() }),
  'node.draining': z.strictObject({ version: z.string(), streams: z.int() }),
  'gateway.stopping': z.strictObject({ version: z.string() }),
} as const;

export type EventType = keyof typeof EVENT_DATA;
export type EventData<T extends EventType> = z.output<(typeof EVENT_DATA)[T]>;
export type GatewayEvent = {
  [T in EventType]: { readonly type: T; readonly timestamp: string; readonly data: EventData<T> };
}[EventType];

export const EVENT_TYPES = Object.keys(EVENT_DATA) as readonly EventType[];

/** @param pattern an event, `push.*` or `*` */
export function matchesEvent(pattern: string, type: string): boolean {
  return pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}

/** Events of one stream, and those of one room, are delivered in order; the others form a lane of their own. */
export const laneOf = ({ data }: GatewayEvent): string => {
  if ('stream' in data) return data.stream;
  return 'room' in data ? `room ${data.room}` : '';
};
