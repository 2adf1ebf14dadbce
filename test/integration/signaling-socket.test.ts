import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { WebSocket } from 'ws';
import type { Authorizer } from '../../src/access/authorizer.ts';
import { Certificate } from '../../src/net/certificate.ts';
import { GatewayError } from '../../src/errors.ts';
import { ClientSessions } from '../../src/sessions/client-sessions.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { ownerOf } from '../../src/signaling/auth-token.ts';
import type { LiveStream } from '../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import type { PushControl } from '../../src/sessions/push-control.ts';
import { makeCertificate } from '../helpers/certificate.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { waitFor } from '../helpers/wait.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { openWcsServer } = await import('../../src/signaling/wcs-server.ts');
const { createPublishing, openAuthorizer } = await import('../helpers/publishing.ts');

const OFFER = readFileSync(new URL('../unit/webrtc/fixtures/chromium-publish.sdp', import.meta.url), 'utf8');

interface Message {
  readonly message: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the server sent
  readonly data: any[];
}

/** A client that sends arbitrary messages. */
class RawClient {
  readonly socket: WebSocket;
  readonly received: Message[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (text) => this.received.push(JSON.parse(String(text)) as Message));
  }

  static async open(
    connected = true,
    more: Record<string, unknown> = {},
    port: number = server.port,
  ): Promise<RawClient> {
    const client = new RawClient(new WebSocket(`ws://127.0.0.1:${port}/any/path`));
    await once(client.socket, 'open');
    if (connected) {
      client.send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: '2.0', ...more });
      await client.heard('getUserData');
    }
    return client;
  }

  send(message: string, ...data: unknown[]): void {
    this.socket.send(JSON.stringify({ message, data }));
  }

  heard(message: string, matches: (data: Message['data']) => boolean = () => true): Promise<Message> {
    return waitFor(message, () => this.received.find((one) => one.message === message && matches(one.data)), {
      every: 5,
    });
  }

  status(mediaSessionId: string, status: string): Promise<Message> {
    return this.heard(
      'notifyStreamStatusEvent',
      ([event]) => event.mediaSessionId === mediaSessionId && event.status === status,
    );
  }
}

const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 10 });
const pool = await WorkerPool.create({
  workers: 1,
  rtcPort: 0,
  addresses: () => [{ ip: '127.0.0.1' }],
  logger: silentLogger,
});
const pushes = { onChange: () => () => undefined } as unknown as PushControl;
const { publications, players } = createPublishing({ pool, registry, pushes });
/** Exceeds the socket buffers of a connection. */
const SNAPSHOT = Buffer.alloc(12_000_000, 'x');
const snapshots: string[] = [];
const sessions = new ClientSessions();
const context = {
  sessions,
  publications,
  players,
  registry,
  authorizer: openAuthorizer,
  logger: silentLogger,
  version: '1.2.3',
  takeSnapshot: async (stream: LiveStream) => (snapshots.push(stream.name), SNAPSHOT),
};
const server = await openWcsServer({ ...context, host: '127.0.0.1', port: 0 });
t.teardown(async () => {
  registry.close(new GatewayError('SHUTTING_DOWN', 'test over'));
  await server.close();
  await pool.close();
});

t.test('the session: version, user data, ping and pong', async (t) => {
  const client = await RawClient.open();
  t.same(client.received[0], { message: 'getVersion', data: ['1.2.3'] });
  t.match(client.received[1], {
    message: 'getUserData',
    data: [{ appKey: 'defaultApp', status: 'ESTABLISHED', clientVersion: '2.0', authToken: String }],
  });
  client.send('ping', null);
  t.same(await client.heard('pong'), { message: 'pong', data: [] });
  client.socket.terminate();
});

t.test('"connection" is accepted once, and an oversized one is refused', async (t) => {
  const client = await RawClient.open();
  client.send('connection', { appKey: 'another' });
  client.send('ping');
  await client.heard('pong');
  t.equal(client.received.filter(({ message }) => message === 'getUserData').length, 1);
  client.socket.terminate();
  const large = await RawClient.open(false);
  large.send('connection', { custom: 'x'.repeat(70_000) });
  t.equal((await once(large.socket, 'close'))[0], 1009);
});

