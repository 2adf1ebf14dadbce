import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import type { ClientConnection, StreamSession } from '../../../../src/sessions/client-sessions.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const { app, http, registry, sessions, control } = await createHttpApp();
t.teardown(() => app.close());

const post = (path: string, payload: object = {}) => http.inject({ method: 'POST', url: `/rest-api/${path}`, payload });

const terminated: string[] = [];
const removals: (() => void)[] = [];
t.beforeEach(() => {
  terminated.length = 0;
  for (const remove of removals.splice(0)) remove();
  for (const stream of registry.list()) registry.end(stream, new GatewayError('STREAM_STOPPED', 'next test'));
});

function addStream(more: Partial<StreamSession> = {}): StreamSession {
  const session: StreamSession = {
    mediaSessionId: 'm1',
    sessionId: 's1',
    name: 'cam',
    published: true,
    mediaProvider: 'WebRTC',
    appKey: 'defaultApp',
    application: 'live',
    hasAudio: true,
    hasVideo: true,
    transport: 'UDP',
    offerSdp: 'v=0\r\na=ice-ufrag:u\r\na=ice-pwd:geheim\r\na=mid:0\r\n',
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 2000,
    clientAddress: '192.0.2.1',
    createdAt: new Date(1000),
    active: true,
    terminate: (info) => void terminated.push(`${session.mediaSessionId}: ${info}`),
    ...more,
  };
  removals.push(sessions.addStream(session));
  return session;
}

const sent: unknown[] = [];
function addConnection(more: Partial<ClientConnection> = {}): ClientConnection {
  const connection: ClientConnection = {
    sessionId: 's1',
    appKey: 'defaultApp',
    clientVersion: '2.0',
    clientOSVersion: 'OS',
    clientBrowserVersion: 'B',
    mediaProviders: ['WebRTC'],
    clientAddress: '192.0.2.1',
    createdAt: new Date(2000),
    sendData: (data) => void sent.push(data),
    terminate: (info) => void terminated.push(`${connection.sessionId}: ${info}`),
    ...more,
  };
  removals.push(sessions.addConnection(connection));
  return connection;
}

const publish = (name: string) =>
  registry.publish(name, {
    id: name,
    audio: { kind: 'audio', codec: 'opus', clockRate: 48_000, subscribe: () => Promise.reject(new Error('unused')) },
    video: { kind: 'video', codec: 'h264', clockRate: 90_000, subscribe: () => Promise.reject(new Error('unused')) },
    metrics: async () => ({
      audio: { payloadType: 111, bitrate: 64_000, bytes: 10, packetsLost: 1, nackCount: 0, pliCount: 0 },
      video: { payloadType: 119, bitrate: 900_000, bytes: 20, packetsLost: 2, nackCount: 3, pliCount: 4 },
    }),
    close: () => undefined,
  });

const ids = (answer: Awaited<ReturnType<typeof post>>): string[] =>
  answer.json<{ mediaSessionId: string }[]>().map(({ mediaSessionId }) => mediaSessionId);

t.test("stream/find answers with WCS's fields and no secrets", async (t) => {
  addStream();
  publish('cam').resize({ width: 640, height: 360 });
  const answer = await post('stream/find', { name: 'cam', published: true });
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), [
    {
      appKey: 'defaultApp',
      sessionId: 's1',
      mediaSessionId: 'm1',
      name: 'cam',
      published: true,
      hasVideo: true,
      hasAudio: true,
      status: 'PUBLISHING',
      sdp: 'v=0\r\na=ice-ufrag:u\r\na=mid:0\r\n',
      audioCodec: 'opus',
      videoCodec: 'H264',
      record: false,
      width: 640,
      height: 360,
      bitrate: 0,
      minBitrate: 0,
      maxBitrate: 2000,
      quality: 0,
      history: false,
      gop: 0,
      fps: 0,
      createDate: 1000,
      mediaProvider: 'WebRTC',
      transport: 'UDP',
    },
  ]);
  const withMetrics = await post('stream/find', { name: 'cam', display: ['metrics'] });
  t.strictSame(withMetrics.json()[0].metrics, {
    AUDIO_CODEC: 111,
    AUDIO_RATE: 64_000,
    AUDIO_LOST: 1,
    VIDEO_CODEC: 119,
    VIDEO_RATE: 900_000,
    VIDEO_LOST: 2,
    VIDEO_NACK: 3,
    VIDEO_PLI: 4,
    VIDEO_WIDTH: 640,
    VIDEO_HEIGHT: 360,
  });
});

