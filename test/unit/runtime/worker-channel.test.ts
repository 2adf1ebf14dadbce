import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { WorkerChannel } from '../../../src/runtime/worker-channel.ts';
import { Pacer } from '../../../src/runtime/pacer.ts';

// mediasoup's own writers, so that what is read here is what the schema of the installed version says.
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

/** A channel on a pipe, and all that came out of it in one order: packets by the letter of their consumer, the rest as mediasoup gets it. */
function createChannel(): {
  pipe: PassThrough;
  channel: WorkerChannel;
  out: string[];
  took: number[];
  frames: [complete: number, partial: boolean][];
} {
  const out: string[] = [];
  const took: number[] = [];
  const pacer = new Pacer({ restMs: 0 });
  const frames: [number, boolean][] = [];
  pacer.took = (packets, complete, partial) => {
    took.push(packets);
    frames.push([complete, partial]);
  };
  const pipe = new PassThrough();
  pipe.on('data', (data: Buffer) => out.push(`rest ${data.toString('hex')}`));
  return { pipe, channel: new WorkerChannel(pipe, pacer), out, took, frames };
}

const rest = (bytes: Buffer): string => `rest ${bytes.toString('hex')}`;
const traffic = [
  response(),
  packetOf(A, [1, 2, 3]),
  packetOf(B, [4]),
  layersOf(A),
  packetOf(A, []),
  closedOf(B),
  packetOf(
    A,
    Array.from({ length: 1300 }, (_, i) => i & 255),
  ),
];
const expected = [
  rest(traffic[0]!),
  'A 010203',
  'B 04',
  rest(traffic[3]!),
  'A ',
  rest(traffic[5]!),
  `A ${Buffer.from(Array.from({ length: 1300 }, (_, i) => i & 255)).toString('hex')}`,
];

t.test('packets go to who listens, everything else to mediasoup, in order', async (t) => {
  const { pipe, channel, out, took } = createChannel();
  const unlistenA = channel.listen(A, 'audio', (packet) => out.push(`A ${packet.toString('hex')}`));
  const unlisten = channel.listen(B, 'audio', (packet) => out.push(`B ${packet.toString('hex')}`));
  pipe.write(Buffer.concat(traffic));
  t.strictSame(out, expected);
  t.strictSame(took, [4], 'packets of one read are told at once');

  unlisten();
  pipe.write(traffic[2]!);
  t.equal(out.at(-1), rest(traffic[2]!), 'the packets of whom nobody listens to are left to mediasoup');
  unlistenA();
  pipe.write(traffic[1]!);
  t.equal(out.at(-1), rest(traffic[1]!), 'those of the last one, too');
  t.strictSame(took, [4]);
});

t.test('frames are counted by their last packets, and by those of video alone', async (t) => {
  const { pipe, channel, frames } = createChannel();
  channel.listen(A, 'video', () => {});
  channel.listen(B, 'audio', () => {});
  const [part, last, sound] = [
    packetOf(A, [0x80, 96]),
    packetOf(A, [0x80, 0x80 | 96]),
    packetOf(B, [0x80, 0x80 | 111]),
  ];
  for (const packets of [
    [part, part],
    [last, part, last, sound],
    [part, sound],
    [sound, last],
  ])
    pipe.write(Buffer.concat(packets));
  t.strictSame(frames, [
    [0, true],
    [2, false],
    [0, true],
    [1, false],
  ]);
});

t.test('messages cut anywhere, and in many pieces', async (t) => {
  const all = Buffer.concat(traffic);
  for (let cut = 1; cut < all.length; cut++) {
    const { pipe, channel, out } = createChannel();
    channel.listen(A, 'audio', (packet) => out.push(`A ${packet.toString('hex')}`));
    channel.listen(B, 'audio', (packet) => out.push(`B ${packet.toString('hex')}`));
    pipe.write(all.subarray(0, cut));
    pipe.write(all.subarray(cut));
    if (out.join() !== expected.join()) return t.strictSame(out, expected, `cut at ${cut}`);
  }
  for (const size of [1, 2, 3, 7, 500]) {
    const { pipe, channel, out, took } = createChannel();
    channel.listen(A, 'audio', (packet) => out.push(`A ${packet.toString('hex')}`));
    channel.listen(B, 'audio', (packet) => out.push(`B ${packet.toString('hex')}`));
    for (let at = 0; at < all.length; at += size) pipe.write(all.subarray(at, at + size));
    t.strictSame(out, expected, `pieces of ${size}`);
    t.equal(
      took.reduce((sum, count) => sum + count, 0),
      4,
    );
  }
});

t.test('a packet stays as it was when more is read', async (t) => {
  const { pipe, channel } = createChannel();
  const kept: Buffer[] = [];
  channel.listen(A, 'audio', (packet) => kept.push(packet));
  for (let i = 0; i < 50; i++) pipe.write(packetOf(A, [i, i, i]));
  t.strictSame(
    kept.map((packet) => [...packet]),
    Array.from({ length: 50 }, (_, i) => [i, i, i]),
  );
});