t.test('a client that does not read gets one snapshot at a time, and few requests wait', async (t) => {
  const publisher = Object.assign(new EventEmitter(), { id: 'shown', close: () => undefined });
  const stream = registry.publish('shown', publisher);
  snapshots.length = 0;
  const client = await RawClient.open();
  const deaf = await RawClient.open();
  deaf.socket.pause();
  for (let index = 0; index < 50; index++) deaf.send('snapshot', { mediaSessionId: `s${index}`, name: 'shown' });
  await waitFor('the first snapshot', () => snapshots.length > 0);
  client.send('snapshot', { mediaSessionId: 'mine', name: 'shown' });
  const completed = await client.heard('notifyStreamEvent', ([event]) => event.type === 'snapshotCompleted');
  t.equal(completed.data[0].mediaSessionId, 'mine');
  t.equal(completed.data[0].payload.snapshot, SNAPSHOT.toString('base64'));
  t.equal((await client.status('mine', 'SNAPSHOT_COMPLETE')).data[0].info, SNAPSHOT.toString('base64'), 'older pages');
  t.equal(snapshots.length, 2, 'one for each client');

  registry.end(stream, new GatewayError('STREAM_STOPPED', ''));
  deaf.socket.resume();
  const failures = await waitFor('the answers to the others', () => {
    const failed = deaf.received.filter(({ data: [event] }) => event?.type === 'snapshotFailed');
    return failed.length === 49 ? failed : undefined;
  });
  t.match(failures[0]!.data, [{ mediaSessionId: 's4', payload: { info: 'Too many snapshots at once' } }]);
  t.match((await deaf.status('s4', 'FAILED')).data[0].info, 'Too many snapshots at once', 'older pages');
  deaf.socket.terminate();
  client.socket.terminate();
});

t.test('features that do not exist are refused with a reason', async (t) => {
  const client = await RawClient.open(true, { appKey: 'roomApp' });
  client.send('sendData', { operationId: 1, payload: { command: 'join' } });
  t.match((await client.heard('DataStatusEvent')).data, [
    { operationId: 1, status: 'FAILED', info: 'Rooms are off: the gateway has the setting rooms=false.' },
  ]);
  client.send('call', { callId: 'c', callee: '1000' });
  t.match((await client.heard('finish')).data, [{ callId: 'c', status: 'FAILED', info: /Calls are not available/ }]);
  for (const record of [true, 'true']) {
    client.send('publishStream', { mediaSessionId: `r-${record}`, name: 'recorded', sdp: OFFER, record });
    t.match((await client.status(`r-${record}`, 'FAILED')).data[0].info, /^Streams of this kind cannot be recorded/);
  }
  client.socket.terminate();
});

t.test('access: a refused connection, publication and playback give the reason', async (t) => {
  const seen: unknown[] = [];
  const authorizer: Authorizer = {
    async identify({ door, token }) {
      seen.push([door, token?.reveal()]);
      // The client's messages wait meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (token?.reveal() !== 'good') throw new GatewayError('UNAUTHORIZED', 'The token is wrong.');
      return { id: 'alice', actions: new Set(['publish', 'play'] as const) };
    },
    async authorize(principal, action, resource) {
      seen.push([principal.id, action, resource?.stream]);
      throw new GatewayError('FORBIDDEN', `${action} is not allowed.`);
    },
  };
  const guarded = await openWcsServer({ ...context, authorizer, host: '127.0.0.1', port: 0 });
  t.teardown(() => guarded.close());
  const stranger = await RawClient.open(false, {}, guarded.port);
  const closed = once(stranger.socket, 'close');
  stranger.send('connection', { authToken: 'bad' });
  t.match((await stranger.heard('fail')).data, [{ status: 'FAILED', info: 'The token is wrong.' }]);
  t.equal((await closed)[0], 1008);

  const alice = await RawClient.open(false, {}, guarded.port);
  alice.send('connection', { custom: { token: 'good' } });
  alice.send('publishStream', { mediaSessionId: 'p', name: 'x', sdp: OFFER });
  alice.send('playStream', { mediaSessionId: 'v', name: 'y', sdp: OFFER });
  t.equal((await alice.status('p', 'FAILED')).data[0].info, 'publish is not allowed.');
  t.equal((await alice.status('v', 'FAILED')).data[0].info, 'play is not allowed.');
  t.strictSame(seen, [
    ['wcs', 'bad'],
    ['wcs', 'good'],
    ['alice', 'publish', 'x'],
    ['alice', 'play', 'y'],
  ]);
  alice.socket.terminate();
});

