import t from 'tap';
import type { Publisher } from '../../../../src/streams/live-stream.ts';
import type { LegView } from '../../../../src/views/push-view.ts';
import { viewOf } from '../../../helpers/fake-transponders.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const publisher: Publisher = {
  id: 'p1',
  video: {
    kind: 'video',
    codec: 'h264',
    clockRate: 90_000,
    subscribe: () => Promise.reject(new Error('no media here')),
  },
  close() {},
};
const START = { streamName: 'cam', rtmpUrl: 'rtmp://u:p@example.com/live/geheim' };

t.test('/api/v1 shows destinations without secrets', async (t) => {
  const { app, http, control } = await createHttpApp();
  t.teardown(() => app.close());
  t.strictSame((await http.inject('/api/v1/transponders')).json(), [], 'an empty list is no error here');
  control.change(viewOf(START, { mediaSessionId: 'a' }));
  control.change(viewOf({ ...START, rtmpTransponderFullUrl: true }, { mediaSessionId: 'b', streamName: 'geheim?a=1' }));
  control.endedViews = [
    viewOf(START, {
      mediaSessionId: 'c',
      status: 'ended',
      reason: 'No such host',
      reasonCode: 'DESTINATION_NOT_RESOLVED',
      streamName: 'geheim',
    }),
  ];
  const live = await http.inject('/api/v1/transponders');
  t.match(live.json(), [
    { mediaSessionId: 'a', rtmpUrl: 'rtmp://example.com/live', streamName: 'rtmp_cam' },
    { mediaSessionId: 'b', rtmpUrl: 'rtmp://example.com/live', streamName: '***' },
  ]);
  const ended = await http.inject('/api/v1/transponders?ended=true');
  t.match(ended.json(), [
    { mediaSessionId: 'c', status: 'ended', reasonCode: 'DESTINATION_NOT_RESOLVED', streamName: '***' },
  ]);
  t.notMatch(live.body + ended.body, 'geheim');
  for (const query of ['ended=1', 'ended=true&x=1', 'ended=true&ended=false', 'ended'])
    t.equal((await http.inject(`/api/v1/transponders?${query}`)).json().exception, 'INVALID_REQUEST', query);
});

t.test('/api/v1/streams', async (t) => {
  const { app, http, control, registry } = await createHttpApp();
  t.teardown(() => app.close());
  t.strictSame((await http.inject('/api/v1/streams')).json(), []);
  const stream = registry.publish('cam', publisher);
  control.change(viewOf(START, { mediaSessionId: 'a' }));
  t.strictSame((await http.inject('/api/v1/streams')).json(), [
    {
      name: 'cam',
      status: 'live',
      startedAt: stream.startedAt.toISOString(),
      audioCodec: null,
      videoCodec: 'h264',
      transponders: 1,
    },
  ]);
  stream.lose(15_000);
  const { since, until } = stream.absence!;
  const held = (await http.inject('/api/v1/streams')).json();
  t.match(held, [
    {
      name: 'cam',
      status: 'held',
      videoCodec: null,
      publisherAway: { since: since.toISOString(), until: until.toISOString() },
    },
  ]);
  t.equal(until.getTime() - since.getTime(), 15_000);
});

