import { EventEmitter, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { joinSockets } from '../../../src/api/manager/join-sockets.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { silentLogger, type Logger } from '../../../src/observe/logger.ts';
import { RtmpDoor } from '../../../src/rooms/doors/rtmp-door.ts';
import type { RoomEvent } from '../../../src/rooms/room-client.ts';
import { RtmpServerConnection } from '../../../src/rtmp/server-connection.ts';
import { backgroundFailures } from '../../../src/runtime/in-background.ts';
import { PageSockets } from '../../../src/signaling/page-sockets.ts';
import { wcsLimits } from '../../../src/signaling/wcs-limits.ts';
import { localRooms } from '../../helpers/local-rooms.ts';
import { waitFor } from '../../helpers/wait.ts';

/** An exception in the code of one client ends this client, and nothing else. */

const MISTAKE = new Error('a mistake in the code of one client');
const fail = (): never => {
  throw MISTAKE;
};

function collectFailures(t: Test): unknown[] {
  const failures: unknown[] = [];
  const collect = (error: unknown): void => void failures.push(error);
  backgroundFailures.on('failure', collect);
  t.teardown(() => backgroundFailures.off('failure', collect));
  return failures;
}

class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  terminated = 0;
  send: () => void = () => undefined;
  close = fail;

  terminate(): void {
    this.terminated++;
  }
}

for (const event of ['message', 'close'])
  t.test(`joined sockets: ${event}`, async (t) => {
    const failures = collectFailures(t);
    const [client, node] = [new FakeSocket(), new FakeSocket()];
    joinSockets(client as unknown as WebSocket, node as unknown as WebSocket, { maxQueuedBytes: 10, onSlow: fail });
    if (event === 'message') client.emit('message', Buffer.alloc(11), false);
    else client.emit('close', 1000, Buffer.from('bye'));
    t.strictSame(failures, [MISTAKE]);
    t.same([client.terminated, node.terminated], [1, 1]);
  });

t.test('pages: while a socket is checked, and while it is accepted', async (t) => {
  const failures = collectFailures(t);
  class Session extends EventEmitter<{ closed: [] }> {
    async close(): Promise<void> {
      this.emit('closed');
    }
  }
  const server = await PageSockets.listen(
    {
      host: '127.0.0.1',
      port: 0,
      setting: 'ws.port',
      limits: wcsLimits(SettingsSchema.parse({})),
      allowOrigin: (origin) => (origin === 'http://check' ? fail() : true),
      logger: silentLogger,
    },
    (_, { url }) => (url === '/accept' ? fail() : new Session()),
  );
  t.teardown(() => server.close());
  const open = (path: string, headers: Record<string, string> = {}): WebSocket => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, { headers });
    socket.on('error', () => undefined);
    t.teardown(() => socket.terminate());
    return socket;
  };
  const other = open('/');
  await once(other, 'open');
  const refused = [open('/accept'), open('/', { origin: 'http://check' })];
  await Promise.all(refused.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  t.strictSame(failures, [MISTAKE, MISTAKE]);
  t.equal(other.readyState, WebSocket.OPEN);
  await once(open('/'), 'open');
  await waitFor('the sessions', () => server.sessions === 2);
});

t.test('RTMP: while a connection is accepted', async (t) => {
  const failures = collectFailures(t);
  let accepted = 0;
  const child = (): Logger => (++accepted === 2 ? fail() : silentLogger);
  const door = await RtmpDoor.create({
    host: '127.0.0.1',
    port: 0,
    rooms: localRooms(),
    authorizer: { identify: fail, authorize: fail },
    rate: { perSecond: 1, burst: 1 },
    maxMessageBytes: 1000,
    maxQueuedBytes: 1000,
    logger: { ...silentLogger, child } as unknown as Logger,
  });
  t.teardown(() => door.close());
  const open = (): Socket => {
    const socket = connect(door.port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => socket.destroy());
    return socket;
  };
  const first = open();
  await waitFor('the first', () => accepted === 1);
  await once(open(), 'close');
  t.strictSame(failures, [MISTAKE]);
  open();
  await waitFor('the third', () => door.size === 2);
  t.notOk(first.destroyed);
});

t.test('RTMP: when a connection ends, however it ends', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const ends: Record<string, (client: Socket) => void> = {
    'the client closes it': (client) => client.end(),
    'the client resets it': (client) => void client.resetAndDestroy(),
    'the client sends nonsense': (client) => void client.write(Buffer.alloc(2000, 0xff)),
  };
  for (const [name, end] of Object.entries(ends)) {
    const failures = collectFailures(t);
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    const [socket] = (await once(server, 'connection')) as [Socket];
    new RtmpServerConnection(socket as Duplex, { maxMessageBytes: 1000, maxQueuedBytes: 1000 }).on('closed', fail);
    end(client);
    await waitFor(name, () => failures.length > 0 && socket.destroyed);
    t.strictSame(failures, [MISTAKE], name);
    client.destroy();
  }
});

t.test('rooms: a member whose code fails leaves, and the others hear everything', async (t) => {
  const failures = collectFailures(t);
  const rooms = localRooms();
  const join = (login: string, receive: (event: RoomEvent) => void) =>
    rooms.join({ scope: 'r', login, door: 'wcs', principal: { id: login, actions: new Set() }, receive });
  await join('bad', ({ type }) => type === 'text' && fail());
  const heard: string[] = [];
  const good = await join('good', (event) => heard.push(event.type === 'text' ? event.text : event.type));
  await good.sendText('one');
  await good.sendText('two');
  t.strictSame(failures, [MISTAKE]);
  t.same(
    heard.filter((what) => ['one', 'two', 'left'].includes(what)).toSorted(),
    ['left', 'one', 'two'],
    'and that it has left',
  );
});
