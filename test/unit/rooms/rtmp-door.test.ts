import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { OpenProvider } from '../../../src/access/open-access.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { GatewayError } from '../../../src/errors.ts';
import { encodeAmf0 } from '../../../src/media/amf0.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { RtmpDoor, type RtmpDoorOptions } from '../../../src/rooms/doors/rtmp-door.ts';
import { ChunkWriter } from '../../../src/rtmp/chunk-writer.ts';
import { MESSAGE, uint32 } from '../../../src/rtmp/message.ts';
import { encodeSharedObject, type SharedObjectEvent } from '../../../src/rtmp/shared-object-message.ts';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';
import { FakeRooms } from '../../helpers/fake-rooms.ts';
import { RtmpRoomClient } from '../../helpers/rtmp-room-client.ts';
import { waitFor } from '../../helpers/wait.ts';

const FAST = { pingMs: 20, silenceMs: 2000, connectMs: 1500 };

async function openDoor(t: Test, options: Partial<RtmpDoorOptions> = {}) {
  const rooms = new FakeRooms();
  const door = await RtmpDoor.create({
    rooms,
    authorizer: new ProviderChain([new OpenProvider()]),
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 64 * 1024,
    maxQueuedBytes: 256 * 1024,
    rate: { perSecond: 1000, burst: 5000 },
    logger: silentLogger,
    ...options,
  });
  t.teardown(() => door.close());
  return { rooms, door };
}

const until = (what: string, condition: () => unknown) => waitFor(what, condition, { every: 5 });

void t.test('two clients share an object', async (t) => {
  const { door, rooms } = await openDoor(t);
  const ann = await RtmpRoomClient.join(door.port, 'live/room1');
  const bob = await RtmpRoomClient.join(door.port, 'live?scope=room1&token=x');
  t.same(
    rooms.joined.map(({ scope, door: from }) => [scope, from]),
    [
      ['live/room1', 'rtmp'],
      ['live/room1', 'rtmp'],
    ],
  );
  ann.object('so', { type: 'use' }, { type: 'requestChange', key: 'a', value: { list: [1, null], at: new Date(0) } });
  await until('the confirmation', () => ann.events.length === 3);
  t.same(
    ann.events.map(({ event }) => event),
    [{ type: 'initialData' }, { type: 'clear' }, { type: 'success', key: 'a' }],
  );
  bob.object('so', { type: 'use' });
  await until('the state', () => bob.properties.size === 1);
  t.same(bob.properties.get('so a'), { list: [1, null], at: '1970-01-01T00:00:00.000Z' });
  bob.object('so', { type: 'sendMessage', method: 'say', args: ['hi', 2] }, { type: 'requestRemove', key: 'a' });
  await until('the removal', () => ann.properties.size === 0 && bob.properties.size === 0);
  t.same(ann.events.slice(3), bob.events.slice(3), 'both see the same');
  t.same(
    ann.events.slice(3).map(({ event }) => event),
    [
      { type: 'sendMessage', method: 'say', args: ['hi', 2] },
      { type: 'remove', key: 'a' },
    ],
  );
  bob.object('so', { type: 'release' });
  bob.object('so', { type: 'requestChange', key: 'b', value: 1 });
  bob.object('no-entry', { type: 'use' });
  await until('two refusals', () => bob.events.filter(({ event }) => event.type === 'status').length === 2);
  t.same(bob.events.slice(-2), [
    { object: 'so', event: { type: 'status', code: 'SharedObject.NoWriteAccess', level: 'error' } },
    { object: 'no-entry', event: { type: 'status', code: 'SharedObject.NoReadAccess', level: 'error' } },
  ]);
  t.same(await ann.call('text', null, 'hello'), ['_result', 2, null, null]);
  await until('the text', () => bob.commands.some(([name]) => name === 'onText'));
  t.same(
    bob.commands.find(([name]) => name === 'onText'),
    ['onText', 0, null, 'hello'],
  );
  t.match(await ann.call('anything', null, 1), ['_error', 3, null, { description: /rpc_url/ }]);
  t.match(await ann.call('text', null, 1), ['_error', 4, null, { description: /string/ }]);
  ann.close();
  await until('it has left', () => rooms.members.size === 1);
});

