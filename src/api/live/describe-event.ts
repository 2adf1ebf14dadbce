/** Events of the gateway in plain words, for the console's timeline. Pure. */

/** As `hooks` makes them: `docs/hooks.md` describes their data. */
export interface SourceEvent {
  readonly type: string;
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type EventLevel = 'info' | 'good' | 'warning' | 'error';

interface Words {
  readonly level: EventLevel;
  readonly text: string;
}

type Describe = (data: Record<string, string>) => Words;

const words = (level: EventLevel, text: string): Words => ({ level, text });
const CODECS: Readonly<Record<string, string>> = {
  ...{ h264: 'H.264', vp8: 'VP8', vp9: 'VP9', av1: 'AV1', opus: 'Opus', pcmu: 'G.711', pcma: 'G.711' },
};
const codecs = ({ videoCodec, audioCodec }: Record<string, string>): string =>
  [videoCodec, audioCodec].flatMap((codec) => (codec ? [CODECS[codec] ?? codec] : [])).join(' and ') || 'no media yet';
const because = (reason: string | undefined): string => (reason ? `: ${reason}` : '.');
const STANDBY_REASONS: Readonly<Record<string, string>> = {
  publisher: 'the publisher is away',
  video: 'the publisher sends no video',
  manual: 'it was switched on by hand',
};
const COUNTER_TAKEN: ReadonlySet<string> = new Set(['STREAM_STOPPED', 'TERMINATED', 'SHUTTING_DOWN']);

const DESCRIPTIONS: Readonly<Record<string, Describe>> = {
  'stream.published': (data) => words('good', `The stream is live, with ${codecs(data)}.`),
  'stream.lost': () => words('warning', 'The publisher was lost. The stream is held for its return.'),
  'stream.resumed': (data) => words('good', `The publisher is back, with ${codecs(data)}.`),
  'stream.stalled': () => words('warning', 'No frame has arrived from the publisher for three seconds.'),
  'stream.ended': ({ code, reason }) =>
    words(COUNTER_TAKEN.has(code!) ? 'info' : 'warning', `The stream has ended${because(reason)}`),
  'push.connecting': ({ destination }) => words('info', `Connecting to ${destination}.`),
  'push.pushing': ({ destination }) => words('good', `${destination} receives the stream.`),
  'push.standby': ({ destination, why }) =>
    words('warning', `${destination} receives standby, because ${STANDBY_REASONS[why!] ?? 'there is no live media'}.`),
  'push.leg': ({ destination, leg, status, reason }) =>
    words(status === 'retrying' ? 'warning' : 'info', `The ${leg} ${destination} is ${status}${because(reason)}`),
  'push.retrying': ({ destination, reason }) =>
    words('warning', `${destination} is lost and will be tried again${because(reason)}`),
  'push.warning': ({ destination, level, check, measured, rule, remedy }) =>
    words(
      level === 'error' ? 'error' : 'warning',
      `${destination}: ${check} is ${measured}; asked for is ${rule}. ${remedy}`.trim(),
    ),
  'push.comply': ({ destination, state }) =>
    state === 'encoding'
      ? words('warning', `The stream is re-encoded for ${destination}, because it breaks its rules.`)
      : words('good', `The stream is passed through to ${destination} again.`),
  'push.codecs': ({ destination, video, audio, why }) =>
    words('info', `${destination} receives ${[video, audio].filter(Boolean).join(' and ')}${because(why)}`),
  'push.ended': ({ destination, code, reason }) =>
    words(COUNTER_TAKEN.has(code!) ? 'info' : 'error', `The push to ${destination} has ended${because(reason)}`),
  'recording.started': ({ file }) => words('info', `Recording into ${file}.`),
  'recording.completed': ({ file }) => words('good', `The recording ${file} is complete.`),
  'recording.failed': ({ file, reason }) => words('error', `The recording ${file} has failed${because(reason)}`),
  'recording.stored': ({ file, bucket }) => words('good', `${file} is stored in the bucket ${bucket}.`),
  'recording.retrying': ({ file, bucket, reason }) =>
    words('warning', `${file} cannot be uploaded to ${bucket} at present${because(reason)}`),
  'call.started': ({ callee }) => words('info', `Calling ${callee}.`),
  'call.ringing': ({ callee }) => words('info', `The telephone of ${callee} rings.`),
  'call.established': (data) => words('good', `The call with ${data['callee']} is established, with ${codecs(data)}.`),
  'call.held': ({ callee }) => words('warning', `${callee} holds the call.`),
  'call.ended': ({ callee, code, reason }) =>
    words(code === 'SIP_ENDED' ? 'info' : 'warning', `The call with ${callee} has ended${because(reason)}`),
  'sip.registered': ({ account }) => words('good', `${account} is registered.`),
  'sip.registration_failed': ({ account, reason }) =>
    words('error', `${account} cannot be registered${because(reason)}`),
  'room.created': () => words('info', 'The room exists.'),
  'room.removed': () => words('info', 'The room is gone.'),
  'room.joined': ({ login, member }) => words('info', `${login ?? member} has joined.`),
  'room.left': ({ login, member, reason }) => words('info', `${login ?? member} has left${because(reason)}`),
  'gateway.started': ({ version }) => words('good', `The gateway has started, version ${version}.`),
  'node.draining': ({ streams }) => words('warning', `The gateway drains: it waits for ${streams} streams.`),
  'gateway.stopping': () => words('warning', 'The gateway is stopping.'),
};

export function describeEvent({ type, data }: SourceEvent): Words {
  const texts = Object.fromEntries(
    Object.entries(data).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' ? [[name, String(value)]] : [],
    ),
  );
  return DESCRIPTIONS[type]?.(texts) ?? words('info', type);
}