t.test('malformed messages are ignored and the session continues', async (t) => {
  const client = await RawClient.open(false);
  client.send('publishStream', { mediaSessionId: 'early', name: 'x', sdp: OFFER });
  for (const text of [
    '',
    'null',
    '7',
    '[]',
    '{',
    '{"message":7}',
    '{"message":"connection","data":7}',
    '{"message":"__proto__","data":[]}',
  ])
    client.socket.send(text);
  client.socket.send(Buffer.from([1, 2, 3]));
  client.send('connection', null);
  await client.heard('getUserData');
  for (const message of [
    'pushLogs',
    'sessionDebug',
    'webRTCMetricsBatch',
    'unheardOf',
    'snapshot',
    'sendData',
    'sendStreamEvent',
    'unPublishStream',
    'availableStream',
  ])
    client.send(message, null);
  client.send('sendData');
  client.send('ping');
  await client.heard('pong');
  t.notOk(
    client.received.some((one) => one.data[0]?.mediaSessionId === 'early'),
    'nothing before "connection"',
  );
  t.equal(client.socket.readyState, WebSocket.OPEN);
  client.socket.terminate();
});

t.test('refusals give a reason, and the session continues', async (t) => {
  const client = await RawClient.open();
  client.send('publishStream', { mediaSessionId: 'bad-sdp', name: 'x', sdp: 'v=0' });
  t.match((await client.status('bad-sdp', 'FAILED')).data[0], { name: 'x', published: true, info: /SDP offer/ });
  client.send('publishStream', {
    mediaSessionId: 'codecs',
    name: 'x',
    sdp: OFFER.replaceAll(/H264|VP8|VP9|AV1|opus|PCMU|PCMA/g, 'other'),
  });
  t.equal((await client.status('codecs', 'FAILED')).data[0].info, 'No common codecs');
  client.send('publishStream', { mediaSessionId: 'name', name: 'a\nb', sdp: OFFER });
  t.match(
    (await client.status('name', 'FAILED')).data[0].info,
    /name must have 1 to 256 characters and no control characters/,
  );
  client.send('publishStream', { name: 'x', sdp: OFFER });
  t.match((await client.status('', 'FAILED')).data[0].info, 'MediaSessionId is null');
  client.send('playStream', { mediaSessionId: 'play', name: 'nowhere', sdp: OFFER });
  t.match((await client.status('play', 'FAILED')).data[0], { published: false, info: 'Stream not found' });
  client.send('snapshot', { mediaSessionId: 'frame', name: 'nowhere' });
  t.match((await client.status('frame', 'FAILED')).data[0].info, 'Stream not found');
  client.send('availableStream', { mediaSessionId: 'there', name: 'nowhere' });
  t.same((await client.heard('availableStream')).data, [{ id: 'there', status: 'false', info: 'Stream not found' }]);
  client.send('sendData', { operationId: 'op', payload: { x: 1 } });
  t.match((await client.heard('DataStatusEvent')).data, [
    { operationId: 'op', status: 'FAILED', info: /sendData is not available/ },
  ]);
  client.socket.terminate();
});

t.test('stops of unknown streams are answered', async (t) => {
  const client = await RawClient.open();
  client.send('unPublishStream', { mediaSessionId: 'p', name: 'x' });
  client.send('stopStream', { mediaSessionId: 's', name: 'x' });
  t.match((await client.status('p', 'UNPUBLISHED')).data[0], { published: true, info: 'Stopped by user' });
  t.match((await client.status('s', 'STOPPED')).data[0], { published: false, info: 'Stopped by user' });
  client.socket.terminate();
});

