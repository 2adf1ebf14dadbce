import { execFileSync } from 'node:child_process';
import { pino } from 'pino';
import t from 'tap';
import { AAC_FRAME_MS, AAC_SAMPLE_RATE, AudioEncoder } from '../../src/encode/audio-encoder.ts';
import { adtsHeader } from '../../src/flv/aac.ts';
import { waitFor } from '../helpers/wait.ts';

const PACKET_MS = 20;
const RTP_PER_PACKET = 960;

/** Two seconds of Opus, a packet a page, without the two header pages. */
function opusPackets(filter: string, channels: number): Buffer[] {
  const file = execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', filter, '-t', '2', '-ac', String(channels), '-c:a', 'libopus', '-b:a', '64k', '-page_duration', '20000', '-f', 'ogg', 'pipe:1']);
  const packets: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const segments = file[at + 26]!;
    const start = at + 27 + segments;
    const length = file.subarray(at + 27, start).reduce((sum, segment) => sum + segment, 0);
    packets.push(file.subarray(start, start + length));
    at = start + length;
  }
  return packets.slice(2);
}

/** Level of each channel, root mean square. */
function levels(frames: readonly Buffer[]): [left: number, right: number] {
  const adts = Buffer.concat(frames.flatMap((frame) => [adtsHeader(frame.length, AAC_SAMPLE_RATE, 2), frame]));
  const bytes = execFileSync('ffmpeg', ['-loglevel', 'error', '-xerror', '-f', 'aac', '-i', 'pipe:0', '-f', 'f32le', 'pipe:1'], { input: adts });
  const samples = new Float32Array(new Uint8Array(bytes).buffer);
  const of = (channel: number): number => Math.sqrt(samples.reduce((sum, sample, index) => sum + (index % 2 === channel ? sample ** 2 : 0), 0) / (samples.length / 2));
  return [of(0), of(1)];
}

/** Encodes packets as they would come, at once but for the time that ffmpeg needs to start. */
async function encode(packets: readonly Buffer[]): Promise<{ raw: Buffer; streamMs: number }[]> {
  const encoder = new AudioEncoder('opus', 48_000, { audioBitrate: 128, audioBatchMs: 60, logger: pino({ level: 'silent' }) });
  const frames: { raw: Buffer; streamMs: number }[] = [];
  encoder.on('frame', (raw, streamMs) => frames.push({ raw, streamMs }));
  try {
    // The first packet tells how many channels there are; what comes before an ffmpeg runs is dropped.
    await waitFor('the first frame', async () => {
      encoder.encode(packets[0]!, 0, 0);
      encoder.restart();
      return frames.length > 0;
    }, { every: PACKET_MS });
    encoder.restart();
    const before = frames.length;
    packets.forEach((packet, index) => encoder.encode(packet, index * RTP_PER_PACKET, 10_000 + index * PACKET_MS));
    // The last packets stay in the encoder: it looks ahead.
    await waitFor('nearly all frames', () => frames.at(-1)!.streamMs >= 10_000 + (packets.length - 10) * PACKET_MS);
    return frames.slice(before).filter(({ streamMs }) => streamMs >= 10_000);
  } finally {
    await encoder.close();
  }
}

t.test('one channel becomes two that are alike', async (t) => {
  const frames = await encode(opusPackets('sine=frequency=440', 1));
  const [left, right] = levels(frames.map(({ raw }) => raw));
  t.ok(left > 0.05, `it sounds: ${left}`);
  t.equal(left, right);
  const steps = frames.slice(1).map(({ streamMs }, index) => streamMs - frames[index]!.streamMs);
  t.ok(steps.every((step) => Math.abs(step - AAC_FRAME_MS) < 0.01), 'frame follows frame');
});

t.test('two channels stay two', async (t) => {
  const frames = await encode(opusPackets('aevalsrc=0.3*sin(440*2*PI*t)|0:s=48000', 2));
  const [left, right] = levels(frames.map(({ raw }) => raw));
  t.ok(left > 0.05 && right < left / 20, `left ${left}, right ${right}`);
});
