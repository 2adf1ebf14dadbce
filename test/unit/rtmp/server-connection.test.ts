import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { decodeAmf0, encodeAmf0 } from '../../../src/media/amf0.ts';
import { ChunkReader } from '../../../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../../src/rtmp/chunk-writer.ts';
import { createHello } from '../../../src/rtmp/handshake.ts';
import { MESSAGE, uint32, type RtmpMessage } from '../../../src/rtmp/message.ts';
import { RtmpServerConnection, type ClientCommand } from '../../../src/rtmp/server-connection.ts';
import { encodeSharedObject, type SharedObjectMessage } from '../../../src/rtmp/shared-object-message.ts';
import { waitFor } from '../../helpers/wait.ts';

const OPTIONS = { maxMessageBytes: 4096, maxQueuedBytes: 1 << 20 };

/** A server connection and the client's socket. */
async function pair(t: Test, options = OPTIONS) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const connection = new RtmpServerConnection(socket, options);
  const closed: (string | undefined)[] = [];
  connection.on('closed', (reason) => closed.push(reason?.message));
  client.on('error', () => undefined);
  t.teardown(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  return { connection, client, socket, closed };
}

/** Shakes hands and returns a reader of what the server sends afterwards. */
async function shakeHands(client: Socket): Promise<RtmpMessage[]> {
  client.write(createHello());
  const messages: RtmpMessage[] = [];
  const reader = new ChunkReader((message) => messages.push(message));
  let received = Buffer.alloc(0);
  let done = false;
  client.on('data', (data: Buffer) => {
    if (done) return reader.push(data);
    received = Buffer.concat([received, data]);
    if (received.length < 3073) return;
    done = true;
    client.write(received.subarray(1, 1537));
    reader.push(received.subarray(3073));
  });
  await waitFor('the handshake', () => done);
  return messages;
}

function send(client: Socket, type: number, payload: Buffer, streamId = 0): void {
  new ChunkWriter().write(client, 3, type, streamId, 0, payload);
}

void t.test('handshake byte by byte, commands, control messages and shared objects', async (t) => {
  const { connection, client, closed } = await pair(t);
  const commands: ClientCommand[] = [];
  const objects: SharedObjectMessage[] = [];
  let media = 0;
  connection.on('command', (command) => commands.push(command));
  connection.on('sharedObject', (message) => objects.push(message));
  connection.on('media', () => media++);
  client.setNoDelay(true);
  const messages = await shakeHands(client);
  await waitFor('the established connection', () => connection.established);

  send(client, MESSAGE.command, encodeAmf0('connect', 1, { app: 'live' }, 'extra'));
  send(client, MESSAGE.commandAmf3, Buffer.concat([Buffer.from([0]), encodeAmf0('createStream', 2, null)]), 5);
  const message = { name: 'so', version: 0, persistent: false, events: [{ type: 'use' as const }] };
  send(client, MESSAGE.sharedObject, encodeSharedObject(message));
  send(client, MESSAGE.sharedObjectAmf3, Buffer.concat([Buffer.from([0]), encodeSharedObject(message)]));
  send(client, MESSAGE.audio, Buffer.alloc(8));
  await waitFor('media', () => media === 1);
  t.match(commands, [
    { name: 'connect', transaction: 1, streamId: 0, values: [{ app: 'live' }, 'extra'] },
    { name: 'createStream', transaction: 2, streamId: 5, values: [null] },
  ]);
  t.same(objects, [message, message]);

  connection.setUp();
  connection.ping();
  connection.sendCommand(0, '_result', 1, null, { code: 'x' });
  connection.sendSharedObject({ ...message, events: [{ type: 'change', key: 'long', value: 'v'.repeat(9000) }] });
  send(client, MESSAGE.userControl, Buffer.from('000600000007', 'hex'));
  await waitFor('the answer', () => messages.some(({ payload }) => payload.toString('hex') === '000700000007'));
  t.equal(messages.at(0)?.type, MESSAGE.windowAcknowledgementSize);
  t.equal(messages.at(1)?.type, MESSAGE.setPeerBandwidth);
  t.equal(messages.at(2)?.payload.toString('hex'), '000000000000', 'stream begins');
  t.equal(messages.at(3)?.payload.readUInt16BE(), 6, 'ping');
  t.same(decodeAmf0(messages.at(4)!.payload), ['_result', 1, null, { code: 'x' }]);
  t.equal(messages.at(5)?.payload.length, 2 + 2 + 12 + 5 + 6 + 3 + 9000);

  send(client, MESSAGE.windowAcknowledgementSize, uint32(64));
  await waitFor('the answer', () => messages.some(({ type }) => type === MESSAGE.acknowledgement));
  const heardAt = connection.heardAt;
  client.write(Buffer.from([0x03]));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(connection.heardAt, heardAt, 'an unfinished message is no sign of life');
  connection.end(1000);
  connection.end(1000);
  await once(client, 'end');
  t.same(closed, [undefined]);
});