t.test('a name is taken from publishStream on, and free again after a stop or a lost socket', async (t) => {
  const [one, two] = await Promise.all([RawClient.open(), RawClient.open()]);
  one.send('publishStream', { mediaSessionId: 'one', name: 'taken', sdp: OFFER });
  t.match((await one.heard('setRemoteSDP')).data, ['one', /a=recvonly/, true]);
  two.send('publishStream', { mediaSessionId: 'two', name: 'taken', sdp: OFFER });
  t.equal((await two.status('two', 'FAILED')).data[0].info, 'Stream name is already in use');
  one.send('publishStream', { mediaSessionId: 'one', name: 'another', sdp: OFFER });
  t.equal((await one.status('one', 'FAILED')).data[0].info, 'MediaSessionId is already in use');
  one.send('unPublishStream', { mediaSessionId: 'one', name: 'taken' });
  await one.status('one', 'UNPUBLISHED');
  two.send('publishStream', { mediaSessionId: 'again', name: 'taken', sdp: OFFER });
  await two.heard('setRemoteSDP');
  two.socket.terminate();
  await waitFor('the name', () => {
    registry.check('taken');
    return true;
  });
  t.equal(registry.size, 0, 'nothing was published without media');
  one.socket.terminate();
});

t.test('streams and connections are listed, and ended with the given reason', async (t) => {
  const [page, other] = await Promise.all([
    RawClient.open(true, { appKey: 'listed', authToken: 'geheim', custom: { token: 'geheim' } }),
    RawClient.open(true, { appKey: 'ignored', clientVersion: 5 }),
  ]);
  const connection = sessions.connections.find(({ appKey }) => appKey === 'listed')!;
  t.match(connection, { clientVersion: '2.0', mediaProviders: ['WebRTC'], clientAddress: '127.0.0.1' });
  t.notMatch(JSON.stringify(connection), /geheim/);
  t.equal(sessions.connections.find(({ appKey }) => appKey === 'ignored')!.clientVersion, '', 'not a text');
  page.send('publishStream', { mediaSessionId: 'one', name: 'listed', sdp: OFFER, maxBitrate: 900 });
  page.send('publishStream', { mediaSessionId: 'two', name: 'listed 2', sdp: OFFER });
  await page.heard('setRemoteSDP', ([id]) => id === 'one');
  await page.heard('setRemoteSDP', ([id]) => id === 'two');
  const own = () => sessions.streams.filter(({ sessionId }) => sessionId === connection.sessionId);
  t.match(own(), [
    { mediaSessionId: 'one', name: 'listed', published: true, active: false, maxBitrate: 900, appKey: 'listed' },
    { mediaSessionId: 'two', name: 'listed 2' },
  ]);

  own()[0]!.terminate('by the operator');
  t.equal((await page.status('one', 'UNPUBLISHED')).data[0].info, 'by the operator');
  t.equal(own().length, 1);
  connection.sendData({ operationId: 'op', payload: { a: null } });
  t.strictSame((await page.heard('OnDataEvent')).data, [{ operationId: 'op', payload: { a: null } }]);
  const closed = once(page.socket, 'close');
  connection.terminate('by the operator');
  connection.terminate('once more');
  t.notOk(sessions.connections.includes(connection), 'at once');
  t.equal((await closed)[0], 1000);
  t.equal((await page.status('two', 'UNPUBLISHED')).data[0].info, 'by the operator');
  t.strictSame(own(), []);
  registry.check('listed 2');
  other.socket.terminate();
  await waitFor('the list', () => !sessions.connections.some(({ appKey }) => appKey === 'ignored'));
});

/** A stream that is held for a publisher whose session brought this token. */
function hold(name: string, authToken?: string): LiveStream {
  const publisher = Object.assign(new EventEmitter(), { id: name, close: () => undefined });
  const stream = registry.publish(name, publisher, ownerOf('anonymous', authToken, undefined));
  registry.lose(stream, publisher);
  return stream;
}