t.test('draining: not ready, but alive', async (t) => {
  const moves: (boolean | undefined)[] = [];
  const drain = {
    draining: false,
    begin: (move?: boolean) => {
      drain.draining = true;
      moves.push(move);
    },
  };
  const workers = { alive: 1, wanted: 1 };
  let hasFailed = false;
  const { app, http } = await createHttpApp({}, { drain, workers: () => workers, hasFailed: () => hasFailed });
  t.teardown(() => app.close());
  const codes = async (): Promise<number[]> => {
    const answers = await Promise.all(['/health', '/health/ready', '/health/live'].map((url) => http.inject(url)));
    return answers.map(({ statusCode }) => statusCode);
  };
  t.strictSame(await codes(), [200, 200, 200]);
  const started = await http.inject({ method: 'POST', url: '/api/v1/server/drain' });
  t.equal(started.statusCode, 202);
  t.match(started.json(), { status: 'draining', streams: 0 });
  t.strictSame(await codes(), [200, 503, 200]);
  t.match((await http.inject('/health/ready')).json(), { status: 'draining' });
  t.equal((await http.inject('/api/v1/streams')).statusCode, 200, 'running streams can be controlled');
  workers.alive = 0;
  t.strictSame(await codes(), [503, 503, 503], 'without a worker');
  workers.alive = 1;
  hasFailed = true;
  t.strictSame(await codes(), [503, 503, 503], 'when its media workers hang');
  hasFailed = false;
  await http.inject({ method: 'POST', url: '/api/v1/server/drain?move=false' });
  await http.inject({ method: 'POST', url: '/api/v1/server/drain?move=true' });
  t.strictSame(moves, [undefined, false, true]);
  for (const query of ['move=no', 'mvoe=false'])
    t.equal((await http.inject({ method: 'POST', url: `/api/v1/server/drain?${query}` })).statusCode, 400, query);
  app.announceClose();
  t.strictSame(await codes(), [503, 503, 200], 'while it closes');
});

t.test('a node whose Redis is away: degraded, and not ready unless it accepts streams all the same', async (t) => {
  const redis = { answers: true, needed: true };
  const { app, http } = await createHttpApp({}, { workers: () => ({ alive: 1, wanted: 1 }), redis: () => redis });
  t.teardown(() => app.close());
  const answers = async (): Promise<unknown[]> => {
    const all = await Promise.all(['/health', '/health/ready', '/health/live'].map((url) => http.inject(url)));
    const { status, redis: answering } = all[0]!.json<{ status: string; redis: boolean }>();
    return [...all.map(({ statusCode }) => statusCode), status, answering];
  };
  t.strictSame(await answers(), [200, 200, 200, 'ok', true]);
  redis.answers = false;
  t.strictSame(await answers(), [200, 503, 200, 'degraded', false], 'running streams go on');
  redis.needed = false;
  t.strictSame(await answers(), [200, 200, 200, 'degraded', false], 'cluster_offline=accept');
  redis.needed = true;
  redis.answers = true;
  t.strictSame(await answers(), [200, 200, 200, 'ok', true], 'it is back');
});

t.test('/health', async (t) => {
  const workers = { alive: 2, wanted: 2 };
  let overload = false;
  const { app, http } = await createHttpApp({}, { workers: () => workers, isOverloaded: () => overload });
  t.teardown(() => app.close());
  const answer = await http.inject('/health');
  t.equal(answer.statusCode, 200);
  t.match(answer.json(), {
    status: 'ok',
    version: /^\d+\.\d+\.\d+/,
    uptime: Number,
    workers: { alive: 2, wanted: 2 },
    overloaded: false,
    streams: 0,
    transponders: 0,
  });
  for (const [alive, status, code] of [
    [1, 'degraded', 200],
    [0, 'failed', 503],
  ] as const) {
    workers.alive = alive;
    const { statusCode, body } = await http.inject('/health');
    t.equal(statusCode, code);
    t.equal(JSON.parse(body).status, status);
  }
  workers.alive = 2;
  overload = true;
  const overloaded = await http.inject('/health');
  t.equal(overloaded.statusCode, 200, 'running streams go on');
  t.match(overloaded.json(), { status: 'overloaded', overloaded: true });
  app.announceClose();
  const closing = await http.inject('/health');
  t.equal(closing.statusCode, 503);
  t.match(closing.json(), { status: 'closing' });
  t.equal((await http.inject('/metrics')).statusCode, 200);
  const refused = await http.inject('/rest-api/push/find_all');
  t.equal(refused.statusCode, 503);
  t.equal(refused.json().exception, 'SHUTTING_DOWN');
  t.equal(refused.headers['retry-after'], '5');
});