void t.test('clients that use an object before the answer to connect', async (t) => {
  const { door } = await openDoor(t);
  const client = await RtmpRoomClient.open(door.port);
  client.send(MESSAGE.command, encodeAmf0('connect', 1, { app: 'live' }));
  client.object('so', { type: 'use' });
  await until('the state', () => client.events.length === 2);
  t.equal(client.commands[0]?.[0], '_result');
});

void t.test('media is refused in words', async (t) => {
  const { door } = await openDoor(t);
  const cases: [code: string, ask: (client: RtmpRoomClient) => void][] = [
    ['NetStream.Publish.Denied', (c) => c.send(MESSAGE.command, encodeAmf0('publish', 3, null, 'key', 'live'), 1)],
    ['NetStream.Play.Failed', (c) => c.send(MESSAGE.command, encodeAmf0('play', 3, null, 'key'), 1)],
    ['NetStream.Publish.Denied', (c) => c.send(MESSAGE.video, Buffer.alloc(10), 1)],
  ];
  for (const [code, ask] of cases) {
    const client = await RtmpRoomClient.join(door.port, 'live');
    t.same(await client.call('createStream', null), ['_result', 2, null, 1]);
    ask(client);
    await until('the end', () => client.closed || client.socket.readableEnded);
    t.match(client.commands.at(-1), ['onStatus', 0, null, { level: 'error', code, description: /takes no media/ }]);
  }
  await until('all gone', () => door.size === 0);
});

void t.test('a refused client is told why', async (t) => {
  const { door, rooms } = await openDoor(t);
  for (const [app, description] of [
    ['no-scope', 'Not in this scope.'],
    ['', /app/],
    ['/', /must name a scope/],
    ['a/b/c/d/e/f/g/h/i', /8 segments/],
    ['x'.repeat(3000), /2048/],
  ] as const) {
    const client = await RtmpRoomClient.open(door.port);
    t.match(await client.call('connect', { app }), [
      '_error',
      1,
      null,
      { code: 'NetConnection.Connect.Rejected', description },
    ]);
    await until('the end', () => client.closed || client.socket.readableEnded);
  }
  t.equal(rooms.members.size, 0);
});

void t.test('malformed, endless and silent clients do no harm', async (t) => {
  const { door, rooms } = await openDoor(t, { timing: FAST });
  const witness = await RtmpRoomClient.join(door.port, 'live');
  witness.object('so', { type: 'use' });
  const ended = async (what: string, harm: (client: RtmpRoomClient) => void, joined = true) => {
    const client = joined ? await RtmpRoomClient.join(door.port, 'live') : await RtmpRoomClient.open(door.port);
    harm(client);
    await until(`the end: ${what}`, () => client.closed || client.socket.readableEnded);
  };
  await ended('truncated AMF', (c) => c.send(MESSAGE.command, encodeAmf0('x', 2, 'long text').subarray(0, 14)));
  await ended('truncated shared object', (c) => c.send(MESSAGE.sharedObject, Buffer.from([0, 9, 65])));
  await ended('nesting', (c) => c.send(MESSAGE.command, Buffer.alloc(5000, Buffer.from('0a00000001', 'hex'))));
  await ended('a huge message', (c) => c.send(MESSAGE.command, Buffer.alloc(70_000)));
  await ended('a chunk that never ends', (c) => {
    c.socket.write(Buffer.from('03000000004000140000000000', 'hex'));
    const drip = setInterval(() => c.socket.write(Buffer.from([0])), 20);
    c.socket.once('close', () => clearInterval(drip));
    // Pings are not answered either: the connection shows no sign of life but its bytes.
    c.socket.removeAllListeners('data');
    c.socket.resume();
  });
  await ended('no connect', () => undefined, false);
  const idle = connect(door.port, '127.0.0.1');
  await once(idle, 'close');
  const early = await RtmpRoomClient.open(door.port);
  for (let count = 0; count < 100; count++) early.object('so', { type: 'use' });
  await until('the end', () => early.closed || early.socket.readableEnded);
  const names = await RtmpRoomClient.join(door.port, 'live');
  names.object('n'.repeat(60_000), { type: 'requestChange', key: 'k', value: 1 });
  await until('the refusal', () => names.events.length === 1);
  names.close();

  witness.object('so', { type: 'requestChange', key: 'alive', value: true });
  await until('the confirmation', () => witness.properties.get('so alive') === true);
  await until('only the witness is left', () => rooms.members.size === 1 && door.size === 1);
});

