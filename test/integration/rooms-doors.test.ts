import { once } from 'node:events';
import t from 'tap';
import { WebSocket } from 'ws';
import { issueToken } from '../../src/access/issue-token.ts';
import { Secret } from '../../src/net/secret.ts';
import { startGateway } from '../helpers/gateway.ts';
import { RtmpRoomClient } from '../helpers/rtmp-room-client.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(120_000);

const rtmpPort = await freePort();
const gateway = await startGateway({ rooms: true, rooms_rtmp_port: rtmpPort });
t.teardown(() => gateway.stop());
const base = gateway.httpUrl.replace('http', 'ws');

/** A WebSocket client that is connected to the object `so`, with every value that it has seen. */
async function joinByWebSocket(path: string) {
  const socket = new WebSocket(base + path);
  const history: [key: string, value: unknown][] = [];
  let connected = false;
  socket.on('message', (data) => {
    const { data: content } = JSON.parse(String(data)) as { data: { type?: string; value?: object; status?: string } };
    if (content.status === 'SharedObject.Status.Connect') connected = true;
    if (content.type === 'sharedobject' && content.value) history.push(...Object.entries(content.value));
  });
  await once(socket, 'open');
  const send = (frame: object) => socket.send(JSON.stringify(frame));
  send({ sharedObjectConnect: { name: 'so' } });
  await waitFor('the connection to the object', () => connected, { every: 5 });
  return { socket, history, send };
}

async function joinByRtmp(app: string): Promise<RtmpRoomClient> {
  const client = await RtmpRoomClient.join(rtmpPort, app);
  client.object('so', { type: 'use' });
  await waitFor('the connection to the object', () => client.events.length >= 2, { every: 5 });
  return client;
}

/** The four combinations of URLs that Red5's articles describe. */
const OPTIONS = [
  ['live?scope=conference1', '/live?scope=conference1'],
  ['live/conference2', '/live/conference2'],
  ['live/conference3', '/live?scope=conference3'],
  ['live?scope=conference4', '/live/conference4'],
] as const;

for (const [app, path] of OPTIONS) {
  await t.test(`${app} by RTMP and ${path} by WebSocket: one object, one order`, async (t) => {
    const [rtmp, webSocket] = await Promise.all([joinByRtmp(app), joinByWebSocket(path)]);
    const COUNT = 100;
    const seen = (count: number): Promise<unknown> =>
      waitFor(`${count} changes`, () => rtmp.history.length === count && webSocket.history.length === count);
    for (let index = 0; index < COUNT; index++) {
      rtmp.object('so', { type: 'requestChange', key: 'k', value: `rtmp ${index}` });
      webSocket.send({ sharedObjectSetProperty: { name: 'so', key: 'k', value: `ws ${index}` } });
      // Each waits for the other's now and then, so that none has sent everything before the other begins.
      if (index % 10 === 9) await seen(2 * (index + 1));
    }
    t.same(
      rtmp.history.map(([, value]) => value),
      webSocket.history.map(([, value]) => value),
      'both see the same values in the same order',
    );
    const changes = webSocket.history.map(([, value]) => String(value).split(' ')[0]);
    t.ok(
      changes.slice(1).filter((from, index) => from !== changes[index]).length > 2,
      'the changes of both were made at the same time',
    );
    rtmp.close();
    webSocket.socket.close();
  });
}

await t.test('the metrics count the connections', async (t) => {
  const client = await RtmpRoomClient.join(rtmpPort, 'live');
  const { text } = await gateway.http('/metrics');
  t.match(text, /^gateway_rooms_connections\{protocol="rtmp"\} 1$/m);
  client.close();
});

await t.test('a token gives rights in rooms, at each door, until it expires', async (t) => {
  const secret = 'a-secret-of-at-least-32-bytes-for-tests';
  const port = await freePort();
  const guarded = await startGateway({ rooms: true, rooms_rtmp_port: port, jwt_secret: secret });
  t.teardown(() => guarded.stop());
  const sign = (seconds: number, rooms: Record<string, ('read' | 'write' | 'send')[]>) =>
    issueToken(
      { sub: 'x', exp: Math.floor(Date.now() / 1000) + seconds, act: ['join'], streams: [], rooms },
      new Secret(secret),
    );
  const [reader, writer] = await Promise.all([
    sign(600, { 'live/*': ['read'] }),
    sign(3, { 'live/lobby': ['read', 'write', 'send'] }),
  ]);
  const frames: { data: { type?: string; code?: string; value?: object } }[] = [];
  const socket = new WebSocket(`${guarded.httpUrl.replace('http', 'ws')}/live/lobby?token=${writer}`);
  socket.on('message', (data) => frames.push(JSON.parse(String(data)) as (typeof frames)[0]));
  let closed = '';
  socket.on('close', (code, reason) => (closed = `${code} ${String(reason)}`));
  await once(socket, 'open');
  const rtmp = await RtmpRoomClient.join(port, `live/lobby?token=${reader}`);
  rtmp.object('so', { type: 'use' });
  await waitFor('the state', () => rtmp.events.length >= 2);
  rtmp.object('so', { type: 'requestChange', key: 'k', value: 'of a reader' });
  await waitFor('the refusal', () => rtmp.commands.some((command) => JSON.stringify(command).includes('right')));
  socket.send('{"sharedObjectConnect": {"name": "so"}}');
  socket.send('{"sharedObjectSetProperty": {"name": "so", "key": "k", "value": "of a writer"}}');
  await waitFor('the change', () => rtmp.properties.get('so k') === 'of a writer');
  await t.rejects(RtmpRoomClient.join(port, `other?token=${reader}`), /the room .*other/);
  await waitFor('the end of the token', () => closed !== '');
  t.equal(closed, '1008 TOKEN_EXPIRED');
  t.match(frames.at(-1), { data: { type: 'error', code: 'TOKEN_EXPIRED' } });
  t.notOk(rtmp.closed, 'the other token is valid');
  rtmp.close();
});

await t.test('without rooms there are no doors', async (t) => {
  const other = await startGateway({});
  t.teardown(() => other.stop());
  const socket = new WebSocket(`${other.httpUrl.replace('http', 'ws')}/live/room1`);
  const [error] = (await once(socket, 'error')) as [Error];
  t.match(error.message, /404|socket hang up/);
});
