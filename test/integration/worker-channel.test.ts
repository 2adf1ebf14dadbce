import t from 'tap';
import { parseRtpPacket } from '../../src/media/rtp/rtp-packet.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { FastPaths } from '../../src/runtime/fast-paths.ts';
import { WorkerChannel } from '../../src/runtime/worker-channel.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { waitFor } from '../helpers/wait.ts';

Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { ProducerTrack } = await import('../../src/webrtc/producer-track.ts');

t.setTimeout(30_000);

function opusPacket(sequenceNumber: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x8000 | 111);
  header.writeUInt16BE(sequenceNumber, 2);
  header.writeUInt32BE(sequenceNumber * 960, 4);
  header.writeUInt32BE(1234, 8);
  return Buffer.concat([header, payload]);
}

for (const enabled of [true, false])
  t.test(`packets and answers of the real worker, fast paths ${enabled ? 'on' : 'off'}`, async (t) => {
    const fastPaths = new FastPaths({ enabled, logger: silentLogger });
    const pool = await WorkerPool.create({
      workers: 1,
      rtcPort: 0,
      addresses: () => [{ ip: '127.0.0.1' }],
      fastPaths,
      logger: silentLogger,
    });
    t.teardown(() => pool.close());
    for (const name of ['worker_pipe', 'worker_channel', 'pipe_reads'] as const)
      t.equal(fastPaths.states.get(name), enabled, name);
    const worker = pool.pick();
    const transport = await worker.router.createDirectTransport();
    const producer = await transport.produce({
      kind: 'audio',
      rtpParameters: {
        codecs: [{ mimeType: 'audio/opus', payloadType: 111, clockRate: 48000, channels: 2 }],
        encodings: [{ ssrc: 1234 }],
      },
    });
    const track = new ProducerTrack('audio', 'opus', 48000, producer, worker, silentLogger);
    const subscription = await track.subscribe();
    const payloads: string[] = [];
    subscription.on('rtp', (packet) => {
      payloads.push(parseRtpPacket(packet)!.payload.toString());
      if (payloads.length === 10) throw new Error('cannot be processed');
    });

    const sent = Array.from({ length: 300 }, (_, i) => `payload ${i} ${'x'.repeat((i * 7) % 1200)}`);
    const answers: ReturnType<typeof producer.getStats>[] = [];
    for (const [i, payload] of sent.entries()) {
      producer.send(opusPacket(i, Buffer.from(payload)));
      if (i % 30 === 0) answers.push(producer.getStats());
    }
    await waitFor('all packets', () => payloads.length === sent.length);
    t.strictSame(payloads, sent, 'whole, in order, none lost, and none for a listener that threw');
    for (const [stats] of await Promise.all(answers)) t.equal(stats?.kind, 'audio');

    subscription.close();
    producer.send(opusPacket(300, Buffer.from('late')));
    await producer.getStats();
    t.equal(payloads.length, sent.length, 'nothing after the end');
  });

t.test('a worker whose messages have another layout is started again without the fast path', async (t) => {
  const original = WorkerChannel.prototype.listen;
  t.teardown(() => (WorkerChannel.prototype.listen = original));
  // As if no consumer were ever recognised.
  WorkerChannel.prototype.listen = () => () => {};
  const fastPaths = new FastPaths({ enabled: true, logger: silentLogger });
  const pool = await WorkerPool.create({
    workers: 1,
    rtcPort: 0,
    addresses: () => [{ ip: '127.0.0.1' }],
    fastPaths,
    logger: silentLogger,
  });
  t.teardown(() => pool.close());
  t.equal(fastPaths.states.get('worker_channel'), false);
  t.equal(pool.pick().channel, undefined);
  t.equal(pool.pids.length, 1);
});

t.test(
  'video that the gateway reads too late is dropped, so that the worker queues no more than it must',
  async (t) => {
    const pool = await WorkerPool.create({
      workers: 1,
      rtcPort: 0,
      addresses: () => [{ ip: '127.0.0.1' }],
      batchMs: 5,
      logger: silentLogger,
    });
    t.teardown(() => pool.close());
    const worker = pool.pick();
    // Only workers with sessions are probed.
    await worker.router.createWebRtcTransport({ webRtcServer: worker.webRtcServer });
    const transport = await worker.router.createDirectTransport();
    const producer = await transport.produce({
      kind: 'video',
      rtpParameters: {
        codecs: [{ mimeType: 'video/VP8', payloadType: 96, clockRate: 90000 }],
        encodings: [{ ssrc: 5678 }],
      },
    });
    const subscription = await new ProducerTrack('video', 'vp8', 90000, producer, worker, silentLogger).subscribe();
    let received = 0;
    subscription.on('rtp', () => {
      received++;
      const until = performance.now() + 1;
      while (performance.now() < until);
    });
    const SENT = 8000;
    const packet = Buffer.alloc(1100);
    packet.writeUInt16BE(0x8000 | 96);
    packet.writeUInt32BE(5678, 8);
    packet[12] = 0x10; // The start of a VP8 frame; a key frame, by the zero after it.
    for (let sequenceNumber = 0; sequenceNumber < SENT; sequenceNumber++) {
      packet.writeUInt16BE(sequenceNumber, 2);
      packet.writeUInt32BE(sequenceNumber * 3000, 4);
      producer.send(Buffer.from(packet));
    }
    await waitFor('all packets', () => received + pool.latePackets === SENT);
    t.ok(received > 500, `${received} packets were processed`);
    t.ok(
      pool.latePackets > SENT / 5,
      `${pool.latePackets} were dropped: the others take less than 80 % of the time for all`,
    );
  },
);
