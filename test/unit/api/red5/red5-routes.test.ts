import type { InjectOptions } from 'fastify';
import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import type { StreamSession } from '../../../../src/sessions/client-sessions.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const KEY = 'k'.repeat(20);
const { app, http, registry, sessions } = await createHttpApp({ rest_api_key: KEY });
t.teardown(() => app.close());

const terminated: string[] = [];
const removals: (() => void)[] = [];
t.beforeEach(() => {
  terminated.length = 0;
  for (const remove of removals.splice(0)) remove();
  for (const stream of registry.list()) registry.end(stream, new GatewayError('STREAM_STOPPED', 'next test'));
});

const call = (path: string, method: 'GET' | 'POST' | 'DELETE' | 'HEAD' = 'GET', more: InjectOptions = {}) =>
  http.inject({ method, url: `/api/v1/${path}?accessToken=${KEY}`, ...more });
const data = async (path: string): Promise<unknown> => {
  const answer = await call(path);
  t.equal(answer.statusCode, 200, answer.body);
  t.match(answer.json(), { status: 'success', code: 200, timestamp: Number });
  return answer.json<{ data: unknown }>().data;
};

function addStream(more: Partial<StreamSession>): void {
  const session: StreamSession = {
    mediaSessionId: 'm',
    sessionId: 's',
    name: 'cam',
    published: true,
    mediaProvider: 'WebRTC',
    appKey: 'defaultApp',
    application: 'live',
    hasAudio: true,
    hasVideo: true,
    transport: 'UDP',
    offerSdp: '',
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 0,
    clientAddress: '192.0.2.1',
    createdAt: new Date(1000),
    active: true,
    terminate: (info) => void terminated.push(`${session.mediaSessionId}: ${info}`),
    ...more,
  };
  removals.push(sessions.addStream(session));
}

/** `cam` over the WebSocket in `live`, with a player; `show` over WHIP in `studio`. */
function populate(): void {
  removals.push(
    sessions.addConnection({
      sessionId: 's',
      appKey: 'defaultApp',
      clientVersion: '',
      clientOSVersion: '',
      clientBrowserVersion: '',
      mediaProviders: [],
      clientAddress: '192.0.2.1',
      createdAt: new Date(2000),
      sendData: () => undefined,
      terminate: (info) => void terminated.push(`s: ${info}`),
    }),
  );
  addStream({ mediaSessionId: 'pub' });
  addStream({ mediaSessionId: 'play', published: false });
  addStream({ mediaSessionId: 'w', sessionId: 'w', name: 'show', mediaProvider: 'WHIP', application: 'studio' });
  const track = { payloadType: 1, bitrate: 1, bytes: 500, packetsLost: 0, nackCount: 0, pliCount: 0 };
  registry.publish('cam', { id: 'cam', metrics: async () => ({ audio: track, video: track }), close: () => undefined });
  registry.publish('show', { id: 'show', close: () => undefined });
}

t.test('server', async (t) => {
  t.match(await data('server'), { red5_pro_version: /^WebRTC Transponder \d/, uptime: Number });
  t.type(await data('server/ping'), 'number');
  t.match(await data('server/statistics'), { os_name: String, processors: Number, num_apps: 1, active_connections: 0 });
});

t.test('applications, clients and streams', async (t) => {
  t.strictSame(await data('applications'), ['live']);
  t.strictSame(await data('applications/live/streams'), []);
  populate();
  t.strictSame(await data('applications'), ['live', 'studio']);
  t.match(await data('server/statistics'), { num_apps: 2, active_connections: 2 });
  t.strictSame(await data('applications/live/statistics'), {
    name: 'live',
    active_connections: 1,
    active_streams: 1,
    active_subscribers: 1,
  });
  t.strictSame(await data('applications/live/clients'), ['s']);
  t.strictSame(await data('applications/studio/clients'), ['w']);
  t.strictSame(await data('applications/live/clients/s'), {
    id: 's',
    creation_time: 2000,
    remote_address: '192.0.2.1',
    streams: ['cam'],
  });
  t.strictSame(await data('applications/live/streams'), ['cam']);
  t.strictSame(await data('applications/studio/streams'), ['show']);
  for (const path of ['applications/live/streams/cam', 'applications/live/streams/cam/statistics'])
    t.match(await data(path), { name: 'cam', state: 'PUBLISHING', active_subscribers: 1, bytes_received: 1000 });
  t.match(await data('applications/studio/streams/show'), { active_subscribers: 0, bytes_received: 0 });
});