t.test('stream/find filters publishers and players', async (t) => {
  addStream({ mediaSessionId: 'pub' });
  addStream({ mediaSessionId: 'play', published: false, active: false });
  addStream({ mediaSessionId: 'whip', name: 'other', mediaProvider: 'WHIP' });
  t.strictSame(ids(await post('stream/find')), ['pub', 'play', 'whip']);
  t.strictSame(ids(await post('stream/find', { name: 'cam' })), ['pub', 'play']);
  t.strictSame(ids(await post('stream/find', { name: 'cam', published: false })), ['play']);
  t.strictSame(ids(await post('stream/find', { published: 'true', name: null })), ['pub', 'whip']);
  t.strictSame(ids(await post('stream/find', { mediaSessionId: 'whip' })), ['whip']);
  t.match((await post('stream/find', { mediaSessionId: 'play' })).json(), [{ status: 'PENDING', videoCodec: '' }]);
  t.match((await post('stream/find', { mediaSessionId: 'whip' })).json(), [{ mediaProvider: 'WHIP' }]);
  t.strictSame(ids(await http.inject('/rest-api/stream/find_all')), ['pub', 'play', 'whip']);
  t.strictSame(ids(await post('stream/find_all')), ['pub', 'play', 'whip']);
  const unknown = await post('stream/find', { name: 'cam', colour: 'red' });
  t.equal(unknown.headers['x-ignored-fields'], 'colour');
});

t.test('nothing found is 404, and a wrong body 400', async (t) => {
  const cases: [path: string, body: object, status: number, code: string][] = [
    ['stream/find', {}, 404, 'STREAM_NOT_FOUND'],
    ['stream/find_all', {}, 404, 'STREAM_NOT_FOUND'],
    ['stream/find', { published: 'maybe' }, 400, 'INVALID_REQUEST'],
    ['stream/find', { display: 'metrics' }, 400, 'INVALID_REQUEST'],
    ['stream/terminate', {}, 400, 'INVALID_REQUEST'],
    ['stream/terminate', { mediaSessionId: 5 }, 400, 'INVALID_REQUEST'],
    ['stream/terminate', { mediaSessionId: [] }, 400, 'INVALID_REQUEST'],
    ['stream/terminate', { mediaSessionId: 'none' }, 404, 'STREAM_NOT_FOUND'],
    ['stream/terminate', { name: 'none' }, 404, 'STREAM_NOT_FOUND'],
    ['stream/snapshot', {}, 400, 'INVALID_REQUEST'],
    ['stream/snapshot', { streamName: 'none' }, 404, 'STREAM_NOT_FOUND'],
    ['stream/event/send', { streamName: 'cam' }, 400, 'INVALID_REQUEST'],
    ['stream/event/send', { streamName: 'none', payload: 1 }, 404, 'STREAM_NOT_FOUND'],
    ['connection/find', {}, 404, 'SESSION_NOT_FOUND'],
    ['connection/find_all', {}, 404, 'SESSION_NOT_FOUND'],
    ['connection/terminate', {}, 400, 'INVALID_REQUEST'],
    ['connection/terminate', { sessionId: 'none' }, 404, 'SESSION_NOT_FOUND'],
    ['data/send', { sessionId: 's1' }, 400, 'INVALID_REQUEST'],
    ['data/send', { sessionId: 'none', payload: {} }, 404, 'SESSION_NOT_FOUND'],
    ['stream/startRecording', { streamName: 'cam' }, 403, 'RECORDING_DISABLED'],
    ['stream/startRecording', {}, 400, 'INVALID_REQUEST'],
    ['stream/startRecording', { streamName: 'cam', mediaSessionId: 'm' }, 400, 'INVALID_REQUEST'],
    ['stream/startRecording', { mediaSessionId: 'none' }, 404, 'STREAM_NOT_FOUND'],
    ['stream/stopRecording', { streamName: 'cam' }, 404, 'RECORDING_NOT_FOUND'],
    ['connection/set_log_level', {}, 501, 'NOT_IMPLEMENTED'],
    ['stream/finds', {}, 404, 'ROUTE_NOT_FOUND'],
  ];
  for (const [path, body, status, code] of cases) {
    const answer = await post(path, body);
    t.match([answer.statusCode, answer.json().exception], [status, code], `${path} ${JSON.stringify(body)}`);
  }
  t.equal((await http.inject('/rest-api/stream/find')).statusCode, 405);
});

t.test('stream/terminate ends by id, by ids and by name', async (t) => {
  addStream({ mediaSessionId: 'pub' });
  addStream({ mediaSessionId: 'play', published: false });
  addStream({ mediaSessionId: 'other', name: 'other' });
  const info = 'Stopped by rest /terminate';
  const answer = await post('stream/terminate', { mediaSessionId: 'play' });
  t.match([answer.statusCode, answer.body], [200, '']);
  await post('stream/terminate', { mediaSessionId: ['pub', 'other', 'none'] });
  await post('stream/terminate', { name: 'cam' });
  t.strictSame(terminated, [`play: ${info}`, `pub: ${info}`, `other: ${info}`, `pub: ${info}`]);
});

t.test('stream/terminate by name ends a stream that is held for its publisher', async (t) => {
  const stream = publish('held');
  stream.lose(60_000);
  t.equal((await post('stream/terminate', { name: 'held' })).statusCode, 200);
  t.match(stream.endedBy, { code: 'TERMINATED', message: 'Stopped by rest /terminate' });
});

