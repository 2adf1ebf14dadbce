import { EventEmitter } from 'node:events';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { observeCalls, observeRegistrations } from '../../../src/hooks/observe-calls.ts';
import { EVENT_DATA, EVENT_TYPES, type GatewayEvent } from '../../../src/hooks/events.ts';
import {
  gatewayStarted,
  gatewayStopping,
  nodeDraining,
  observePushes,
  observeRecordings,
  observeRooms,
  observeStreams,
} from '../../../src/hooks/observe-gateway.ts';
import type { Publisher } from '../../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import type { LegView, TransponderView } from '../../../src/views/push-view.ts';
import { viewOf } from '../../helpers/fake-transponders.ts';
import { localRooms } from '../../helpers/local-rooms.ts';

const stopped = new GatewayError('STREAM_STOPPED', 'Stopped by user');

function publisher(id: string): Publisher & { stall: () => void } {
  const track = { clockRate: 1, subscribe: () => Promise.reject(new Error('not used')) };
  let listener = (): void => {};
  return {
    id,
    audio: { kind: 'audio', codec: 'opus', ...track },
    video: { kind: 'video', codec: 'h264', ...track },
    onStall: (onStall) => (listener = onStall),
    stall: () => listener(),
    close: () => {},
  };
}

/** Every event must fit its schema. */
function collect(): { events: GatewayEvent[]; publish: (event: GatewayEvent) => void } {
  const events: GatewayEvent[] = [];
  return {
    events,
    publish: (event) => {
      EVENT_DATA[event.type].parse(event.data);
      events.push(event);
    },
  };
}

function observedPushes(publish: (event: GatewayEvent) => void) {
  let start = (_: TransponderView): void => {};
  let change = (_: TransponderView): void => {};
  let refused = (_: TransponderView): void => {};
  observePushes(
    {
      onStart: (listener) => (start = listener),
      onChange: (listener) => (change = listener),
      onRefused: (listener) => (refused = listener),
    },
    publish,
  );
  return {
    start: (push: TransponderView) => start(push),
    change: (push: TransponderView) => change(push),
    refuse: (push: TransponderView) => refused(push),
  };
}

/** As a view of a transponder is: with fields that must not be sent. */
const push = viewOf(
  { streamName: 'cam1', rtmpUrl: 'rtmp://user:PASSWORD@live.example/app/STREAM-KEY?token=TOKEN' },
  {
    ...{ mediaSessionId: 'id', streamName: 'STREAM-KEY', destination: 'rtmp://live.example/app', attempt: 0 },
    ...{ startedAt: new Date(0).toISOString(), bytesSent: 1, legs: [] },
  },
);
const failure = {
  reason: 'The server said: no such stream rtmp://user:PASSWORD@live.example/app/STREAM-KEY?token=TOKEN',
  reasonCode: 'PUBLISH_REJECTED',
};

t.test('the life of a stream', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 2 });
  const { events, publish } = collect();
  observeStreams(registry, publish, true);
  const first = publisher('1');
  const stream = registry.publish('cam1', first, 'key');
  first.stall();
  registry.lose(stream, first);
  first.stall();
  registry.publish('cam1', publisher('2'), 'key');
  registry.end(stream, stopped);
  const codecs = { stream: 'cam1', audioCodec: 'opus', videoCodec: 'h264' };
  t.match(
    events.map(({ type, data }) => [type, data]),
    [
      ['stream.published', codecs],
      ['stream.stalled', { stream: 'cam1' }],
      ['stream.lost', { stream: 'cam1', until: String }],
      ['stream.resumed', codecs],
      ['stream.ended', { stream: 'cam1', code: 'STREAM_STOPPED', reason: 'Stopped by user' }],
    ],
  );
  t.equal(events.length, 5, 'a publisher that has been replaced does not stall the stream');
});

t.test('the life of a push: one event for each change of its status', async (t) => {
  const { events, publish } = collect();
  const { start, change } = observedPushes(publish);
  start(push);
  change({ ...push, status: 'pushing' });
  change({ ...push, status: 'pushing' });
  change({
    ...push,
    status: 'standby',
    standby: { since: new Date(2).toISOString(), reason: 'video', picture: 'freeze' },
  });
  change({ ...push, status: 'pushing' });
  change({ ...push, ...failure, status: 'retrying' });
  change({ ...push, ...failure, status: 'connecting', attempt: 1 });
  change({ ...push, status: 'pushing', attempt: 1 });
  change({ ...push, ...failure, status: 'ended', endedAt: new Date(1).toISOString() });
  t.strictSame(
    events.map(({ type }) => type),
    [
      'push.connecting',
      'push.pushing',
      'push.standby',
      'push.pushing',
      'push.retrying',
      'push.connecting',
      'push.pushing',
      'push.ended',
    ],
  );
  t.match(events[2], { data: { since: '1970-01-01T00:00:00.002Z', why: 'video' } });
  t.match(events[4], {
    data: { id: 'id', stream: 'cam1', destination: 'rtmp://live.example/app', code: 'PUBLISH_REJECTED' },
  });
});