t.test('DELETE disconnects a client, unpublish ends a stream', async (t) => {
  populate();
  const info = 'Stopped by rest /terminate';
  t.equal((await call('applications/live/clients/s', 'DELETE')).statusCode, 200);
  t.equal((await call('applications/studio/clients/w', 'DELETE')).statusCode, 200);
  t.strictSame(terminated.splice(0), [`s: ${info}`, `w: ${info}`]);
  const stream = registry.find('cam')!;
  const unpublish = 'applications/live/streams/cam/action/unpublish';
  t.not((await call(unpublish, 'HEAD')).statusCode, 200);
  for (const site of ['cross-site', 'same-site'])
    t.equal((await call(unpublish, 'GET', { headers: { 'sec-fetch-site': site } })).statusCode, 403, site);
  t.strictSame(terminated, []);
  t.match((await call(unpublish)).json(), { status: 'success', data: { name: 'cam' } });
  t.strictSame(terminated, [`pub: ${info}`]);
  t.match(stream.endedBy, { code: 'TERMINATED' });
  const held = registry.find('show')!;
  held.lose(60_000);
  t.match(await data('applications/studio/streams/show'), { state: 'HELD' });
  t.equal((await call('applications/studio/streams/show/action/unpublish', 'POST')).statusCode, 200);
  t.match(held.endedBy, { code: 'TERMINATED', message: info });
});

t.test('errors have the envelope of Red5', async (t) => {
  populate();
  const cases: ['GET' | 'POST' | 'DELETE', string, number][] = [
    ['GET', 'applications/none/streams', 404],
    ['GET', 'applications/none/statistics', 404],
    ['GET', 'applications/live/streams/show', 404],
    ['GET', 'applications/live/clients/w', 404],
    ['DELETE', 'applications/live/clients/none', 404],
    ['POST', 'applications/live/streams/none/action/unpublish', 404],
    ['GET', 'applications/live/streams/cam/action/startrecord', 403],
    ['POST', 'applications/live/streams/cam/action/stoprecord', 404],
    ['GET', 'applications/none/recordedfiles', 404],
  ];
  for (const [method, path, code] of cases) {
    const answer = await call(path, method);
    t.equal(answer.statusCode, code, path);
    t.match(answer.json(), { status: 'error', code, message: String, timestamp: Number });
    t.strictSame(Object.keys(answer.json()).sort(), ['code', 'message', 'status', 'timestamp']);
  }
  t.strictSame(terminated, []);
});

t.test('accessToken is a credential, like the headers', async (t) => {
  const wrong = await http.inject('/api/v1/server?accessToken=geheim');
  t.match(wrong.json(), { status: 'error', code: 401 });
  t.notMatch(wrong.body, /geheim/);
  t.equal(wrong.headers['www-authenticate'], 'Bearer');
  t.equal((await http.inject('/api/v1/applications')).statusCode, 401);
  const header = await http.inject({ url: '/api/v1/applications', headers: { authorization: `Bearer ${KEY}` } });
  t.equal(header.statusCode, 200);
  t.equal((await http.inject(`/api/v1/transponders?accessToken=${KEY}`)).statusCode, 200);
  t.equal((await http.inject(`/rest-api/push/find_all?accessToken=${KEY}`)).statusCode, 401, 'only below /api/v1');
});
