import t from 'tap';
import type { types } from 'mediasoup';
import { ParameterSetStore } from '../../src/media/codecs/avc-parameter-sets.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { DEFAULT_MAX_FRAME_SIZE } from '../../src/renditions/frame-limit.ts';
import { StreamTime } from '../../src/renditions/stream-time.ts';
import { VideoInput } from '../../src/renditions/video-input.ts';
import type { InputFrame } from '../../src/renditions/video-source.ts';
import { FastPaths } from '../../src/runtime/fast-paths.ts';
import { encodeH264, isParameterSet, payloadsOf, type CodedFrame } from '../helpers/h264-stream.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { waitFor } from '../helpers/wait.ts';

Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { ProducerTrack } = await import('../../src/webrtc/producer-track.ts');
const { watchParameterSets } = await import('../../src/webrtc/parameter-set-watch.ts');

t.setTimeout(60_000);

const pool = await WorkerPool.create({
  workers: 1,
  rtcPort: 0,
  addresses: () => [{ ip: '127.0.0.1' }],
  fastPaths: new FastPaths({ enabled: true, logger: silentLogger }),
  logger: silentLogger,
});
t.teardown(() => pool.close());
const { frames } = await encodeH264('keyint=10:min-keyint=10:scenecut=0:repeat-headers=1:bframes=0', 1);

const withoutSets = ({ nalUnits }: CodedFrame): Buffer[] => nalUnits.filter((nalUnit) => !isParameterSet(nalUnit));

/** A publisher that repeats a second of video, with a key frame every third of a second. */
async function publish(
  t: Tap,
  units: (frame: CodedFrame, index: number) => readonly Buffer[],
  sets?: readonly Buffer[],
) {
  const worker = pool.pick();
  const transport = await worker.router.createDirectTransport();
  let opened = 0;
  const open = (form?: { readonly isOpaque: boolean }): Promise<types.Producer> => {
    opened++;
    const h264 = { 'packetization-mode': 1, 'profile-level-id': '64001f' };
    return transport.produce({
      kind: 'video',
      rtpParameters: {
        codecs: [
          form?.isOpaque
            ? { mimeType: 'video/AV1', payloadType: 96, clockRate: 90_000, parameters: {} }
            : { mimeType: 'video/H264', payloadType: 96, clockRate: 90_000, parameters: h264 },
        ],
        encodings: [{ ssrc: 77 }],
      },
    });
  };
  const parameterSets = new ParameterSetStore();
  for (const set of sets ?? []) parameterSets.take(set);
  const options = { parameterSets, reopen: open };
  const track = new ProducerTrack('video', 'h264', 90_000, await open(), worker, silentLogger, options);
  watchParameterSets(track, parameterSets, silentLogger);
  // The watch has subscribed.
  await waitFor('a consumer', async () => (await track.producer.dump()) && track.silentMs(0) !== undefined);
  let sent = 0;
  let sequence = 0;
  const timer = setInterval(() => {
    const list = units(frames[sent % frames.length]!, sent);
    for (const [unit, nalUnit] of list.entries()) {
      const payloads = payloadsOf(nalUnit);
      for (const [part, payload] of payloads.entries()) {
        const header = Buffer.alloc(12);
        header[0] = 0x80;
        header[1] = (unit === list.length - 1 && part === payloads.length - 1 ? 0x80 : 0) | 96;
        header.writeUInt16BE(sequence++ & 0xffff, 2);
        header.writeUInt32BE(sent * 3000, 4);
        header.writeUInt32BE(77, 8);
        if (!track.producer.closed) track.producer.send(Buffer.concat([header, payload]));
      }
    }
    sent++;
  }, 33);
  t.teardown(() => {
    clearInterval(timer);
    transport.close();
  });
  return {
    track,
    sent: () => sent,
    opened: () => opened,
    /** What an output that begins now reads. */
    async read(): Promise<InputFrame[]> {
      const read: InputFrame[] = [];
      const sink = { frame: (frame: InputFrame) => read.push(frame), keyFrameNeeded() {}, refused() {} };
      const input = await VideoInput.create(track as never, new StreamTime(), DEFAULT_MAX_FRAME_SIZE, sink);
      t.teardown(() => input.close());
      return read;
    },
  };
}
type Tap = { teardown(callback: () => void): void };

t.test('a publisher that repeats its parameter sets is read until the second key frame', async (t) => {
  const publisher = await publish(t, ({ nalUnits }) => nalUnits);
  await waitFor('the end of the watch', () => publisher.track.silentMs(0) === undefined);
  t.ok(publisher.sent() < 30, `after ${publisher.sent()} frames`);
  t.equal(publisher.opened(), 1);
});

t.test('parameter sets that are sent once are known to an output that begins later', async (t) => {
  const publisher = await publish(t, (frame, index) => (index === 0 ? frame.nalUnits : withoutSets(frame)));
  await waitFor('the watch', () => publisher.opened() === 2);
  const begins = publisher.sent();
  await waitFor('more frames', () => publisher.sent() > begins + 40);
  const read = await publisher.read();
  await waitFor('frames', () => read.length > 15);
  t.match(read[0], { keyFrame: true, size: { width: 320, height: 180 } });
});

t.test('parameter sets that are only in the SDP', async (t) => {
  const sets = frames[0]!.nalUnits.filter(isParameterSet);
  const publisher = await publish(t, withoutSets, sets);
  const read = await publisher.read();
  await waitFor('frames', () => read.length > 15);
  t.match(read[0], { keyFrame: true, size: { width: 320, height: 180 } });
});