void t.test('a client that does not read is disconnected; the others go on', async (t) => {
  const { door, rooms } = await openDoor(t);
  const [slow, fast, sender] = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = await RtmpRoomClient.join(door.port, 'live');
      client.object('so', { type: 'use' });
      await until('the state', () => client.events.length === 2);
      return client;
    }),
  );
  slow!.socket.pause();
  const value = 'x'.repeat(50_000);
  for (let sent = 0; rooms.members.size > 2 && sent < 2000; sent++) {
    sender!.object('so', { type: 'requestChange', key: 'k', value: `${value}${sent}` });
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(rooms.members.size, 2);
  sender!.object('so', { type: 'requestChange', key: 'k', value: 'last' });
  await until('the last value', () => fast!.properties.get('so k') === 'last');
});

void t.test('mutations of what a client sends do no harm', async (t) => {
  const { door, rooms } = await openDoor(t, { timing: FAST });
  const witness = await RtmpRoomClient.join(door.port, 'live');
  const whole: Buffer[] = [];
  const writer = new ChunkWriter();
  const sink = { write: (bytes: Buffer) => whole.push(bytes) };
  writer.write(sink, 3, MESSAGE.command, 0, 0, encodeAmf0('connect', 1, { app: 'live/room', flashVer: 'x' }));
  const events: SharedObjectEvent[] = [
    { type: 'use' },
    { type: 'requestChange', key: 'k', value: { a: [1, 'x', { b: null }] } },
    { type: 'sendMessage', method: 'm', args: [new Date(0), 'y'.repeat(200)] },
  ];
  const object = encodeSharedObject({ name: 'so', version: 0, persistent: false, events });
  writer.write(sink, 3, MESSAGE.sharedObject, 0, 0, object);
  writer.write(sink, 2, MESSAGE.setChunkSize, 0, 0, uint32(4096));
  const corpus = Buffer.concat(whole);
  const seed = Date.now();
  await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const client = await RtmpRoomClient.open(door.port);
      const random = seededRandom(seed + index);
      client.socket.write(mutate([corpus], 0, random));
      client.socket.end();
      await until('the end', () => client.closed);
    }),
  );
  t.comment(`seeds from ${seed}`);
  await until('only the witness is left', () => rooms.members.size === 1 && door.size === 1);
  t.match(await witness.call('text', null, 'fine'), ['_result']);
});

void t.test('a client that is too fast is disconnected', async (t) => {
  const { door } = await openDoor(t, { rate: { perSecond: 1, burst: 20 } });
  const client = await RtmpRoomClient.join(door.port, 'live');
  for (let sent = 0; sent < 30; sent++) client.send(MESSAGE.userControl, Buffer.from('000600000007', 'hex'));
  await until('the end', () => client.closed || client.socket.readableEnded);
  t.match(client.commands.at(-1), [
    'onStatus',
    0,
    null,
    { code: 'NetConnection.Connect.Closed', description: /too many/ },
  ]);
});

void t.test('a member that is removed, and a shutdown, are told', async (t) => {
  const { door, rooms } = await openDoor(t);
  const removed = await RtmpRoomClient.join(door.port, 'live');
  rooms.joined[0]!.receive({ type: 'closed', reason: new GatewayError('RATE_LIMITED', 'Too fast.') });
  await until('the end', () => removed.closed || removed.socket.readableEnded);
  t.match(removed.commands.at(-1), [
    'onStatus',
    0,
    null,
    { code: 'NetConnection.Connect.Closed', description: 'Too fast.' },
  ]);
  const client = await RtmpRoomClient.join(door.port, 'live');
  await Promise.all([door.close(), door.close()]);
  await until('the end', () => client.closed || client.socket.readableEnded);
  t.match(client.commands.at(-1), ['onStatus', 0, null, { description: 'The gateway is shutting down.' }]);
});

void t.test('a port in use is an error of the settings', async (t) => {
  const { door } = await openDoor(t);
  await t.rejects(openDoor(t, { port: door.port }), { code: 'SETTINGS_INVALID', message: /rooms_rtmp_port/ });
});