t.test('a push that was refused after the publication has ended', async (t) => {
  const { events, publish } = collect();
  const { refuse } = observedPushes(publish);
  refuse({ ...push, ...failure, status: 'ended', bytesSent: 0, endedAt: new Date(0).toISOString() });
  t.match(events, [{ type: 'push.ended', data: { stream: 'cam1', code: 'PUBLISH_REJECTED', bytesSent: 0 } }]);
  t.notMatch(JSON.stringify(events), /STREAM-KEY|PASSWORD|TOKEN/);
});

/** The legs of a push with a backup. */
const legs = (primary: LegView['status'], backup: LegView['status']): LegView[] =>
  [['primary', primary] as const, ['backup', backup] as const].map(([leg, status]) => ({
    ...{ leg, status, destination: `rtmp://${leg}.example/app`, attempt: 0, reason: '', reasonCode: '' },
    ...{ bytesSent: 0, bitrate: 0, fps: 0, framesDropped: 0, bufferMs: 0 },
    ...(status === 'retrying' && failure),
  }));

t.test('the legs of a push with a backup, while the push itself goes on', async (t) => {
  const { events, publish } = collect();
  const { start, change } = observedPushes(publish);
  start({ ...push, legs: legs('connecting', 'connecting') });
  change({ ...push, status: 'pushing', legs: legs('pushing', 'connecting') });
  change({ ...push, status: 'pushing', legs: legs('pushing', 'pushing') });
  change({ ...push, status: 'pushing', legs: legs('retrying', 'pushing') });
  change({ ...push, status: 'ended', legs: legs('ended', 'ended') });
  t.match(
    events.map(({ type, data }) => [type, 'leg' in data && `${data.leg} ${data.status} ${data.destination}`]),
    [
      ['push.connecting', false],
      ['push.leg', 'primary pushing rtmp://primary.example/app'],
      ['push.pushing', false],
      ['push.leg', 'backup pushing rtmp://backup.example/app'],
      ['push.leg', 'primary retrying rtmp://primary.example/app'],
      ['push.ended', false],
    ],
  );
  t.match(events[4], { data: { code: 'PUBLISH_REJECTED', reason: String } });
  t.notMatch(JSON.stringify(events), /PASSWORD|STREAM-KEY|TOKEN/);
});

const warning = {
  since: new Date(0).toISOString(),
  check: 'videoBitrate',
  level: 'warning',
  measured: '9',
  rule: 'at most 6',
  source: 'OBS',
  remedy: 'x',
} as const;

t.test('a broken rule is told once, again when it is worse, and again when it comes back', async (t) => {
  const { events, publish } = collect();
  const { start, change } = observedPushes(publish);
  const pushing = { ...push, status: 'pushing', platform: 'twitch', warnings: [] } as const;
  start(pushing);
  change({ ...pushing, warnings: [warning] });
  change({ ...pushing, warnings: [{ ...warning, measured: '10' }] });
  change({ ...pushing, warnings: [{ ...warning, level: 'error' }] });
  change(pushing);
  change({ ...pushing, warnings: [warning] });
  change({ ...pushing, status: 'ended', warnings: [warning] });
  t.strictSame(
    events.map(({ type, data }) => ('level' in data ? `${type} ${data.level}` : type)),
    ['push.pushing', 'push.warning warning', 'push.warning error', 'push.warning warning', 'push.ended'],
  );
  t.match(events[1]?.data, { id: 'id', stream: 'cam1', platform: 'twitch', check: 'videoBitrate', rule: 'at most 6' });
});

t.test('re-encoding because of rules is told when it begins and ends', async (t) => {
  const { events, publish } = collect();
  const { start, change } = observedPushes(publish);
  const passing = { ...push, status: 'pushing', comply: { mode: 'auto', state: 'passing', because: [] } } as const;
  const encoding = { ...passing, comply: { mode: 'auto', state: 'encoding', because: ['bFrames'] } } as const;
  start(passing);
  for (const view of [passing, encoding, encoding, passing, encoding]) change(view);
  change({ ...encoding, status: 'ended' });
  t.strictSame(
    events.map(({ type, data }) => ('because' in data ? `${data.state} ${data.because.join()}` : type)),
    ['push.pushing', 'encoding bFrames', 'passing ', 'encoding bFrames', 'push.ended'],
  );
});