t.test('/metrics', async (t) => {
  const { app, http, control, registry } = await createHttpApp();
  t.teardown(() => app.close());
  const read = async (name: string) => {
    const { body } = await http.inject('/metrics');
    t.notMatch(body, /geheim|example\.com|cam/, 'no names');
    return body
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .map((line) => line.slice(name.length));
  };
  t.strictSame(await read('gateway_streams'), [' 0']);
  t.strictSame(await read('gateway_transponders'), [
    '{state="connecting"} 0',
    '{state="pushing"} 0',
    '{state="standby"} 0',
    '{state="retrying"} 0',
  ]);
  registry.publish('cam', publisher);
  const view = viewOf(START, { mediaSessionId: 'a' });
  control.change(view);
  control.change(viewOf(START, { mediaSessionId: 'b', status: 'pushing', bytesSent: 1000, framesDropped: 3 }));
  t.strictSame(await read('gateway_streams'), [' 1']);
  t.strictSame(await read('gateway_encoders'), [' 2']);
  t.strictSame(await read('gateway_transponders'), [
    '{state="connecting"} 1',
    '{state="pushing"} 1',
    '{state="standby"} 0',
    '{state="retrying"} 0',
  ]);
  control.change({ ...view, status: 'pushing', bytesSent: 500 });
  t.strictSame(await read('gateway_sent_bytes_total'), [' 1500']);
  const { mediaSessionId } = view;
  const lost = { mediaSessionId, status: 'retrying', reasonCode: 'DESTINATION_LOST', bytesSent: 500 } as const;
  control.change(viewOf(START, lost));
  control.change(viewOf(START, { ...lost, muted: true }));
  control.change({ ...view, status: 'ended', reasonCode: 'DESTINATION_REFUSED', bytesSent: 600, framesDropped: 4 });
  t.strictSame(await read('gateway_sent_bytes_total'), [' 1600'], 'what ended ones sent still counts');
  t.strictSame(await read('gateway_frames_dropped_total'), [' 7']);
  t.strictSame(await read('gateway_transponder_starts_total'), [' 2']);
  t.strictSame(await read('gateway_transponder_retries_total'), ['{code="DESTINATION_LOST"} 1']);
  t.strictSame(await read('gateway_transponder_ends_total'), ['{code="DESTINATION_REFUSED"} 1']);
  const standby = { since: new Date(Date.now() - 5000).toISOString(), reason: 'video', picture: 'freeze' } as const;
  control.change(viewOf(START, { mediaSessionId: 'b', status: 'standby', standby }));
  control.change(viewOf(START, { mediaSessionId: 'b', status: 'standby', standby: { ...standby, picture: 'color' } }));
  t.strictSame(await read('gateway_standby_total'), ['{reason="video"} 1']);
  control.change(viewOf(START, { mediaSessionId: 'b', status: 'pushing' }));
  const [seconds] = await read('gateway_standby_seconds_total');
  t.ok(Number(seconds) >= 5 && Number(seconds) < 10, String(seconds));
  t.strictSame(await read('gateway_standby_seconds_total'), [seconds], 'it has ended');
  t.match((await http.inject('/metrics')).headers['content-type'], /^text\/plain; version=0\.0\.4/);

  const [leg] = viewOf(START, lost).legs;
  const legs = (primary: LegView['status'], backup: LegView['status']): LegView[] => [
    { ...leg!, status: primary },
    { ...leg!, leg: 'backup', status: backup },
  ];
  control.change(viewOf(START, { mediaSessionId: 'c', status: 'pushing', legs: legs('pushing', 'idle') }));
  control.change(viewOf(START, { mediaSessionId: 'c', status: 'pushing', legs: legs('retrying', 'pushing') }));
  t.strictSame(
    (await read('gateway_backup_legs')).filter((line) => !line.endsWith(' 0')),
    ['{state="pushing"} 1'],
  );
  t.strictSame(await read('gateway_transponder_retries_total'), ['{code="DESTINATION_LOST"} 2'], 'each leg counts');
});
