import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { RtmpAudioCodec } from '../../src/ffmpeg/ffmpeg-audio-args.ts';
import { AudioEncoder } from '../../src/renditions/audio-encoder.ts';
import { silentFrame } from '../../src/renditions/clip-encoder.ts';
import { TAG_AUDIO } from '../../src/media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../../src/media/containers/flv-writer.ts';
import { silentLogger, type Logger } from '../../src/observe/logger.ts';
import { OPUS_PACKET_MS, opusPackets } from '../helpers/opus.ts';
import { childrenOf } from '../helpers/processes.ts';
import { waitFor } from '../helpers/wait.ts';
import { wrapFfmpeg } from '../helpers/wrapped-ffmpeg.ts';

const RTP_PER_PACKET = 960;
const FRAME_MS = 20;

// Breaks one ffmpeg for each folder `break`. ffmpeg is also run to query its capabilities.
const folder = await wrapFfmpeg(
  t,
  'case "$*" in *pipe:1*) if rmdir "$FOLDER/break" 2>/dev/null; then echo "no FLV, and long enough to be sure"; exec cat >/dev/null; fi;; esac',
);
const breakNext = (): Promise<unknown> => mkdir(join(folder, 'break'));
const tone = opusPackets('sine=frequency=440:sample_rate=48000', 1);

interface Frame {
  readonly body: Buffer;
  readonly streamMs: number;
}

/** Encodes a tone, packet by packet, until there is a second of it. */
async function encodeTone(audioCodec: RtmpAudioCodec, logger: Logger): Promise<Frame[]> {
  const encoder = new AudioEncoder('opus', 48_000, { audioBitrate: 128, audioBatchMs: 60, audioCodec, logger });
  const frames: Frame[] = [];
  encoder.on('frame', (body, streamMs) => frames.push({ body, streamMs }));
  let packets = 0;
  try {
    await waitFor(
      'a second of audio',
      () => {
        encoder.encode(tone[packets % tone.length]!, packets * RTP_PER_PACKET, packets * OPUS_PACKET_MS);
        packets++;
        return frames.length >= 1000 / FRAME_MS;
      },
      { every: 10 },
    );
    t.equal(childrenOf(process.pid).length, 1, 'one ffmpeg: nothing encodes AAC in between');
  } finally {
    await encoder.close();
  }
  return frames;
}

/** The samples of tag bodies, from -1 to 1. */
function decode(frames: readonly Frame[]): Float32Array {
  const tags = frames.flatMap(({ body: data }, index) => {
    const tag = { type: TAG_AUDIO, timestamp: index * FRAME_MS, data, keyFrame: false, sequenceHeader: false } as const;
    const { head, tail } = flvTagParts(tag, 0);
    return [head, data, tail];
  });
  const args = ['-loglevel', 'error', '-f', 'flv', '-i', 'pipe:0', '-f', 'f32le', '-ac', '1', '-ar', '8000', 'pipe:1'];
  const input = Buffer.concat([flvHeader({ audio: true, video: false }), ...tags]);
  return new Float32Array(new Uint8Array(execFileSync('ffmpeg', args, { input })).buffer);
}

/** The share of a signal's energy that is not a sine of 440 Hz, in dB. */
function noiseDb(samples: Float32Array): number {
  const sum = (of: (index: number) => number): number => samples.reduce((total, _, index) => total + of(index), 0);
  const phase = (index: number): number => (2 * Math.PI * 440 * index) / 8000;
  const cos = (2 / samples.length) * sum((index) => samples[index]! * Math.cos(phase(index)));
  const sin = (2 / samples.length) * sum((index) => samples[index]! * Math.sin(phase(index)));
  const noise = sum((index) => (samples[index]! - cos * Math.cos(phase(index)) - sin * Math.sin(phase(index))) ** 2);
  return 10 * Math.log10(noise / sum((index) => samples[index]! ** 2));
}

for (const codec of ['pcmu', 'pcma', 'speex'] as const)
  await t.test(`Opus becomes ${codec} directly, in frames of 20 ms`, async (t) => {
    const frames = await encodeTone(codec, silentLogger);
    t.ok(
      frames.slice(1).every(({ streamMs }, index) => Math.abs(streamMs - frames[index]!.streamMs - FRAME_MS) < 0.01),
      'frame follows frame',
    );
    if (codec === 'speex') return;
    t.ok(frames.every(({ body }) => body.length === 161));
    // G.711 itself has noise of about -38 dB.
    const noise = noiseDb(decode(frames.slice(10, 40)));
    t.ok(noise < -30, `noise of ${noise.toFixed(1)} dB`);
  });

t.test('an ffmpeg whose output is not FLV is replaced, and the stream goes on', async (t) => {
  await breakNext();
  const reasons: string[] = [];
  const logger = {
    debug: () => {},
    warn: (fields: { reason: string }) => reasons.push(fields.reason),
  } as unknown as Logger;
  const frames = await encodeTone('pcmu', logger);
  t.strictSame(reasons, ['not an FLV stream']);
  t.ok(frames.every(({ body }) => body.length === 161));
});

t.test('a clip that does not become FLV is refused', async (t) => {
  await breakNext();
  await t.rejects(silentFrame({ codec: 'pcma', bitrate: 128 }, silentLogger), /not an FLV stream/);
  t.equal((await silentFrame({ codec: 'pcma', bitrate: 128 }, silentLogger)).length, 161);
});
