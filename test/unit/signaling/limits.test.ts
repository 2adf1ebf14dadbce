import { once } from 'node:events';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { ALL_ACTIONS, type Authorizer, type Grant } from '../../../src/access/authorizer.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { limitHits } from '../../../src/observe/limits.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { ClientSessions } from '../../../src/sessions/client-sessions.ts';
import { wcsLimits } from '../../../src/signaling/wcs-limits.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import { mediaWorkerEnv } from '../../helpers/media-worker.ts';
import { waitFor } from '../../helpers/wait.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { openWcsServer } = await import('../../../src/signaling/wcs-server.ts');
const { createPublishing } = await import('../../helpers/publishing.ts');

const hits = (limit: Parameters<typeof limitHits.count>[0]): number => limitHits.counts.get(limit) ?? 0;

async function listen(t: Test, given: Record<string, string>, authorizer?: Authorizer) {
  const settings = SettingsSchema.parse(given);
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const limits = wcsLimits(settings);
  const server = await openWcsServer({
    ...createPublishing({ pool: {} as never, registry, pushes: {} as never }),
    sessions: new ClientSessions(),
    registry,
    authorizer: authorizer ?? createAuthorizer(settings, silentLogger),
    limits,
    host: '127.0.0.1',
    port: 0,
    logger: silentLogger,
    version: 'test',
  });
  t.teardown(() => server.close());
  /** Resolves with the status of the answer, 101 for a WebSocket, or 0 if there was none. */
  const open = (localAddress: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; socket: WebSocket }>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}`, { localAddress, headers });
      socket.once('open', () => resolve({ status: 101, socket }));
      socket.once('unexpected-response', (_, { statusCode }) => resolve({ status: statusCode!, socket }));
      socket.on('error', () => resolve({ status: 0, socket }));
    });
  return { open, slots: limits.connections.slots };
}

t.test('connections of one address and of all, each given back when it is closed', async (t) => {
  const { open, slots } = await listen(t, { max_ws_connections_per_ip: '2', max_ws_connections: '3' });
  const [perIp, total] = [hits('max_ws_connections_per_ip'), hits('max_ws_connections')];
  const first = await open('127.0.0.1');
  t.equal((await open('127.0.0.1')).status, 101);
  t.equal((await open('127.0.0.1')).status, 0);
  t.equal((await open('127.0.0.2')).status, 101);
  t.equal((await open('127.0.0.3')).status, 0);
  t.equal(hits('max_ws_connections_per_ip') - perIp, 1);
  t.equal(hits('max_ws_connections') - total, 1);
  first.socket.terminate();
  await waitFor('the slot', () => slots.size === 2);
  t.equal((await open('127.0.0.1')).status, 101);
  t.equal(
    (await open('127.0.0.1', { 'x-forwarded-for': '192.0.2.1' })).status,
    0,
    'the header of a client does not count',
  );
});

t.test('behind a trusted proxy, the addresses of its clients count', async (t) => {
  const { open } = await listen(t, { max_ws_connections_per_ip: '1', trust_proxy: '127.0.0.1' });
  const from = (client: string) => open('127.0.0.1', { 'x-forwarded-for': client });
  const first = await from('192.0.2.1');
  t.equal(first.status, 101);
  t.equal((await from('192.0.2.1')).status, 503);
  t.equal((await from('198.51.100.1, 192.0.2.1')).status, 503);
  t.equal((await from('192.0.2.2')).status, 101);
  first.socket.terminate();
  await waitFor('the slot', async () => (await from('192.0.2.1')).status === 101);
});

t.test('messages: a client that sends too many is cut off, although it goes on sending', async (t) => {
  const { open } = await listen(t, { max_ws_messages_per_second: '1', max_ws_message_burst: '10' });
  const before = hits('max_ws_messages_per_second');
  const { socket } = await open('127.0.0.1');
  let pongs = 0;
  socket.on('message', () => pongs++);
  const closed = once(socket, 'close');
  for (let sent = 0; sent < 10; sent++) socket.send('{"message":"ping","data":[]}');
  await waitFor('the answers', () => pongs === 10);
  for (let sent = 0; sent < 1000; sent++) socket.send('{"message":"ping","data":[]}', () => undefined);
  await closed;
  t.equal(pongs, 10);
  t.equal(hits('max_ws_messages_per_second') - before, 1, 'counted once');
});

t.test('streams of one WebSocket', async (t) => {
  const { promise: never } = Promise.withResolvers<Grant>();
  const undecided = { identify: async () => ({ id: 'x', actions: ALL_ACTIONS }), authorize: () => never };
  const { open } = await listen(t, { max_ws_streams: '1' }, undecided);
  const before = hits('max_ws_streams');
  const { socket } = await open('127.0.0.1');
  const infos: string[] = [];
  socket.on('message', (text) => {
    const { message, data } = JSON.parse(String(text));
    if (message === 'notifyStreamStatusEvent') infos.push(data[0].info);
  });
  socket.send('{"message":"connection","data":[{}]}');
  for (const mediaSessionId of ['a', 'b'])
    socket.send(JSON.stringify({ message: 'playStream', data: [{ mediaSessionId, name: 'none', sdp: 'v=0' }] }));
  await waitFor('the refusal', () => infos.length > 0);
  t.match(infos, [/max_ws_streams/]);
  t.equal(hits('max_ws_streams') - before, 1);
});