t.test('no body contains a secret, and every event can occur', async (t) => {
  const { events, publish } = collect();
  const { start, change } = observedPushes(publish);
  start(push);
  change({ ...push, legs: legs('connecting', 'idle') });
  change({ ...push, legs: legs('retrying', 'idle') });
  change({
    ...push,
    status: 'pushing',
    platform: 'twitch',
    warnings: [warning],
    comply: { mode: 'auto', state: 'encoding', because: ['bFrames'] },
    codecs: { video: 'av01', audio: 'mp4a', why: 'the server announced av01' },
  });
  for (const status of ['pushing', 'standby', 'retrying', 'ended'] as const) change({ ...push, ...failure, status });
  const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 2 });
  observeStreams(registry, publish, true);
  const first = publisher('PUBLISHER-ID');
  const stream = registry.publish('cam1', first, 'RESUME-KEY');
  first.stall();
  registry.lose(stream, first);
  registry.publish('cam1', publisher('PUBLISHER-ID'), 'RESUME-KEY');
  registry.end(stream, new GatewayError('ENCODER_FAILED', failure.reason));
  const recordings = new EventEmitter();
  observeRecordings(recordings, publish);
  const recorded = { id: 'r', stream: 'cam1', file: 'cam1-r.mp4', startedAt: push.startedAt, durationMs: 1, bytes: 2 };
  for (const state of ['recording', 'finishing', 'complete', 'failed'])
    recordings.emit('change', { ...recorded, state, reasonCode: 'DISK_FULL', reason: 'full' });
  for (const state of ['waiting', 'uploading', 'retrying', 'stored'])
    recordings.emit('storage', { ...recorded, storage: { state, bucket: 'films', key: 'shows/x', uploadId: 'u' } });
  const calls = new EventEmitter();
  observeCalls(calls, publish);
  const call = {
    ...{ callId: 'c', streamName: 'cam1', incoming: false, caller: '2000', callee: '1001', sipStatus: 200 },
    ...{ reason: null, reasonCode: null, audioCodec: 'opus', videoCodec: null, createdAt: push.startedAt },
    ...{ answeredAt: push.startedAt, endedAt: null },
  };
  for (const status of ['PENDING', 'TRYING', 'RING', 'ESTABLISHED', 'HOLD'])
    calls.emit('call', { view: { ...call, status } });
  calls.emit('call', {
    view: { ...call, status: 'FINISH', endedAt: push.startedAt, reasonCode: 'SIP_ENDED', reason: '' },
  });
  const registrations = new EventEmitter();
  observeRegistrations(registrations, publish);
  const registration = { account: '1001@pbx', stream: null, reasonCode: null, reason: null, expiresAt: null };
  registrations.emit('registration', { ...registration, state: 'registered', expiresAt: push.startedAt });
  const why = { reasonCode: 'SIP_AUTH_FAILED', reason: 'The password is wrong.' };
  registrations.emit('registration', { ...registration, ...why, state: 'failed' });
  registrations.emit('registration', { ...registration, state: 'unregistered' });
  publish(gatewayStarted('1'));
  publish(nodeDraining('1', 2));
  publish(gatewayStopping('1'));
  await meet(publish);
  t.strictSame([...new Set(events.map(({ type }) => type))].sort(), [...EVENT_TYPES].sort());
  t.notMatch(JSON.stringify(events), /STREAM-KEY|PASSWORD|TOKEN|user:|RESUME-KEY|PUBLISHER-ID/);
});

/** Two clients in a room; the first one is removed, then the second one leaves. */
async function meet(publish: (event: GatewayEvent) => void) {
  const rooms = localRooms();
  observeRooms(rooms, publish);
  const principal = { id: 'p', actions: new Set(['join'] as const) };
  const request = { scope: 'live/room1', principal, receive: () => undefined };
  const ann = await rooms.join({ ...request, door: 'wcs', login: 'Ann' });
  const guest = await rooms.join({ ...request, door: 'rtmp' });
  await rooms.removeMember('live/room1', ann.id, new GatewayError('TERMINATED', 'See rtmp://host/live/geheim'));
  guest.leave();
  return { ann, guest };
}

t.test('clients of rooms come and go', async (t) => {
  const { events, publish } = collect();
  const { ann, guest } = await meet(publish);
  const room = 'live/room1';
  t.match(
    events.map(({ type, data }) => ({ type, data })),
    [
      { type: 'room.created', data: { room } },
      { type: 'room.joined', data: { room, member: ann.id, login: 'Ann', door: 'wcs' } },
      { type: 'room.joined', data: { room, member: guest.id, door: 'rtmp' } },
      { type: 'room.left', data: { room, member: ann.id, login: 'Ann', code: 'TERMINATED', reason: /^See / } },
      { type: 'room.left', data: { room, member: guest.id, door: 'rtmp' } },
      { type: 'room.removed', data: { room } },
    ],
  );
  t.notMatch(JSON.stringify(events), /geheim/);
});