void t.test('malformed input ends the connection with a reason, without an exception', async (t) => {
  const so = encodeSharedObject({ name: 'x', version: 0, persistent: false, events: [{ type: 'use' }] });
  const cases: [reason: RegExp, write: (client: Socket) => void][] = [
    [
      /malformed message: AMF message is truncated/,
      (c) => send(c, MESSAGE.command, encodeAmf0('connect').subarray(0, 5)),
    ],
    [/command without a name/, (c) => send(c, MESSAGE.command, encodeAmf0(1, 2))],
    [/command without a name/, (c) => send(c, MESSAGE.command, Buffer.alloc(0))],
    [
      /malformed message: A shared object message is truncated/,
      (c) => send(c, MESSAGE.sharedObject, so.subarray(0, 9)),
    ],
    [/nested too deeply/, (c) => send(c, MESSAGE.command, Buffer.alloc(600, Buffer.from('0a00000001', 'hex')))],
    [/messages that are too long/, (c) => send(c, MESSAGE.command, Buffer.alloc(5000))],
    [/AMF0 marker 14 is not supported/, (c) => send(c, MESSAGE.command, Buffer.from([14, 1]))],
    [/command without a name/, (c) => send(c, MESSAGE.command, Buffer.from([17, 1]))],
    [/invalid chunk size/, (c) => send(c, MESSAGE.setChunkSize, uint32(0))],
  ];
  for (const [reason, write] of cases) {
    const { connection, client, closed } = await pair(t);
    await shakeHands(client);
    await waitFor('the established connection', () => connection.established);
    write(client);
    await waitFor('the end', () => closed.length > 0);
    t.match(closed[0], reason);
  }
  const { client, closed } = await pair(t);
  client.write('GET / HTTP/1.1\r\n\r\n');
  await waitFor('the end', () => closed.length > 0);
  t.same(closed, ['The client does not speak RTMP']);
});

void t.test('a listener that fails ends its connection only', async (t) => {
  const { connection, client, closed } = await pair(t);
  connection.on('command', () => {
    throw new Error('secret');
  });
  await shakeHands(client);
  send(client, MESSAGE.command, encodeAmf0('connect', 1));
  await waitFor('the end', () => closed.length > 0);
  t.same(closed, ['The client sent data that cannot be processed']);
});

void t.test('a client that does not read is disconnected', async (t) => {
  const { connection, client, socket, closed } = await pair(t, { ...OPTIONS, maxQueuedBytes: 64 * 1024 });
  await shakeHands(client);
  await waitFor('the established connection', () => connection.established);
  client.pause();
  const text = 'x'.repeat(10_000);
  for (let sent = 0; closed.length === 0 && sent < 3000; sent++) {
    connection.sendCommand(0, 'news', 0, null, text);
    if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    t.ok(socket.writableLength < 80_000 || socket.destroyed);
  }
  t.same(closed, ['The client does not read its messages']);
  t.ok(socket.destroyed);
});