t.test('a held stream is continued only by its owner', async (t) => {
  hold('owned', 'TOKEN');
  hold('free');
  const attempt = async (name: string, more: Record<string, unknown>): Promise<boolean> => {
    const client = await RawClient.open(true, more);
    client.send('publishStream', { mediaSessionId: 'x', name, sdp: OFFER });
    const isAnswer = ({ message, data: [event] }: Message): boolean =>
      message === 'setRemoteSDP' || (message === 'notifyStreamStatusEvent' && event?.status === 'FAILED');
    const heard = await waitFor('the answer', () => client.received.find(isAnswer), { every: 5 });
    if (heard.message !== 'setRemoteSDP') t.equal(heard.data[0].info, 'Stream name is already in use');
    client.send('unPublishStream', { mediaSessionId: 'x', name: '' });
    await waitFor(
      'its end',
      () => client.received.some(({ data: [event] }) => event?.status === 'UNPUBLISHED' || event?.status === 'FAILED'),
      { every: 5 },
    );
    client.socket.terminate();
    return heard.message === 'setRemoteSDP';
  };
  const guest = await RawClient.open();
  const given = { authToken: guest.received[1]!.data[0].authToken as string };
  guest.socket.terminate();
  for (const more of [
    {},
    { authToken: '' },
    { authToken: 'OTHER' },
    { authToken: 7 },
    { authToken: ownerOf('anonymous', 'TOKEN', undefined) },
    given,
  ])
    t.notOk(await attempt('owned', more), JSON.stringify(Object.keys(more)));
  t.ok(await attempt('owned', { authToken: 'TOKEN' }));
  t.ok(await attempt('free', {}), 'a reloaded page of the Web SDK');
  t.ok(await attempt('free', given), 'a page that reconnects');
  t.notOk(await attempt('free', { authToken: 'TOKEN' }));
});

t.test('a held stream is ended only by its owner', async (t) => {
  const [owned, free] = [hold('owned-2', 'TOKEN'), hold('free-2')];
  const publisher = Object.assign(new EventEmitter(), { id: 'live', close: () => undefined });
  const live = registry.publish('live', publisher, ownerOf('anonymous', 'TOKEN', undefined));
  const [owner, stranger, nameless] = await Promise.all([
    RawClient.open(true, { authToken: 'TOKEN' }),
    RawClient.open(true, { authToken: 'OTHER' }),
    RawClient.open(),
  ]);
  for (const client of [stranger, nameless, owner]) {
    for (const { name } of [owned, free, live]) client.send('unPublishStream', { mediaSessionId: name, name });
    await client.status('live', 'UNPUBLISHED');
    if (client !== owner) t.notOk(owned.endedBy);
  }
  t.match(owned.endedBy, { code: 'STREAM_STOPPED' });
  t.notOk(free.endedBy, 'its owner is unknown');
  t.notOk(live.endedBy, 'it has a publisher');
  registry.end(live, new GatewayError('STREAM_STOPPED', ''));
  for (const client of [owner, stranger, nameless]) client.socket.terminate();
});

t.test('floods and oversized messages close only their own socket', async (t) => {
  const [flood, giant, bystander] = await Promise.all([RawClient.open(), RawClient.open(), RawClient.open()]);
  for (let index = 0; index < 1000; index++) flood.send('pong', null);
  const [code] = await once(flood.socket, 'close');
  t.equal(code, 1008);
  giant.socket.on('error', () => undefined);
  giant.send('pushLogs', 'x'.repeat(600_000));
  t.equal((await once(giant.socket, 'close'))[0], 1009);
  bystander.send('ping');
  await bystander.heard('pong');
  bystander.socket.terminate();
  await waitFor('the sessions to end', () => server.sessions === 0);
});

t.test('a port in use is reported with its setting', async (t) => {
  const again = { ...context, host: '127.0.0.1', port: server.port };
  await t.rejects(openWcsServer(again), { code: 'SETTINGS_INVALID', message: /ws\.port \d+ is in use/ });
});

t.test('an HTTP request gets an explanation of the port', async (t) => {
  const response = await fetch(`http://127.0.0.1:${server.port}/`);
  t.equal(response.status, 426);
  await response.text();
});

t.test('the same over TLS', async (t) => {
  const { certificateFile: certFile, keyFile, remove } = await makeCertificate();
  const certificate = new Certificate({ certFile, keyFile, logger: silentLogger });
  t.teardown(() => (certificate.close(), remove()));
  const secure = await openWcsServer({ ...context, host: '127.0.0.1', port: 0, certificate });
  const socket = new WebSocket(`wss://127.0.0.1:${secure.port}/`, { rejectUnauthorized: false });
  await once(socket, 'open');
  socket.send('{"message":"connection","data":[{}]}');
  const [text] = await once(socket, 'message');
  t.equal(String(text), '{"message":"getVersion","data":["1.2.3"]}');
  const closed = once(socket, 'close');
  await secure.close();
  await secure.close();
  t.equal((await closed)[0], 1001, 'going away');
});