t.test('stream/snapshot answers with base64, stream/event/send reaches the players', async (t) => {
  const stream = publish('cam');
  const { data } = (await post('stream/snapshot', { streamName: 'cam' })).json<{ data: string }>();
  t.equal(String(Buffer.from(data, 'base64')), 'PNG of cam');
  const messages: unknown[] = [];
  stream.on('message', (message) => messages.push(message));
  const payload = { text: 'hello', nothing: null };
  const answer = await post('stream/event/send', { streamName: 'cam', payload });
  t.match([answer.statusCode, answer.body], [200, '']);
  t.strictSame(messages, [{ type: 'data', payload }], 'as it was sent');
  stream.lose(60_000);
  t.equal((await post('stream/snapshot', { streamName: 'cam' })).statusCode, 404, 'no publisher');
});

t.test('connections are listed, get data and are ended', async (t) => {
  addConnection();
  addConnection({ sessionId: 's2', appKey: 'room' });
  const found = (await post('connection/find', { clientVersion: '2.0' })).json<{ sessionId: string }[]>();
  t.strictSame(
    found.map(({ sessionId }) => sessionId),
    ['s1', 's2'],
  );
  t.match((await post('connection/find', { appKey: 'room' })).json(), [{ sessionId: 's2', createDate: 2000 }]);
  t.match((await http.inject('/rest-api/connection/find_all')).json(), [{ status: 'ESTABLISHED' }, {}]);
  const data = { operationId: 'op', payload: { a: null } };
  t.equal((await post('data/send', { nodeId: 'n', sessionId: 's2', ...data })).statusCode, 200);
  t.strictSame(sent, [data]);
  t.equal((await post('connection/terminate', { sessionId: 's2' })).statusCode, 200);
  t.strictSame(terminated, ['s2: Stopped by rest /terminate']);
});

t.test('statistics as text in sections and as JSON', async (t) => {
  addConnection();
  addStream({ name: 'a/b' });
  addStream({ name: 'a/b', published: false });
  addStream({ name: 'waiting', active: false });
  await post('push/startup', { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live' });
  t.teardown(() => control.views.clear());
  const answer = await http.inject('/?action=stat&preventCache=1');
  t.match(answer.headers['content-type'], /^text\/plain/);
  const lines = answer.body.split('\n');
  t.notOk(lines.includes(''), 'no blank lines');
  t.strictSame(lines.slice(0, 8), [
    '-----Connection Stats-----',
    'connections=1',
    'connections_websocket=1',
    '-----Stream Stats-----',
    'streams_webrtc_in=1',
    'streams_webrtc_out=1',
    'streams_rtmp_out=1',
    'streams_viewers=a%2Fb/1',
  ]);
  t.equal(lines[8], '-----Core Stats-----');
  for (const line of lines.slice(9)) t.match(line, /^core_java_\w+=\d+$/);
  for (const url of ['/?action=stat&format=json', '/rest-api/stat?format=json'])
    t.match((await http.inject(url)).json(), {
      connections_stats: { connections: 1 },
      streams_stats: { streams_webrtc_in: 1, streams_viewers: 'a%2Fb/1' },
      core_stats: { core_java_uptime: Number },
    });
  t.equal((await http.inject('/?action=stat&format=xml')).statusCode, 400);
});

t.test('with a key, every method needs it', async (t) => {
  const guarded = await createHttpApp({ rest_api_key: 'k'.repeat(20) });
  t.teardown(() => guarded.app.close());
  for (const path of ['stream/find_all', 'connection/find_all', 'stat'])
    t.equal((await guarded.http.inject(`/rest-api/${path}`)).statusCode, 401, path);
  const refused = await guarded.http.inject('/?action=stat');
  t.equal(refused.statusCode, 401);
  t.notMatch(refused.body, /connections/);
  const allowed = await guarded.http.inject({ url: '/?action=stat', headers: { 'x-api-key': 'k'.repeat(20) } });
  t.equal(allowed.statusCode, 200);
});

t.test('streams that the client may not read are neither listed nor ended', async (t) => {
  const actions = new Set(['read', 'control'] as const);
  const scoped = await createHttpApp(
    {},
    {
      authorizer: {
        identify: async () => ({ id: 'scoped', actions, streams: ['mine'] }) as never,
        authorize: async (_principal, _action, { stream = 'mine' } = {}) => {
          if (stream !== 'mine') throw new GatewayError('FORBIDDEN', 'not this stream');
          return {};
        },
      },
      sessions,
      registry,
    },
  );
  t.teardown(() => scoped.app.close());
  addStream({ mediaSessionId: 'm1', name: 'mine' });
  addStream({ mediaSessionId: 'm2', name: 'theirs' });
  publish('theirs');
  const call = (path: string, payload: object) =>
    scoped.http.inject({ method: 'POST', url: `/rest-api/${path}`, payload });
  t.strictSame(ids(await call('stream/find', {})), ['m1']);
  t.equal((await call('stream/find', { name: 'theirs' })).statusCode, 404);
  t.equal((await call('stream/terminate', { mediaSessionId: ['m1', 'm2'] })).statusCode, 403);
  t.equal((await call('stream/snapshot', { streamName: 'theirs' })).statusCode, 403);
  t.equal((await call('stream/event/send', { streamName: 'theirs', payload: 1 })).statusCode, 403);
  t.strictSame(terminated, []);
});
