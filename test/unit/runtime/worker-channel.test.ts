import type { ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { WorkerChannel } from '../../../src/runtime/worker-channel.ts';
import { FastPaths } from '../../../src/runtime/fast-paths.ts';
import { silentLogger, type Logger } from '../../../src/observe/logger.ts';
import { randomFrom } from '../../helpers/random.ts';

// mediasoup's own writers, so that the messages have the schema of the installed version.
const mediasoup = createRequire(import.meta.resolve('mediasoup'));
interface Builder {
  finishSizePrefixed(root: number): void;
  asUint8Array(): Uint8Array;
}
type Table = new (...fields: unknown[]) => { pack(builder: Builder): number };
type Tables = Record<string, Table>;
type Numbers = Record<string, Record<string, number>>;
const { Builder } = mediasoup('flatbuffers') as { Builder: new (size: number) => Builder };
const { MessageT, Body: DataType } = mediasoup('./fbs/message') as Tables & Numbers;
const { NotificationT, Body: BodyType, Event } = mediasoup('./fbs/notification') as Tables & Numbers;
const { RtpNotificationT, LayersChangeNotificationT } = mediasoup('./fbs/consumer') as Tables;
const { ResponseT } = mediasoup('./fbs/response') as Tables;

function message(type: string, data: InstanceType<Table>): Buffer {
  const builder = new Builder(1024);
  builder.finishSizePrefixed(new MessageT!(DataType![type], data).pack(builder));
  return Buffer.from(builder.asUint8Array());
}
const packetOf = (consumer: string, bytes: number[]): Buffer =>
  message(
    'Notification',
    new NotificationT!(
      consumer,
      Event!['CONSUMER_RTP'],
      BodyType!['Consumer_RtpNotification'],
      new RtpNotificationT!(bytes),
    ),
  );
const layersOf = (consumer: string): Buffer =>
  message(
    'Notification',
    new NotificationT!(
      consumer,
      Event!['CONSUMER_LAYERS_CHANGE'],
      BodyType!['Consumer_LayersChangeNotification'],
      new LayersChangeNotificationT!(null),
    ),
  );
const closedOf = (consumer: string): Buffer =>
  message('Notification', new NotificationT!(consumer, Event!['CONSUMER_PRODUCER_CLOSE'], 0, null));
const response = (): Buffer => message('Response', new ResponseT!(7, true));

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';

const silentFastPaths = new FastPaths({ enabled: true, logger: silentLogger });

/** A channel on a pipe, and everything that came out of it in order: packets by the letter of their consumer, the other messages as mediasoup gets them. */
function createChannel(listeners: Record<string, string> = { A, B }): {
  pipe: PassThrough;
  channel: WorkerChannel;
  out: string[];
  unlisten: Record<string, () => void>;
} {
  const out: string[] = [];
  const pipe = new PassThrough();
  pipe.on('data', (data: Buffer) => out.push(`other ${data.toString('hex')}`));
  const channel = new WorkerChannel(pipe, { batchMs: 0, fastPaths: silentFastPaths, logger: silentLogger });
  const unlisten = Object.fromEntries(
    Object.entries(listeners).map(([name, id]) => [
      name,
      channel.listen(id, (packet) => out.push(`${name} ${packet.toString('hex')}`)),
    ]),
  );
  return { pipe, channel, out, unlisten };
}

const other = (bytes: Buffer): string => `other ${bytes.toString('hex')}`;
const large = Array.from({ length: 1300 }, (_, i) => i & 255);
const traffic = [
  response(),
  packetOf(A, [1, 2, 3]),
  packetOf(B, [4]),
  layersOf(A),
  packetOf(A, []),
  closedOf(B),
  packetOf(A, large),
];
const expected = [
  other(traffic[0]!),
  'A 010203',
  'B 04',
  other(traffic[3]!),
  'A ',
  other(traffic[5]!),
  `A ${Buffer.from(large).toString('hex')}`,
];

t.test('packets go to their listeners, all other messages to mediasoup, in order', async (t) => {
  const { pipe, out, unlisten } = createChannel();
  pipe.write(Buffer.concat(traffic));
  t.strictSame(out, expected);

  unlisten['B']!();
  pipe.write(traffic[2]!);
  t.equal(out.at(-1), other(traffic[2]!), 'packets without a listener are left to mediasoup');
  unlisten['A']!();
  pipe.write(traffic[1]!);
  t.equal(out.at(-1), other(traffic[1]!), 'those of the last listener, too');
});

t.test('messages are cut at any position and into many pieces', async (t) => {
  const all = Buffer.concat(traffic);
  for (let cut = 1; cut < all.length; cut++) {
    const { pipe, out } = createChannel();
    pipe.write(all.subarray(0, cut));
    pipe.write(all.subarray(cut));
    if (out.join() !== expected.join()) return t.strictSame(out, expected, `cut at ${cut}`);
  }
  for (const size of [1, 2, 3, 7, 500]) {
    const { pipe, out } = createChannel();
    for (let at = 0; at < all.length; at += size) pipe.write(all.subarray(at, at + size));
    t.strictSame(out, expected, `pieces of ${size}`);
  }
});

t.test('a packet does not change when more is read', async (t) => {
  const { pipe, channel } = createChannel({});
  const kept: Buffer[] = [];
  channel.listen(A, (packet) => kept.push(packet));
  for (let i = 0; i < 50; i++) pipe.write(packetOf(A, [i, i, i]));
  t.strictSame(
    kept.map((packet) => [...packet]),
    Array.from({ length: 50 }, (_, i) => [i, i, i]),
  );
});

t.test('a listener that throws, and mediasoup that throws, do not stop the messages after it', async (t) => {
  const pipe = new PassThrough();
  const out: string[] = [];
  pipe.on('data', (data: Buffer) => {
    out.push(other(data));
    throw new Error('of mediasoup');
  });
  const channel = new WorkerChannel(pipe, { batchMs: 0, fastPaths: silentFastPaths, logger: silentLogger });
  channel.listen(A, (packet) => {
    out.push(`A ${packet.toString('hex')}`);
    throw new Error('of the listener');
  });
  channel.listen(B, (packet) => out.push(`B ${packet.toString('hex')}`));
  pipe.write(Buffer.concat(traffic));
  t.strictSame(out, expected);
});

t.test('a packet that claims to be longer than its message is left to mediasoup', async (t) => {
  const message = packetOf(A, [1, 2, 3, 4]);
  const at = message.indexOf(Buffer.from([4, 0, 0, 0, 1, 2, 3, 4]));
  for (const length of [200, 2 ** 31, 2 ** 32 - 1]) {
    const { pipe, out } = createChannel();
    const claim = Buffer.from(message);
    claim.writeUInt32LE(length, at);
    pipe.write(Buffer.concat([claim, packetOf(B, [4])]));
    t.strictSame(out, [other(claim), 'B 04'], `${length} bytes`);
  }
});

t.test('after an impossible length mediasoup gets every byte', async (t) => {
  for (const cut of [0, 2, 5]) {
    const warnings: unknown[] = [];
    const logger = { debug: () => {}, warn: (line: unknown) => warnings.push(line) } as unknown as Logger;
    const fastPaths = new FastPaths({ enabled: true, logger });
    const pipe = new PassThrough();
    const out: Buffer[] = [];
    pipe.on('data', (data: Buffer) => out.push(data));
    const channel = new WorkerChannel(pipe, { batchMs: 0, fastPaths, logger: silentLogger });
    channel.listen(A, () => t.fail('a packet after the impossible length'));
    fastPaths.activate('worker_channel');
    const bytes = Buffer.concat([response(), Buffer.from('ffffff7f00', 'hex'), packetOf(A, [1])]);
    pipe.write(bytes.subarray(0, response().length + cut));
    pipe.write(bytes.subarray(response().length + cut));
    pipe.write(packetOf(A, [2]));
    t.ok(Buffer.concat(out).equals(Buffer.concat([bytes, packetOf(A, [2])])));
    t.equal(fastPaths.states.get('worker_channel'), false);
    t.match(warnings.at(-1), { fastPath: 'worker_channel', reason: 'a message of 2147483647 bytes was announced' });
  }
});

t.test('damaged messages throw nothing, and every byte is delivered or left to mediasoup', async (t) => {
  const random = randomFrom(25);
  const all = Buffer.concat(traffic);
  for (let round = 0; round < 3000; round++) {
    const { pipe, out } = createChannel();
    const damaged = Buffer.from(all);
    for (let changes = 1 + Math.floor(random() * 8); changes > 0; changes--)
      damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    const end = Math.floor(random() * damaged.length);
    const cut = Math.floor(random() * end);
    try {
      pipe.write(damaged.subarray(0, cut));
      pipe.write(damaged.subarray(cut, end));
    } catch (error) {
      return t.fail(`round ${round}: ${String(error)}`);
    }
    for (const line of out.filter((text) => !text.startsWith('other'))) {
      const packet = Buffer.from(line.slice(2), 'hex');
      if (!damaged.includes(packet)) return t.fail(`round ${round}: a packet that was not sent`);
    }
  }
  for (let round = 0; round < 500; round++) {
    const { pipe } = createChannel();
    const noise = Buffer.from(Array.from({ length: 400 }, () => Math.floor(random() * 256)));
    // A length that can be, so that what follows is parsed.
    noise.writeUInt32LE(Math.floor(random() * 396), 0);
    pipe.write(noise);
  }
  t.pass('3500 inputs');
});

t.test('a worker without the expected pipe has no channel', async (t) => {
  const options = { batchMs: 0, fastPaths: silentFastPaths, logger: silentLogger };
  const child = (pid: number, stdio: unknown[]): ChildProcess => ({ pid, stdio }) as unknown as ChildProcess;
  const unread = new PassThrough();
  t.equal(WorkerChannel.attach(undefined, 7, options), 'Node published no child process');
  t.equal(WorkerChannel.attach(child(8, []), 7, options), 'Node published another child process');
  for (const stdio of [[], [null, null, null, null, null], [0, 0, 0, 0, unread]])
    t.equal(WorkerChannel.attach(child(7, stdio), 7, options), 'mediasoup does not read from the expected pipe');
});
